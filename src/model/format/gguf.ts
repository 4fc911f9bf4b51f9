// The GGUF container: a header (counts, typed metadata, tensor list), then the bytes of the tensors. Everything here
// works on bytes that nobody vouches for. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md

import { fail, formatCount } from '../../core/index.ts';
import { createCursor, type ByteSource, type Cursor } from './gguf-cursor.ts';
import { createProblems, type Problems } from './problems.ts';
import { storageTypeName, storageTypes, type StorageType } from './quant.ts';

/** Files of language models have under 100 keys. */
export const MAX_METADATA = 4_096;
/** Experts share a tensor, so the largest open models come in under 3,000 tensors. */
export const MAX_GGUF_TENSORS = 65_536;
/** As the specification says. */
export const MAX_KEY_BYTES = 65_535;
/** As the specification says. */
export const MAX_TENSOR_NAME_BYTES = 64;
/** The longest text that files carry is an embedded tokenizer.json, 33 MB for 262,144 tokens. */
export const MAX_STRING_BYTES = 64 * 2 ** 20;
/** Merges are the longest arrays: the largest vocabularies (262,144) have near twice as many. */
export const MAX_ARRAY_LENGTH = 2 ** 23;
/** No known key nests arrays; the format allows it. */
export const MAX_ARRAY_DEPTH = 4;
/** An array within an array costs many times its 12 bytes in memory, so they are counted. */
export const MAX_NESTED_ARRAYS = 65_536;
/** GGML_MAX_DIMS. */
export const MAX_DIMENSIONS = 4;
/** A huge page of 2 MiB is the largest that anybody could want to map to. */
export const MAX_ALIGNMENT = 2 ** 21;

const MAGIC = [0x47, 0x47, 0x55, 0x46];
const DEFAULT_ALIGNMENT = 32;

export type NumberArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array;
type NumericArray = NumberArray | BigUint64Array | BigInt64Array;
/** 64-bit whole numbers are numbers where a number holds them exactly. */
export type GgufValue = number | bigint | boolean | string | NumericArray | readonly GgufValue[];

export interface GgufTensor {
  readonly name: string;
  readonly type: StorageType;
  /** Row-major extents, outermost first; the file lists the innermost first. */
  readonly shape: readonly number[];
  /** Bytes [begin, end) of the file. */
  readonly begin: number;
  readonly end: number;
}

export interface GgufHeader {
  readonly version: number;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** In the order of the header. */
  readonly tensors: readonly GgufTensor[];
}

/** Whether a file that starts with these bytes calls itself GGUF. */
export const isGguf = (start: Uint8Array): boolean => MAGIC.every((byte, i) => start[i] === byte);

/**
 * Header of a GGUF file, checked against the size of the file. Reads no tensor.
 * @param where name of the file, for messages
 * @throws IngotError GGUF_*; many problems of tensors at once
 */
export function readGgufHeader(source: ByteSource, where: string): GgufHeader {
  const cursor = createCursor(source, where);
  const version = readVersion(cursor, where);
  const tensorCount = cursor.count('tensors', MAX_GGUF_TENSORS, 24);
  const metadataCount = cursor.count('metadata keys', MAX_METADATA, 13);
  const metadata = readMetadata(cursor, metadataCount);
  const entries = readEntries(cursor, tensorCount, where);
  const alignment = alignmentOf(metadata, where);
  const dataStart = Math.ceil(cursor.position / alignment) * alignment;
  return { version, metadata, tensors: locate(entries, { dataStart, alignment, fileBytes: source.bytes, where }) };
}

function readVersion(cursor: Cursor, where: string): number {
  if (!isGguf(cursor.take(4)))
    fail({ code: 'GGUF_MALFORMED', message: 'the file does not start as a GGUF file', where, expected: "'GGUF'" });
  const version = cursor.u32();
  if (version === 2 || version === 3) return version;
  // The specification tells byte order from the version: one below 2¹⁶ in the other order has no low bits.
  const isBigEndian = version !== 0 && (version & 0xffff) === 0;
  return fail({
    code: isBigEndian ? 'GGUF_BIG_ENDIAN' : 'GGUF_VERSION',
    message: isBigEndian ? 'the file is big-endian' : 'the version of the format is not one that Ingot reads',
    where: `${where}, byte 4`,
    expected: isBigEndian ? 'a little-endian file' : 'version 2 or 3',
    found: isBigEndian ? undefined : String(version),
    suggestion: isBigEndian
      ? 'fetch the little-endian release, or convert it with gguf-py (gguf_convert_endian.py)'
      : 'convert the model again with a current llama.cpp',
  });
}

interface NumberType {
  readonly name: string;
  readonly bytes: number;
  readonly array: new (buffer: ArrayBuffer) => NumericArray;
}

/** Numeric types of metadata by id. 7 is bool, 8 string, 9 array. */
const numberTypes: ReadonlyMap<number, NumberType> = new Map<number, NumberType>([
  [0, { name: 'uint8', bytes: 1, array: Uint8Array }],
  [1, { name: 'int8', bytes: 1, array: Int8Array }],
  [2, { name: 'uint16', bytes: 2, array: Uint16Array }],
  [3, { name: 'int16', bytes: 2, array: Int16Array }],
  [4, { name: 'uint32', bytes: 4, array: Uint32Array }],
  [5, { name: 'int32', bytes: 4, array: Int32Array }],
  [6, { name: 'float32', bytes: 4, array: Float32Array }],
  [10, { name: 'uint64', bytes: 8, array: BigUint64Array }],
  [11, { name: 'int64', bytes: 8, array: BigInt64Array }],
  [12, { name: 'float64', bytes: 8, array: Float64Array }],
]);
const BOOL = 7;
const STRING = 8;
const ARRAY = 9;

function readMetadata(cursor: Cursor, count: number): Map<string, GgufValue> {
  const metadata = new Map<string, GgufValue>();
  let nestedArrays = 0;

  const numbers = ({ bytes, array }: NumberType, length: number): NumericArray =>
    new array(cursor.take(length * bytes).slice().buffer);
  const bool = (): boolean => {
    const byte = cursor.take(1)[0];
    if (byte <= 1) return byte === 1;
    return fail({
      code: 'GGUF_MALFORMED',
      message: 'a truth value is neither 0 nor 1',
      where: cursor.at(cursor.position - 1),
      found: String(byte),
    });
  };
  const value = (type: number, depth: number): GgufValue => {
    const numeric = numberTypes.get(type);
    if (numeric !== undefined) {
      const [only] = numbers(numeric, 1);
      return typeof only === 'bigint' && BigInt.asIntN(54, only) === only ? Number(only) : only;
    }
    if (type === BOOL) return bool();
    if (type === STRING) return cursor.string('a text', MAX_STRING_BYTES);
    if (type === ARRAY) return array(depth);
    return fail({
      code: 'GGUF_MALFORMED',
      message: 'a metadata value has a type that the format does not have',
      where: cursor.at(),
      expected: 'a type from 0 to 12',
      found: String(type),
    });
  };
  const array = (depth: number): GgufValue => {
    if (depth === MAX_ARRAY_DEPTH || (depth > 0 && ++nestedArrays > MAX_NESTED_ARRAYS)) {
      fail({
        code: 'GGUF_LIMIT',
        message: 'arrays of metadata are nested too deep or too often',
        where: cursor.at(),
        expected: `at most ${MAX_ARRAY_DEPTH} levels, and ${formatCount(MAX_NESTED_ARRAYS)} arrays within arrays`,
      });
    }
    const type = cursor.u32();
    const numeric = numberTypes.get(type);
    const unitBytes = numeric?.bytes ?? (type === STRING ? 8 : type === ARRAY ? 12 : 1);
    const length = cursor.count('elements of an array', MAX_ARRAY_LENGTH, unitBytes);
    if (numeric !== undefined) return numbers(numeric, length);
    const values: GgufValue[] = [];
    for (let i = 0; i < length; i++) values.push(value(type, depth + 1));
    return values;
  };

  for (let i = 0; i < count; i++) {
    const start = cursor.position;
    const key = cursor.string('a metadata key', MAX_KEY_BYTES);
    if (metadata.has(key)) {
      fail({
        code: 'GGUF_DUPLICATE',
        message: 'a metadata key stands twice in the file',
        where: cursor.at(start),
        found: key.slice(0, 100),
      });
    }
    metadata.set(key, value(cursor.u32(), 0));
  }
  return metadata;
}

function alignmentOf(metadata: ReadonlyMap<string, GgufValue>, where: string): number {
  const stated = metadata.get('general.alignment') ?? DEFAULT_ALIGNMENT;
  const isPower =
    typeof stated === 'number' && stated >= 8 && stated <= MAX_ALIGNMENT && Number.isInteger(Math.log2(stated));
  if (isPower) return stated;
  return fail({
    code: 'GGUF_MALFORMED',
    message: 'the alignment of tensors is not one that the format allows',
    where: `${where}, key general.alignment`,
    expected: `a power of two from 8 to ${formatCount(MAX_ALIGNMENT)}`,
    found: String(stated).slice(0, 40),
  });
}

interface Entry {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: number;
  readonly offset: number;
}

function readEntries(cursor: Cursor, count: number, where: string): Entry[] {
  const entries: Entry[] = [];
  const names = new Set<string>();
  for (let i = 0; i < count; i++) {
    const start = cursor.position;
    const name = cursor.string('a tensor name', MAX_TENSOR_NAME_BYTES);
    if (names.has(name)) {
      fail({
        code: 'GGUF_DUPLICATE',
        message: 'a tensor stands twice in the header',
        where: cursor.at(start),
        found: name,
      });
    }
    names.add(name);
    const dimensions = cursor.u32();
    if (dimensions > MAX_DIMENSIONS) {
      fail({
        code: 'GGUF_LIMIT',
        message: `a tensor has more than ${MAX_DIMENSIONS} dimensions`,
        where: `${where}, tensor ${name}`,
        found: formatCount(dimensions),
      });
    }
    const shape = Array.from({ length: dimensions }, () => cursor.u64()).reverse();
    entries.push({ name, shape, type: cursor.u32(), offset: cursor.u64() });
  }
  return entries;
}

interface DataPart {
  readonly dataStart: number;
  readonly alignment: number;
  readonly fileBytes: number;
  readonly where: string;
}

/** Every tensor at its bytes: of a known type, aligned, inside the file, and no two over each other. */
function locate(entries: readonly Entry[], data: DataPart): GgufTensor[] {
  const problems = createProblems();
  const tensors = entries.flatMap((entry) => locateOne(entry, data, problems) ?? []);
  const byBegin = tensors.toSorted((a, b) => a.begin - b.begin || a.end - b.end);
  for (const [i, { name, begin }] of byBegin.entries()) {
    const before = byBegin[i - 1];
    if (i === 0 || begin >= before.end) continue;
    problems.add({
      code: 'GGUF_OFFSETS',
      message: 'a tensor overlaps another',
      where: `${data.where}, tensor ${name}`,
      expected: `bytes from ${formatCount(before.end)}, where ${before.name} ends`,
      found: `bytes from ${formatCount(begin)}`,
    });
  }
  problems.throwIfAny();
  return tensors;
}

function locateOne(
  { name, shape, type: id, offset }: Entry,
  data: DataPart,
  problems: Problems,
): GgufTensor | undefined {
  const { dataStart, alignment, fileBytes } = data;
  const where = `${data.where}, tensor ${name}`;
  const type = storageTypes.get(id);
  if (type === undefined) {
    problems.add({
      code: 'GGUF_TYPE_UNSUPPORTED',
      message: 'a tensor is stored in a type that Ingot does not read',
      where,
      expected: [...storageTypes.values()].map((known) => known.name).join(', '),
      found: storageTypeName(id),
      suggestion: 'use a release in these types only; most that are named Q8_0 or Q4_K_M are',
    });
    return undefined;
  }
  const elements = shape.reduce((product, extent) => product * extent, 1);
  const row = shape.at(-1) ?? 1;
  if (!shape.every(Number.isSafeInteger) || !Number.isSafeInteger(elements) || row % type.blockElements !== 0) {
    problems.add({
      code: 'GGUF_SHAPE',
      message: 'the extents of a tensor do not make whole rows of its type',
      where,
      expected: `rows of a multiple of ${type.blockElements} elements in ${type.name}, below 2^53 elements in all`,
      found: `[${shape.join(', ')}]`,
    });
    return undefined;
  }
  const begin = dataStart + offset;
  const end = begin + (elements / type.blockElements) * type.blockBytes;
  if (offset % alignment !== 0) {
    problems.add({
      code: 'GGUF_OFFSETS',
      message: 'a tensor does not begin at a multiple of the alignment',
      where,
      expected: `a multiple of ${alignment}`,
      found: formatCount(offset),
    });
    return undefined;
  }
  if (end > fileBytes) {
    problems.add({
      code: 'GGUF_OFFSETS',
      message: 'a tensor passes the end of the file',
      where,
      expected: `${formatCount(end)} bytes or more`,
      found: `${formatCount(fileBytes)} bytes`,
      suggestion: 'fetch the file again',
    });
    return undefined;
  }
  return { name, type, shape, begin, end };
}

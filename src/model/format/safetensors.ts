// The safetensors container: 8 bytes header length (little-endian), a JSON header, then raw tensor bytes.
// Format and its rules: https://github.com/huggingface/safetensors (README "Format", src/tensor.rs).
// Everything here works on bytes that nobody vouches for.

import { assert, fail, formatCount } from '../../core/index.ts';
import { DTYPE_BYTES } from './float-formats.ts';
import { isBlockPart, type StoredType } from './fused-experts.ts';
import { isJsonObject, parseJsonObject, type JsonObject } from './json.ts';
import { createProblems, type Problems } from './problems.ts';

/** The reference implementation's MAX_HEADER_SIZE (safetensors/src/tensor.rs): 100 MB. */
export const MAX_HEADER_BYTES = 100_000_000;
/** A file of the largest open models holds under 100,000; the header limit alone would admit millions. */
export const MAX_TENSORS = 262_144;
/** In UTF-16 units. Names are paths of modules; the longest in use are near 100. */
export const MAX_NAME_LENGTH = 512;
/** PyTorch tensors of language models have at most 4 dimensions. */
export const MAX_RANK = 8;

const PREFIX_BYTES = 8;
const METADATA_KEY = '__metadata__';
const DTYPES: Readonly<Record<string, StoredType>> = { F32: 'f32', F16: 'f16', BF16: 'bf16', U8: 'u8' };
const STORED_NAMES: Readonly<Record<StoredType, string>> = { f32: 'F32', f16: 'F16', bf16: 'BF16', u8: 'U8' };
/** Bytes per element. */
export const STORED_BYTES: Readonly<Record<StoredType, number>> = { ...DTYPE_BYTES, u8: 1 };

export interface TensorEntry {
  readonly name: string;
  readonly dtype: StoredType;
  readonly shape: readonly number[];
  /** Bytes [begin, end) of the file. */
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  readonly metadata: Readonly<Record<string, string>>;
  /** In the order of their bytes, which they cover without gap from the end of the header to the end of the file. */
  readonly tensors: readonly TensorEntry[];
}

/**
 * Length in bytes of the JSON header.
 * @param prefix the first 8 bytes of the file, or fewer if it has no more
 * @param fileBytes size of the whole file
 * @throws IngotError SAFETENSORS_TRUNCATED, SAFETENSORS_HEADER_TOO_LARGE
 */
export function headerLength(prefix: Uint8Array, fileBytes: number, where: string): number {
  if (prefix.length < PREFIX_BYTES || fileBytes < PREFIX_BYTES) {
    fail({
      code: 'SAFETENSORS_TRUNCATED',
      message: 'the file ends before its header length',
      where,
      expected: `at least ${PREFIX_BYTES} bytes`,
      found: `${fileBytes} bytes`,
      suggestion: 'fetch the file again',
    });
  }
  const view = new DataView(prefix.buffer, prefix.byteOffset, PREFIX_BYTES);
  // Exact up to 2⁵³, and monotonic above, which is enough to compare with the limit.
  const length = view.getUint32(4, true) * 2 ** 32 + view.getUint32(0, true);
  if (length > MAX_HEADER_BYTES) {
    fail({
      code: 'SAFETENSORS_HEADER_TOO_LARGE',
      message: 'the header is longer than the format allows',
      where: `${where}, bytes 0 to 7`,
      expected: `at most ${formatCount(MAX_HEADER_BYTES)} bytes`,
      found: `${formatCount(length)} bytes`,
      suggestion: 'check that this is a safetensors file (a .bin or .gguf under another name is not)',
    });
  }
  if (PREFIX_BYTES + length > fileBytes) {
    fail({
      code: 'SAFETENSORS_TRUNCATED',
      message: 'the file ends within its header',
      where,
      expected: `at least ${formatCount(PREFIX_BYTES + length)} bytes`,
      found: `${formatCount(fileBytes)} bytes`,
      suggestion: 'fetch the file again',
    });
  }
  return length;
}

/**
 * Header of a safetensors file, checked against the size of the file.
 * @param head at least the first 8 + header-length bytes of the file
 * @param fileBytes size of the whole file
 * @param where name of the file, for messages
 * @throws IngotError SAFETENSORS_*; many problems of tensors at once
 */
export function parseSafetensorsHeader(head: Uint8Array, fileBytes: number, where: string): SafetensorsHeader {
  const length = headerLength(head.subarray(0, PREFIX_BYTES), fileBytes, where);
  assert(head.length >= PREFIX_BYTES + length, 'the caller read the whole header');
  const json = parseJsonObject(decodeHeader(head.subarray(PREFIX_BYTES, PREFIX_BYTES + length), where), where, {
    code: 'SAFETENSORS_HEADER_MALFORMED',
  });
  const names = Object.keys(json).filter((name) => name !== METADATA_KEY);
  if (names.length > MAX_TENSORS) {
    fail({
      code: 'SAFETENSORS_LIMIT',
      message: 'the file declares too many tensors',
      where,
      expected: `at most ${formatCount(MAX_TENSORS)}`,
      found: formatCount(names.length),
    });
  }
  const problems = createProblems();
  const tensors: TensorEntry[] = [];
  for (const name of names) {
    const entry = parseEntry(name, json[name], PREFIX_BYTES + length, where, problems);
    if (entry !== undefined) tensors.push(entry);
  }
  const metadata = parseMetadata(json[METADATA_KEY], where, problems);
  // An empty tensor ends where it begins, so it stands before the one that begins there.
  tensors.sort((a, b) => a.begin - b.begin || a.end - b.end);
  // Where an entry could not be read, its bytes would look like a hole.
  if (tensors.length === names.length) checkCover(tensors, PREFIX_BYTES + length, fileBytes, where, problems);
  problems.throwIfAny();
  return { metadata, tensors };
}

function decodeHeader(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return fail({ code: 'SAFETENSORS_HEADER_MALFORMED', message: 'the header is not UTF-8 text', where });
  }
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

function parseEntry(
  name: string,
  value: unknown,
  dataStart: number,
  file: string,
  problems: Problems,
): TensorEntry | undefined {
  const where = `${file}, tensor ${name.slice(0, MAX_NAME_LENGTH)}`;
  const before = problems.count;
  if (name.length > MAX_NAME_LENGTH) {
    problems.add({ code: 'SAFETENSORS_LIMIT', message: `a name is longer than ${MAX_NAME_LENGTH} characters`, where });
  }
  const entry: JsonObject = isJsonObject(value) ? value : {};
  const { dtype, shape, data_offsets: offsets } = entry;
  const isShape = Array.isArray(shape) && shape.every(isCount);
  const isRange = Array.isArray(offsets) && offsets.length === 2 && offsets.every(isCount);
  if (typeof dtype !== 'string' || !isShape || !isRange || Object.keys(entry).length !== 3) {
    problems.add({
      code: 'SAFETENSORS_HEADER_MALFORMED',
      message: 'the entry of a tensor is not of the form that the format prescribes',
      where,
      expected: '{"dtype": text, "shape": [whole numbers], "data_offsets": [begin, end]}',
      found: JSON.stringify(value).slice(0, 120),
    });
    return undefined;
  }
  if (!Object.hasOwn(DTYPES, dtype) || (dtype === 'U8' && !isBlockPart(name))) {
    problems.add({
      code: 'SAFETENSORS_DTYPE',
      message: 'the tensor has an element type that Ingot does not read',
      where,
      expected: 'F32, F16, BF16, and U8 for the MXFP4 experts of gpt-oss',
      found: dtype.slice(0, 32),
      suggestion: 'use the bf16 or f16 release of the model, not a quantized one',
    });
    return undefined;
  }
  if (shape.length > MAX_RANK) {
    problems.add({ code: 'SAFETENSORS_LIMIT', message: `a tensor has more than ${MAX_RANK} dimensions`, where });
    return undefined;
  }
  const [begin, end] = offsets as [number, number];
  const size = (shape as number[]).reduce((product, n) => product * n, STORED_BYTES[DTYPES[dtype]]);
  if (size !== end - begin) {
    problems.add({
      code: 'SAFETENSORS_SHAPE',
      message: 'shape and element type do not account for the bytes of the tensor',
      where,
      expected: `${formatCount(size)} bytes for ${dtype} [${shape.join(', ')}]`,
      found: `data_offsets [${begin}, ${end}], ${formatCount(end - begin)} bytes`,
    });
  }
  if (problems.count > before) return undefined;
  return { name, dtype: DTYPES[dtype], shape: shape as number[], begin: dataStart + begin, end: dataStart + end };
}

function parseMetadata(value: unknown, where: string, problems: Problems): Readonly<Record<string, string>> {
  if (value === undefined) return {};
  if (isJsonObject(value) && Object.values(value).every((text) => typeof text === 'string')) {
    return value as Readonly<Record<string, string>>;
  }
  problems.add({
    code: 'SAFETENSORS_HEADER_MALFORMED',
    message: 'the metadata must be an object of texts',
    where: `${where}, ${METADATA_KEY}`,
    found: JSON.stringify(value).slice(0, 120),
  });
  return {};
}

/** Tensors must follow each other and end with the file: no overlap, no hole, nothing behind. */
function checkCover(
  tensors: readonly TensorEntry[],
  dataStart: number,
  fileBytes: number,
  file: string,
  problems: Problems,
): void {
  let covered = dataStart;
  for (const { name, begin, end } of tensors) {
    const where = `${file}, tensor ${name}`;
    if (begin !== covered) {
      problems.add({
        code: 'SAFETENSORS_OFFSETS',
        message: begin < covered ? 'the tensor overlaps the one before it' : 'there is a hole before the tensor',
        where,
        expected: `data_offsets from ${covered - dataStart}`,
        found: `data_offsets from ${begin - dataStart}`,
      });
    }
    covered = Math.max(covered, end);
  }
  if (covered > fileBytes) {
    problems.add({
      code: problems.count === 0 ? 'SAFETENSORS_TRUNCATED' : 'SAFETENSORS_OFFSETS',
      message:
        problems.count === 0 ? 'the file is shorter than its header says' : 'a tensor passes the end of the file',
      where: `${file}, tensor ${tensors.find(({ end }) => end > fileBytes)?.name}`,
      expected: `${formatCount(covered)} bytes`,
      found: `${formatCount(fileBytes)} bytes`,
      suggestion: 'fetch the file again',
    });
  } else if (covered < fileBytes) {
    problems.add({
      code: 'SAFETENSORS_OFFSETS',
      message: 'the file goes on after its last tensor',
      where: file,
      expected: `${formatCount(covered)} bytes`,
      found: `${formatCount(fileBytes)} bytes`,
    });
  }
}

export interface TensorToWrite {
  readonly name: string;
  readonly dtype: StoredType;
  readonly shape: readonly number[];
  /** Elements as stored, little-endian. */
  readonly bytes: Uint8Array;
}

/**
 * A safetensors file. The result depends on names and contents only: tensors are ordered as the reference
 * implementation orders them, wide elements first (so that each is aligned), then by name.
 */
export function encodeSafetensors(
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const ordered = [...tensors].sort(
    (a, b) => STORED_BYTES[b.dtype] - STORED_BYTES[a.dtype] || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
  );
  const entries: [string, unknown][] = [];
  const keys = Object.keys(metadata).sort();
  if (keys.length > 0) entries.push([METADATA_KEY, Object.fromEntries(keys.map((key) => [key, metadata[key]]))]);
  let end = 0;
  for (const { name, dtype, shape, bytes } of ordered) {
    const size = shape.reduce((product, n) => product * n, STORED_BYTES[dtype]);
    assert(bytes.length === size, `tensor ${name} has ${bytes.length} bytes, its shape wants ${size}`);
    entries.push([name, { dtype: STORED_NAMES[dtype], shape, data_offsets: [end, end + size] }]);
    end += size;
  }
  assert(new Set(entries.map(([name]) => name)).size === entries.length, 'tensor names are distinct');
  // Written member by member: an object would move keys that look like integers to the front.
  const members = entries.map(([name, entry]) => `${JSON.stringify(name)}:${JSON.stringify(entry)}`);
  const header = new TextEncoder().encode(`{${members.join(',')}}`);
  // Padded with spaces, so that the data starts at a multiple of 8.
  const padded = Math.ceil(header.length / 8) * 8;
  const file = new Uint8Array(PREFIX_BYTES + padded + end).fill(0x20, PREFIX_BYTES, PREFIX_BYTES + padded);
  new DataView(file.buffer).setBigUint64(0, BigInt(padded), true);
  file.set(header, PREFIX_BYTES);
  let at = PREFIX_BYTES + padded;
  for (const { bytes } of ordered) {
    file.set(bytes, at);
    at += bytes.length;
  }
  return file;
}

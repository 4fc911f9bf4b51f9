// GGUF version 3 with float32, half-precision and 8-bit tensors: enough to hand a model to llama.cpp.
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md

import { roundToF16 } from '../../src/wafer/index.ts';

/** Value types of GGUF metadata that are written here. */
const types = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9 } as const;
/** Element types of tensors (ggml.h). */
const tensorTypes = { f32: 0, f16: 1, q8_0: 8 } as const;
export type GgufType = keyof typeof tensorTypes;
const alignment = 32;

export type GgufValue =
  | { readonly u32: number }
  | { readonly f32: number }
  | { readonly bool: boolean }
  | { readonly string: string }
  | { readonly strings: readonly string[] }
  | { readonly f32s: readonly number[] }
  | { readonly i32s: readonly number[] };

export interface GgufTensor {
  readonly name: string;
  /** Row-major extents, outermost first; GGUF itself lists the innermost first. */
  readonly shape: readonly number[];
  readonly values: Float32Array;
  /** How the values are stored; f32 when absent. */
  readonly type?: GgufType;
}

/** Values per block of q8_0, which share a scale. */
const q8Block = 32;

function stored({ values, type = 'f32' }: GgufTensor): Buffer {
  switch (type) {
    case 'f32':
      return Buffer.from(values.buffer, values.byteOffset, values.byteLength);
    case 'f16':
      return Buffer.from(Uint16Array.from(values, f16Bits).buffer);
    case 'q8_0':
      return q8Bytes(values);
  }
}

const storedBytes = ({ values, type = 'f32' }: GgufTensor): number =>
  type === 'f32' ? values.length * 4 : type === 'f16' ? values.length * 2 : (values.length / q8Block) * (q8Block + 2);

/** Bits of the nearest half. */
function f16Bits(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(roundToF16(value));
  if (magnitude === Infinity) return sign | 0x7c00;
  if (magnitude < 2 ** -14) return sign | (magnitude * 2 ** 24);
  const exponent = Math.floor(Math.log2(magnitude));
  return sign | ((exponent + 15) << 10) | ((magnitude / 2 ** exponent - 1) * 1024);
}

/** Per block: the scale, largest magnitude / 127, as a half, then 32 integers. */
function q8Bytes(values: Float32Array): Buffer {
  const bytes = Buffer.alloc((values.length / q8Block) * (q8Block + 2));
  for (let block = 0; block * q8Block < values.length; block++) {
    const from = values.subarray(block * q8Block, (block + 1) * q8Block);
    const most = from.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
    const at = block * (q8Block + 2);
    bytes.writeUInt16LE(f16Bits(most / 127), at);
    for (const [i, value] of from.entries())
      bytes.writeInt8(most === 0 ? 0 : Math.round((value / most) * 127), at + 2 + i);
  }
  return bytes;
}

export function encodeGguf(
  metadata: Readonly<Record<string, GgufValue>>,
  tensors: readonly GgufTensor[],
): Uint8Array<ArrayBuffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  const put = (chunk: Buffer): void => {
    chunks.push(chunk);
    length += chunk.length;
  };
  const number = (bytes: number, write: (buffer: Buffer) => void): void => {
    const buffer = Buffer.alloc(bytes);
    write(buffer);
    put(buffer);
  };
  const u32 = (value: number): void => number(4, (buffer) => buffer.writeUInt32LE(value));
  const i32 = (value: number): void => number(4, (buffer) => buffer.writeInt32LE(value));
  const f32 = (value: number): void => number(4, (buffer) => buffer.writeFloatLE(value));
  const u64 = (value: number): void => number(8, (buffer) => buffer.writeBigUInt64LE(BigInt(value)));
  const string = (value: string): void => {
    const bytes = Buffer.from(value, 'utf8');
    u64(bytes.length);
    put(bytes);
  };
  const array = <T>(type: number, values: readonly T[], write: (value: T) => void): void => {
    u32(types.array);
    u32(type);
    u64(values.length);
    for (const value of values) write(value);
  };
  const pad = (): void => put(Buffer.alloc((alignment - (length % alignment)) % alignment));

  put(Buffer.from('GGUF'));
  u32(3);
  u64(tensors.length);
  u64(Object.keys(metadata).length);
  for (const [key, value] of Object.entries(metadata)) {
    string(key);
    if ('strings' in value) array(types.string, value.strings, string);
    else if ('f32s' in value) array(types.f32, value.f32s, f32);
    else if ('i32s' in value) array(types.i32, value.i32s, i32);
    else if ('string' in value) {
      u32(types.string);
      string(value.string);
    } else if ('bool' in value) {
      u32(types.bool);
      put(Buffer.of(value.bool ? 1 : 0));
    } else if ('f32' in value) {
      u32(types.f32);
      f32(value.f32);
    } else {
      u32(types.u32);
      u32(value.u32);
    }
  }
  let offset = 0;
  for (const tensor of tensors) {
    const { name, shape, type = 'f32' } = tensor;
    string(name);
    u32(shape.length);
    for (const extent of shape.toReversed()) u64(extent);
    u32(tensorTypes[type]);
    u64(offset);
    offset += Math.ceil(storedBytes(tensor) / alignment) * alignment;
  }
  pad();
  for (const tensor of tensors) {
    put(stored(tensor));
    pad();
  }
  const file = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    file.set(chunk, at);
    at += chunk.length;
  }
  return file;
}

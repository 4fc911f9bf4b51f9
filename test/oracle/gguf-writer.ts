// GGUF version 3, float32 tensors only: enough to hand a small model to llama.cpp.
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md

/** Value types of GGUF metadata that are written here. */
const types = { u32: 4, i32: 5, f32: 6, string: 8, array: 9 } as const;
const tensorF32 = 0;
const alignment = 32;

export type GgufValue =
  | { readonly u32: number }
  | { readonly f32: number }
  | { readonly string: string }
  | { readonly strings: readonly string[] }
  | { readonly f32s: readonly number[] }
  | { readonly i32s: readonly number[] };

export interface GgufTensor {
  readonly name: string;
  /** Row-major extents, outermost first; GGUF itself lists the innermost first. */
  readonly shape: readonly number[];
  readonly values: Float32Array;
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
    } else if ('f32' in value) {
      u32(types.f32);
      f32(value.f32);
    } else {
      u32(types.u32);
      u32(value.u32);
    }
  }
  let offset = 0;
  for (const { name, shape, values } of tensors) {
    string(name);
    u32(shape.length);
    for (const extent of shape.toReversed()) u64(extent);
    u32(tensorF32);
    u64(offset);
    offset += Math.ceil(values.byteLength / alignment) * alignment;
  }
  pad();
  for (const { values } of tensors) {
    put(Buffer.from(values.buffer, values.byteOffset, values.byteLength));
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

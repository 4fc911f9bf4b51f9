// Writes GGUF files for tests, sound or damaged: every number in the header can be set apart from what it describes.
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md

/** Ids of the types of metadata. */
const valueIds = {
  u8: 0,
  i8: 1,
  u16: 2,
  i16: 3,
  u32: 4,
  i32: 5,
  f32: 6,
  bool: 7,
  string: 8,
  array: 9,
  u64: 10,
  i64: 11,
  f64: 12,
} as const;
export type ValueType = keyof typeof valueIds;

/** A value with its type; an array has the type of its elements beside it. */
export type TypedValue =
  | { readonly type: Exclude<ValueType, 'array'>; readonly value: unknown }
  | { readonly type: 'array'; readonly of: ValueType; readonly value: readonly unknown[]; readonly length?: number };

/** ggml's ids of element types. */
export const tensorTypes = {
  F32: 0,
  F16: 1,
  Q4_0: 2,
  Q5_0: 6,
  Q8_0: 8,
  Q4_K: 12,
  Q6_K: 14,
  BF16: 30,
  MXFP4: 39,
} as const;

export interface RawTensor {
  readonly name: string;
  /** Outermost first. */
  readonly shape: readonly number[];
  readonly type: number;
  readonly bytes: Uint8Array;
  /** Where the header says that it begins, counted from the first tensor. */
  readonly offset?: number;
}

export interface RawGguf {
  readonly metadata: readonly (readonly [string, TypedValue])[];
  readonly tensors: readonly RawTensor[];
  readonly version?: number;
  readonly tensorCount?: number;
  readonly metadataCount?: number;
  readonly alignment?: number;
}

export function writeGguf(file: RawGguf): Uint8Array<ArrayBuffer> {
  const { metadata, tensors, alignment = 32 } = file;
  let bytes = new Uint8Array(2 ** 12);
  let length = 0;
  const room = (count: number): number => {
    if (length + count > bytes.length) {
      const larger = new Uint8Array(2 * (length + count));
      larger.set(bytes);
      bytes = larger;
    }
    length += count;
    return length - count;
  };
  const view = (count: number): DataView => {
    const at = room(count);
    return new DataView(bytes.buffer, at, count);
  };
  const put = (chunk: Uint8Array): void => {
    // First the room, which may move the bytes.
    const at = room(chunk.length);
    bytes.set(chunk, at);
  };
  const u32 = (value: number): void => view(4).setUint32(0, value, true);
  const u64 = (value: number | bigint): void => view(8).setBigUint64(0, BigInt(value), true);
  const string = (text: string): void => {
    const encoded = new TextEncoder().encode(text);
    u64(encoded.length);
    put(encoded);
  };
  const scalar = (type: ValueType, value: unknown): void => {
    if (type === 'string') string(value as string);
    else if (type === 'u64') u64(value as number);
    else if (type === 'i64') view(8).setBigInt64(0, BigInt(value as number), true);
    else if (type === 'f64') view(8).setFloat64(0, value as number, true);
    else if (type === 'f32') view(4).setFloat32(0, value as number, true);
    else if (type === 'u32' || type === 'i32') view(4).setInt32(0, value as number, true);
    else if (type === 'u16' || type === 'i16') view(2).setInt16(0, value as number, true);
    else if (type === 'array') array(value as TypedValue & { type: 'array' });
    else view(1).setInt8(0, Number(value));
  };
  const array = (value: TypedValue & { type: 'array' }): void => {
    u32(valueIds[value.of]);
    u64(value.length ?? value.value.length);
    for (const element of value.value) scalar(value.of, element);
  };
  const pad = (): void => put(new Uint8Array((alignment - (length % alignment)) % alignment));

  put(new TextEncoder().encode('GGUF'));
  u32(file.version ?? 3);
  u64(file.tensorCount ?? tensors.length);
  u64(file.metadataCount ?? metadata.length);
  for (const [key, value] of metadata) {
    string(key);
    u32(valueIds[value.type]);
    if (value.type === 'array') array(value);
    else scalar(value.type, value.value);
  }
  let offset = 0;
  for (const tensor of tensors) {
    string(tensor.name);
    u32(tensor.shape.length);
    for (const extent of tensor.shape.toReversed()) u64(extent);
    u32(tensor.type);
    u64(tensor.offset ?? offset);
    offset += Math.ceil(tensor.bytes.length / alignment) * alignment;
  }
  pad();
  for (const tensor of tensors) {
    put(tensor.bytes);
    pad();
  }
  return bytes.slice(0, length);
}

export const u32 = (value: number): TypedValue => ({ type: 'u32', value });
export const f32 = (value: number): TypedValue => ({ type: 'f32', value });
export const bool = (value: boolean): TypedValue => ({ type: 'bool', value });
export const text = (value: string): TypedValue => ({ type: 'string', value });
export const list = (of: ValueType, value: readonly unknown[]): TypedValue => ({ type: 'array', of, value });

/** Random access to bytes in memory, as the readers want it. */
export const sourceOf = (file: Uint8Array): { bytes: number; read(target: Uint8Array, position: number): void } => ({
  bytes: file.length,
  read(target, position) {
    if (position < 0 || position + target.length > file.length) throw new Error('read outside the file');
    target.set(file.subarray(position, position + target.length));
  },
});

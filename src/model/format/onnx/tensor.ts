// Tensors of an ONNX file: where their bytes lie, and their elements where a few are wanted.

import type { DType } from '../../graph.ts';
import { f16BitsToF32Bits, widenInto } from '../float-formats.ts';
import type { ByteSource } from '../gguf-cursor.ts';

interface ElementType {
  readonly name: string;
  readonly bytes: number;
  /** What weights of this type are handed on as; absent: not a type for weights. */
  readonly dtype?: DType;
  readonly isFloat: boolean;
  read(view: DataView, at: number): number;
}

const bits = new Uint32Array(1);
const float = new Float32Array(bits.buffer);
const fromBits = (pattern: number): number => {
  bits[0] = pattern;
  return float[0];
};

const integer = (name: string, bytes: number, read: ElementType['read']): ElementType => ({
  name,
  bytes,
  isFloat: false,
  read,
});

/** Element types by the number of `TensorProto.DataType` (onnx.proto3 of https://github.com/onnx/onnx). */
export const elementTypes: ReadonlyMap<number, ElementType> = new Map<number, ElementType>([
  [1, { name: 'float', bytes: 4, dtype: 'f32', isFloat: true, read: (view, at) => view.getFloat32(at, true) }],
  [2, integer('uint8', 1, (view, at) => view.getUint8(at))],
  [3, integer('int8', 1, (view, at) => view.getInt8(at))],
  [4, integer('uint16', 2, (view, at) => view.getUint16(at, true))],
  [5, integer('int16', 2, (view, at) => view.getInt16(at, true))],
  [6, integer('int32', 4, (view, at) => view.getInt32(at, true))],
  [7, integer('int64', 8, (view, at) => Number(view.getBigInt64(at, true)))],
  [9, integer('bool', 1, (view, at) => (view.getUint8(at) === 0 ? 0 : 1))],
  [
    10,
    {
      name: 'float16',
      bytes: 2,
      dtype: 'f16',
      isFloat: true,
      read: (view, at) => fromBits(f16BitsToF32Bits(view.getUint16(at, true))),
    },
  ],
  [11, { name: 'double', bytes: 8, isFloat: true, read: (view, at) => view.getFloat64(at, true) }],
  [12, integer('uint32', 4, (view, at) => view.getUint32(at, true))],
  [13, integer('uint64', 8, (view, at) => Number(view.getBigUint64(at, true)))],
  [
    16,
    {
      name: 'bfloat16',
      bytes: 2,
      dtype: 'bf16',
      isFloat: true,
      read: (view, at) => fromBits(view.getUint16(at, true) << 16),
    },
  ],
]);

export const FLOAT = 1;
export const INT64 = 7;
export const BOOL = 9;

export interface OnnxTensor {
  readonly name: string;
  /** A key of `elementTypes`. */
  readonly type: number;
  /** Row-major extents, outermost first. */
  readonly dims: readonly number[];
  /** The bytes of the elements, little-endian: of this source from `begin` on. */
  readonly source: ByteSource;
  readonly begin: number;
}

export const elementsOf = (dims: readonly number[]): number => dims.reduce((product, extent) => product * extent, 1);

export const typeOf = ({ type }: OnnxTensor): ElementType => elementTypes.get(type)!;

/** Elements [from, to), in the order of the file. */
export function readElements(tensor: OnnxTensor, from: number, to: number): Float64Array {
  const { bytes, read } = typeOf(tensor);
  const stored = new Uint8Array((to - from) * bytes);
  if (stored.length > 0) tensor.source.read(stored, tensor.begin + from * bytes);
  const view = new DataView(stored.buffer);
  return Float64Array.from({ length: to - from }, (_, i) => read(view, i * bytes));
}

/** Elements [from, to) of a tensor of floats of 32 or 16 bits, widened. */
export function readFloats(tensor: OnnxTensor, from: number, to: number): Float32Array {
  const { bytes, dtype } = typeOf(tensor);
  const stored = new Uint8Array((to - from) * bytes);
  if (stored.length > 0) tensor.source.read(stored, tensor.begin + from * bytes);
  const values = new Float32Array(to - from);
  widenInto(values, 0, stored, dtype!);
  return values;
}

/** A tensor whose bytes are in memory. */
export const tensorOf = (name: string, type: number, dims: readonly number[], bytes: Uint8Array): OnnxTensor => ({
  name,
  type,
  dims,
  source: {
    bytes: bytes.length,
    read: (target, position) => target.set(bytes.subarray(position, position + target.length)),
  },
  begin: 0,
});

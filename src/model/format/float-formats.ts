// The three element types of checkpoints and their exact widening to float32. Bytes are little-endian in
// files, and on every machine that Node runs on, so typed arrays read them directly.

import { assert } from '../../core/index.ts';
import type { DType } from '../graph.ts';

/** Bytes per element. */
export const DTYPE_BYTES: Readonly<Record<DType, number>> = { f32: 4, f16: 2, bf16: 2 };

/**
 * Bit pattern of the float32 equal to the binary16 pattern `half` (IEEE 754-2019: 1 sign, 5 exponent with
 * bias 15, 10 fraction). Every binary16 value is a float32 value. A NaN keeps its payload.
 */
export function f16BitsToF32Bits(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0x1f) return (sign | 0x7f800000 | (fraction << 13)) >>> 0;
  if (exponent !== 0) return (sign | ((exponent + 112) << 23) | (fraction << 13)) >>> 0;
  if (fraction === 0) return sign >>> 0;
  // Subnormal: fraction · 2⁻²⁴; its leading bit becomes the implicit one.
  const shift = Math.clz32(fraction) - 21;
  return (sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13)) >>> 0;
}

/** bfloat16 is the upper half of float32. */
export const bf16BitsToF32Bits = (pattern: number): number => (pattern << 16) >>> 0;

let f16Table: Uint32Array | undefined;

/**
 * Widen stored elements into `target` from element `at` on.
 * @param stored a whole number of elements, little-endian, at any alignment
 */
export function widenInto(target: Float32Array, at: number, stored: Uint8Array, dtype: DType): void {
  const size = DTYPE_BYTES[dtype];
  const count = stored.length / size;
  assert(Number.isInteger(count) && at + count <= target.length, 'stored elements fit the target');
  if (dtype === 'f32') {
    new Uint8Array(target.buffer, target.byteOffset + 4 * at, stored.length).set(stored);
    return;
  }
  const aligned = stored.byteOffset % 2 === 0 ? stored : stored.slice();
  const source = new Uint16Array(aligned.buffer, aligned.byteOffset, count);
  // Through integer patterns: a float store may change the payload of a NaN.
  const bits = new Uint32Array(target.buffer, target.byteOffset + 4 * at, count);
  if (dtype === 'bf16') {
    for (let i = 0; i < count; i++) bits[i] = source[i] << 16;
    return;
  }
  f16Table ??= Uint32Array.from({ length: 0x10000 }, (_, half) => f16BitsToF32Bits(half));
  for (let i = 0; i < count; i++) bits[i] = f16Table[source[i]];
}

/** Stored bfloat16 of float32 values, rounded to nearest, ties to even; a NaN stays a NaN. */
export function f32ToBf16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) {
    const b = bits[i];
    out[i] = (b & 0x7fffffff) > 0x7f800000 ? (b >>> 16) | 0x40 : (b + 0x7fff + ((b >>> 16) & 1)) >>> 16;
  }
  return out;
}

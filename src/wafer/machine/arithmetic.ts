// What a vector or scalar operation computes, for every number type of the PE: the only place.
// Values travel as JavaScript numbers that are exactly representable in their type. `mac` rounds once
// (product and sum in double, then to the type). Overflow of integers wraps, of floats goes to infinity.

import type { Dtype, ScalarOp, VectorOp } from './pe-program.ts';

export const dtypeCode = { fp32: 0, fp16: 1, i32: 2, i16: 3 } as const satisfies Record<Dtype, number>;
export const opCode = {
  mov: 0,
  add: 1,
  sub: 2,
  mul: 3,
  mac: 4,
  max: 5,
  min: 6,
  convert: 0,
  div: 7,
  sqrt: 8,
} as const satisfies Record<VectorOp | ScalarOp, number>;

/** Operations that take the wafer's division time. */
export const isDivision = (op: number): boolean => op === opCode.div || op === opCode.sqrt;

/** Two elements of the type share a wavelet. */
export const isPacked = (dtype: number): boolean => dtype === dtypeCode.fp16 || dtype === dtypeCode.i16;

const f64 = new Float64Array(1);
const f64Words = new Int32Array(f64.buffer);
const f32 = new Float32Array(1);
const f32Bits = new Int32Array(f32.buffer);

const doubleBias = 1023;
/** By exponent field of a double, up to fp16's largest: 1.5 * 2^52 times the fp16 unit in the last place. */
const roundingConstants = Float64Array.from(
  { length: doubleBias + 16 },
  (_, field) => 6755399441055744 * 2 ** (Math.max(field - doubleBias, -14) - 10),
);

/** Nearest fp16 value (ties to even), directly from double: no double rounding. */
export function roundHalf(x: number): number {
  f64[0] = x;
  const field = (f64Words[1] >>> 20) & 0x7ff;
  if (field > doubleBias + 15) return Number.isNaN(x) ? NaN : x > 0 ? Infinity : -Infinity;
  // Adding and taking away this constant leaves x rounded to a multiple of the unit.
  const magic = roundingConstants[field];
  const rounded = x + magic - magic;
  if (rounded > 65504) return Infinity;
  if (rounded < -65504) return -Infinity;
  return rounded === 0 ? x * 0 : rounded;
}

/** `Float16Array`, which Node has from version 24 on; it rounds as `roundHalf` does. */
export const FloatSixteen = (globalThis as { Float16Array?: new (buffer: ArrayBufferLike) => Record<number, number> })
  .Float16Array;

/** The bits of the only NaN that fp16 operations give. */
export const halfNaN = 0x7e00;

/** What `mov` makes of the bits of a 16-bit element: the same, but that there is one fp16 NaN only. */
export const copiedBits = (dtype: number, bits: number): number =>
  dtype === dtypeCode.fp16 && (bits & 0x7fff) > 0x7c00 ? halfNaN : bits;

const halfValues = Float32Array.from({ length: 65536 }, (_, bits) => {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
});

/** 16 bits of a value that already is an fp16 number. */
export function halfToBits(x: number): number {
  f32[0] = x;
  const bits = f32Bits[0];
  const sign = (bits >>> 16) & 0x8000;
  const exponent = ((bits >>> 23) & 255) - 112;
  if (exponent >= 31) return sign | 0x7c00 | (Number.isNaN(x) ? 0x200 : 0);
  if (exponent <= 0) return sign | (Math.abs(x) * 2 ** 24);
  return sign | (exponent << 10) | ((bits >>> 13) & 1023);
}

/** The bits of a value of type `dtype`, in the low half for 16-bit types. */
export function toBits(dtype: number, value: number): number {
  switch (dtype) {
    case dtypeCode.fp32:
      f32[0] = value;
      return f32Bits[0];
    case dtypeCode.fp16:
      return halfToBits(value);
    case dtypeCode.i32:
      return value | 0;
    default:
      return value & 0xffff;
  }
}

export function fromBits(dtype: number, bits: number): number {
  switch (dtype) {
    case dtypeCode.fp32:
      f32Bits[0] = bits;
      return f32[0];
    case dtypeCode.fp16:
      return halfValues[bits & 0xffff];
    case dtypeCode.i32:
      return bits | 0;
    default:
      return (bits << 16) >> 16;
  }
}

/** Nearest value of the type; integers truncate towards zero and wrap. */
export function roundTo(dtype: number, value: number): number {
  switch (dtype) {
    case dtypeCode.fp32:
      return Math.fround(value);
    case dtypeCode.fp16:
      return roundHalf(value);
    case dtypeCode.i32:
      return value | 0;
    default:
      return (value << 16) >> 16;
  }
}

/** One element of a vector operation, or one scalar operation. */
export function compute(op: number, dtype: number, a: number, b: number, c: number): number {
  switch (op) {
    case opCode.mov:
      return roundTo(dtype, a);
    case opCode.add:
      return roundTo(dtype, a + b);
    case opCode.sub:
      return roundTo(dtype, a - b);
    case opCode.mul:
      return dtype === dtypeCode.i32 ? Math.imul(a, b) : roundTo(dtype, a * b);
    case opCode.mac:
      return dtype === dtypeCode.i32 ? (a + Math.imul(b, c)) | 0 : roundTo(dtype, a + b * c);
    case opCode.max:
      return Math.max(a, b);
    case opCode.div:
      return roundTo(dtype, a / b);
    case opCode.sqrt:
      return roundTo(dtype, Math.sqrt(a));
    default:
      return Math.min(a, b);
  }
}

/** Source operands that each operation takes. */
export const sourceCount: Readonly<Record<VectorOp, number>> = {
  mov: 1,
  convert: 1,
  add: 2,
  sub: 2,
  mul: 2,
  max: 2,
  min: 2,
  mac: 3,
};

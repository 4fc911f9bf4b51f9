// exp as vector instructions, as `exp32` in wafer/arithmetic.ts defines it (range reduction by a two-part ln 2,
// polynomial by Cephes, scaling by the exponent's bits), with two differences of the machine: a
// multiply-accumulate rounds once, and arguments are clamped to where the type has a normal result.
// `exponential.test.ts` holds the error against Math.exp.

import { f32, roundToF16 } from '../../arithmetic.ts';
import { vectorsOf, type Instruction, type MemoryRequest, type VectorOp } from '../../machine/index.ts';
import type { VectorType } from '../../phase.ts';

/** Vector instructions of one exponential. */
export const expVectors = 14;

interface Constants {
  readonly lowest: number;
  readonly highest: number;
  /** 1.5 times the value whose unit in the last place is 1: adding it leaves the nearest integer in the low bits. */
  readonly shifter: number;
  /** Multiplying the shifter's bits and that integer by this leaves the integer in the exponent's place. */
  readonly toExponent: number;
}

const constants: Readonly<Record<VectorType, Constants>> = {
  fp32: { lowest: -87, highest: 88, shifter: 1.5 * 2 ** 23, toExponent: 2 ** 23 },
  fp16: { lowest: -9.6875, highest: 11, shifter: 1.5 * 2 ** 10, toExponent: 2 ** 10 },
};

/** Cephes 2.2, `expf.c`: from r^7 down to r^2; then r and 1. */
const polynomial = [
  1.98756915e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1, 1, 1,
];
const ln2High = 0.693359375;
const ln2Low = -2.1219444e-4;

const bitsType = { fp32: 'i32', fp16: 'i16' } as const;

/** What an exponential needs beside its argument, which starts in bank 0: `e` is the result. */
export const exponentialMemory = (length: number, type: VectorType): MemoryRequest[] => [
  { name: 'e', dtype: type, length, bank: 4 },
  { name: 'e bits', dtype: bitsType[type], length, over: 'e' },
  { name: 'n', dtype: type, length, bank: 0 },
  { name: 'n bits', dtype: bitsType[type], length, over: 'n' },
  { name: 'r', dtype: type, length, bank: 0 },
];

/** A constant as the type holds it. */
export const held = (value: number, type: VectorType): number =>
  type === 'fp32' ? f32(value) : roundToF16(f32(value));

/** Writes vector instructions whose constants are as the type holds them. */
export const vectorsHolding =
  (type: VectorType) =>
  (op: VectorOp, dst: string, ...src: (string | number)[]): Instruction =>
    vectorsOf(type)(op, dst, ...src.map((s) => (typeof s === 'number' ? held(s, type) : s)));

/**
 * e = exp(sign · x), through DSDs of one length with the names of `exponentialMemory` and one for x. x may be the
 * DSD "r": it is read once, before anything is written.
 */
export function exponential(x: string, sign: 1 | -1, type: VectorType): Instruction[] {
  const { lowest, highest, shifter, toExponent } = constants[type];
  const vector = vectorsHolding(type);
  const [first, ...rest] = polynomial;
  // r is sign · (the remainder), so that x need not be negated; odd coefficients take the sign back.
  const signed = (coefficient: number, power: number): number => (power % 2 === 1 ? sign * coefficient : coefficient);
  return [
    vector('max', 'r', x, sign === 1 ? lowest : -highest),
    vector('min', 'r', 'r', sign === 1 ? highest : -lowest),
    vector('mac', 'n', shifter, 'r', sign * Math.LOG2E),
    vector('sub', 'e', 'n', shifter),
    vector('mac', 'r', 'r', 'e', -sign * ln2High),
    vector('mac', 'r', 'r', 'e', -sign * ln2Low),
    ...rest.map((coefficient, i) =>
      vector('mac', 'e', signed(coefficient, 6 - i), 'r', i === 0 ? signed(first, 7) : 'e'),
    ),
    vectorsOf(bitsType[type])('mac', 'e bits', 'e bits', 'n bits', toExponent),
  ];
}

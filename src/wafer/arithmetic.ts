// The fp32 arithmetic of the PEs, one rounded operation at a time, as JavaScript can state it: a sum, product,
// quotient or square root of two fp32 values computed in float64 and rounded once is the correctly rounded fp32
// result (Figueroa 1995, "When is double rounding innocuous?"). There is no fused multiply-add: results must
// not depend on the machine that computes them. Executors implement these functions bit for bit.

import { clampedSilu } from '../model/index.ts';

/** Round to fp32. */
export const f32 = Math.fround;

/** Nearest integer of an fp32 value below 2^22 in magnitude, ties to even. */
export const nearest = (x: number): number => f32(f32(x + 12582912) - 12582912);

/** Coefficients of exp on [-ln 2 / 2, ln 2 / 2] and a two-part ln 2 (Moshier, Cephes 2.2, `expf.c`). */
const expCoefficients = [
  1.98756915e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1,
].map(f32);
const log2e = f32(Math.LOG2E);
const ln2High = 0.693359375;
const ln2Low = f32(-2.1219444e-4);

/**
 * exp(x), relative error below 2e-7 on [-87, 88] (tested against Math.exp). 0 below -87, infinity above 88:
 * results that fp32 could only hold with less precision, or not at all.
 */
export function exp32(x: number): number {
  if (x > 88) return Infinity;
  if (x < -87) return 0;
  const n = nearest(f32(x * log2e));
  const r = f32(f32(x - f32(n * ln2High)) - f32(n * ln2Low));
  let p = expCoefficients[0];
  for (let i = 1; i < expCoefficients.length; i++) p = f32(f32(p * r) + expCoefficients[i]);
  const y = f32(f32(f32(p * f32(r * r)) + r) + 1);
  return f32(y * 2 ** n);
}

/** x · sigmoid(x), as x / (1 + exp(-x)). */
export const silu32 = (x: number): number => f32(x / f32(1 + exp32(-x)));

/** GELU in its tanh form, x · (1 + tanh u) / 2 with u = √(2/π) · (x + 0.044715 x³), as x / (1 + exp(-2u)). */
export function geluTanh32(x: number): number {
  const cube = f32(f32(x * x) * x);
  const twice = f32(f32(1.5957691216057308) * f32(x + f32(f32(0.044715) * cube)));
  return f32(x / f32(1 + exp32(-twice)));
}

/** Odd polynomial of tanh on [-0.625, 0.625] (Moshier, Cephes 2.2, `tanhf.c`). */
const tanhCoefficients = [
  -5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1,
].map(f32);
const tanhPolynomialBound = 0.625;

/** tanh(x), relative error below 3e-7: a polynomial near 0, and 1 - 2 / (exp(2|x|) + 1) beyond. */
export function tanh32(x: number): number {
  const magnitude = Math.abs(x);
  if (magnitude >= tanhPolynomialBound) {
    const bounded = f32(1 - f32(2 / f32(exp32(f32(magnitude + magnitude)) + 1)));
    return x < 0 ? -bounded : bounded;
  }
  const square = f32(x * x);
  let p = tanhCoefficients[0];
  for (let i = 1; i < tanhCoefficients.length; i++) p = f32(f32(p * square) + tanhCoefficients[i]);
  return f32(f32(f32(p * square) * x) + x);
}

/** cap · tanh(x / cap), with one over the cap rounded first. */
export const softcap32 = (x: number, cap: number): number => f32(f32(cap) * tanh32(f32(x * f32(1 / f32(cap)))));

/** min(gate, limit) · sigmoid(slope · gate) · (up within ±limit, plus 1), as a quotient times a sum. */
export function clampedSilu32(gate: number, up: number): number {
  const { slope, limit } = clampedSilu;
  const x = Math.min(gate, limit);
  const quotient = f32(x / f32(1 + exp32(f32(f32(-slope) * x))));
  return f32(quotient * f32(Math.min(Math.max(up, -limit), limit) + 1));
}

const word = new Uint32Array(1);
const wordAsFloat = new Float32Array(word.buffer);

/** Nearest bfloat16 of a finite fp32 value, ties to even. */
export function roundToBf16(x: number): number {
  wordAsFloat[0] = x;
  word[0] = (word[0] + 0x7fff + ((word[0] >>> 16) & 1)) & 0xffff0000;
  return wordAsFloat[0];
}

/** Nearest IEEE half of an fp32 value, ties to even; infinite from 65520 up. */
export function roundToF16(x: number): number {
  const sign = x < 0 || Object.is(x, -0) ? -1 : 1;
  const magnitude = Math.abs(x);
  if (!(magnitude < 65520)) return sign * Infinity;
  // A half has 11 significant bits, and no bit below 2^-24. Powers of two scale exactly in float64.
  const exponent = magnitude < 2 ** -14 ? -14 : Math.floor(Math.log2(magnitude));
  const unit = 2 ** (exponent - 10);
  const scaled = magnitude / unit;
  const floor = Math.floor(scaled);
  const rest = scaled - floor;
  const up = rest > 0.5 || (rest === 0.5 && floor % 2 !== 0);
  return sign * (up ? floor + 1 : floor) * unit;
}

/** int8 values and the fp32 value of one step: x ≈ q · scale. */
export interface QuantizedRow {
  readonly q: Int8Array;
  readonly scale: number;
}

/** Rows whose largest magnitude is below this are all zeros when quantized: 127 / magnitude must be finite. */
export const smallestScaled = 2 ** -100;

/** Symmetric int8: scale = largest magnitude / 127, values rounded to nearest, ties to even. */
export function quantizeRow(row: Float32Array): QuantizedRow {
  let most = 0;
  for (const x of row) if (Math.abs(x) > most) most = Math.abs(x);
  if (most < smallestScaled) return { q: new Int8Array(row.length), scale: 0 };
  const inverse = f32(127 / most);
  const q = Int8Array.from(row, (x) => Math.max(-127, Math.min(127, nearest(f32(x * inverse)))));
  return { q, scale: f32(most / 127) };
}

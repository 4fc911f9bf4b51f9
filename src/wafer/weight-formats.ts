// The formats in which a program may hold weights and cached values, and what each does to a number: one definition,
// which the interpreter uses and executors are held to bit for bit.

import { f32, nearest, quantizeRow, roundToBf16, roundToF16, smallestScaled } from './arithmetic.ts';
import type { VectorType } from './phase.ts';

/** What a format is, as data. */
interface Format {
  /** Bits of an element, scales apart. */
  readonly bits: number;
  /** Elements of a row that share a scale; 'row': all of them. Absent: no scale. */
  readonly group?: number | 'row';
  /** Bytes of a scale. */
  readonly scaleBytes?: number;
  readonly meaning: string;
}

const int4 = (group: number): Format => ({
  bits: 4,
  group,
  scaleBytes: 2,
  meaning: `4-bit integers from -7 to 7, one bf16 scale for ${group} neighbours of a row`,
});

export const weightFormats = {
  f32: { bits: 32, meaning: 'IEEE single' },
  bf16: { bits: 16, meaning: 'bfloat16' },
  f16: { bits: 16, meaning: 'IEEE half' },
  int8: { bits: 8, group: 'row', scaleBytes: 4, meaning: 'int8 with an fp32 scale a row, times int8 activations' },
  fp8: { bits: 8, group: 'row', scaleBytes: 4, meaning: 'OCP FP8 e4m3 with an fp32 scale a row' },
  'int4-32': int4(32),
  'int4-64': int4(64),
  'int4-128': int4(128),
} as const satisfies Readonly<Record<string, Format>>;

export type WeightFormat = keyof typeof weightFormats;
export const weightFormatNames = Object.keys(weightFormats) as readonly WeightFormat[];

export const formatOf = (name: WeightFormat): Format => weightFormats[name];
/** Elements of a row of `k` that share a scale; 0 where there is none. */
export function groupOf(name: WeightFormat, k: number): number {
  const { group = 0 } = formatOf(name);
  return group === 'row' ? k : group;
}

/** Types of cached keys and values; int8 has an fp32 scale for each head and token. */
export type KvType = VectorType | 'int8';
export const kvTypes: readonly KvType[] = ['fp16', 'fp32', 'int8'];
export const kvBytes: Readonly<Record<KvType, number>> = { fp16: 2, fp32: 4, int8: 1 };
/** Bytes of the scale of a head's keys, or values, of one token. */
export const kvScaleBytes = 4;

/** Largest value of OCP FP8 e4m3 (OFP8 specification 1.0, table 1): S.1111.110. */
export const largestE4m3 = 448;
/** Exponent of its smallest normal, and bits of the fraction. */
const leastExponent = -6;
const fractionBits = 3;

/** Nearest e4m3 of an fp32 value, ties to even; magnitudes beyond 448 become 448. */
export function roundToE4m3(x: number): number {
  const sign = x < 0 || Object.is(x, -0) ? -1 : 1;
  const magnitude = Math.min(largestE4m3, Math.abs(x));
  const exponent = magnitude < 2 ** leastExponent ? leastExponent : Math.floor(Math.log2(magnitude));
  const unit = 2 ** (exponent - fractionBits);
  const scaled = magnitude / unit;
  const floor = Math.floor(scaled);
  const rest = scaled - floor;
  return sign * Math.min(largestE4m3, (rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor) * unit);
}

const largestInt4 = 7;

/** Scale of values up to `most`, and what multiplies a value to count its steps; 0 and 0 where it would overflow. */
function stepOf(
  most: number,
  largest: number,
  round: (x: number) => number,
): readonly [scale: number, inverse: number] {
  if (most < smallestScaled) return [0, 0];
  const scale = round(f32(most / largest));
  return [scale, f32(1 / scale)];
}

const largestOf = (values: Float32Array): number => values.reduce((most, x) => Math.max(most, Math.abs(x)), 0);

/** A row of weights as the format holds it, widened to fp32: what is multiplied. A widened weight is value · scale, rounded once. */
export function heldRow(format: WeightFormat, row: Float32Array): Float32Array {
  switch (format) {
    case 'f32':
      return row.map(f32);
    case 'bf16':
      return row.map(roundToBf16);
    case 'f16':
      return row.map(roundToF16);
    case 'int8': {
      const { q, scale } = quantizeRow(row);
      return Float32Array.from(q, (x) => f32(x * scale));
    }
    case 'fp8': {
      const [scale, inverse] = stepOf(largestOf(row), largestE4m3, f32);
      return row.map((x) => f32(roundToE4m3(f32(x * inverse)) * scale));
    }
    default: {
      const group = groupOf(format, row.length);
      const held = new Float32Array(row.length);
      for (let from = 0; from < row.length; from += group) {
        const values = row.subarray(from, from + group);
        const [scale, inverse] = stepOf(largestOf(values), largestInt4, roundToBf16);
        const steps = (x: number): number => Math.max(-largestInt4, Math.min(largestInt4, nearest(f32(x * inverse))));
        held.set(
          values.map((x) => f32(steps(x) * scale)),
          from,
        );
      }
      return held;
    }
  }
}

/** Largest finite IEEE half: cached values beyond it become it, for a cache must stay finite. */
const largestHalf = 65_504;

/** Keys or values of one head and token as the cache keeps them. */
export function heldInCache(kv: KvType, head: Float32Array): Float32Array {
  if (kv === 'fp32') return head;
  if (kv === 'int8') return heldRow('int8', head);
  return head.map((x) => roundToF16(Math.max(-largestHalf, Math.min(largestHalf, x))));
}

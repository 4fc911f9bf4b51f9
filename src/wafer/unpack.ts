// What a PE does to weights and cached values that its vector instructions cannot multiply as they lie. Nothing is
// published of narrower operands than 16 bits, so it is assumed that there are none: a column is widened into a buffer by
// vector instructions of the kinds that the vendor's language names (16-bit shifts and masks, conversions, products),
// once for all tokens that it meets in a step, and is then multiplied as ever.

import type { VectorType, VectorWork } from './phase.ts';
import type { KvType, WeightFormat } from './weight-formats.ts';

/** Vector instructions that widen one column. */
interface Unpacking {
  /** Values in a 16-bit word, and instructions over those words that take them apart. */
  readonly packed: number;
  readonly onWords: number;
  /** Instructions over the values: conversion to the activations' type, product with the scales. */
  readonly onValues: number;
}

/**
 * Two bytes of a word: the upper one takes an arithmetic shift to the right, the lower one a shift to the left before it;
 * e4m3 a mask besides, after which it is an IEEE half but for a power of two that the scale makes up for. Four nibbles: a
 * shift to the right each, and one to the left for three of them.
 */
const bytes = { packed: 2, onWords: 3 };
const e4m3 = { packed: 2, onWords: 5 };
const nibbles = { packed: 4, onWords: 7 };

function unpackingOf(format: WeightFormat, type: VectorType): Unpacking | undefined {
  switch (format) {
    case 'f32':
    case 'bf16':
    case 'f16':
      return undefined;
    case 'int8':
      // Its products are integers, scaled after the sum.
      return { ...bytes, onValues: 0 };
    case 'fp8':
      return { ...e4m3, onValues: type === 'fp32' ? 2 : 1 };
    default:
      return { ...nibbles, onValues: 2 };
  }
}

function workOf({ packed, onWords, onValues }: Unpacking, columns: number, length: number, type: VectorType) {
  return [
    { count: columns * onWords, length: Math.ceil(length / packed), type: 'fp16' as const },
    ...(onValues === 0 ? [] : [{ count: columns * onValues, length, type }]),
  ];
}

/** Instructions that widen `columns` columns of `length` weights; none where they are multiplied as they lie. */
export function unpackWork(format: WeightFormat, type: VectorType, columns: number, length: number): VectorWork[] {
  const unpacking = unpackingOf(format, type);
  return unpacking === undefined ? [] : workOf(unpacking, columns, length, type);
}

/** The same for `columns` columns of `length` cached values: int8 is converted and scaled, fp16 converted for fp32. */
export function unpackCacheWork(kv: KvType, type: VectorType, columns: number, length: number): VectorWork[] {
  if (kv === 'int8') return workOf({ ...bytes, onValues: 2 }, columns, length, type);
  return kv === 'fp16' && type === 'fp32' ? [{ count: columns, length, type }] : [];
}

/** Whether a format needs a buffer for a widened column. */
export const isUnpacked = (format: WeightFormat): boolean => unpackingOf(format, 'fp32') !== undefined;

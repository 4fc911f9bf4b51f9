// How the columns of a tile lie in SRAM, so that a multiply-accumulate onto a vector in bank 0 never finds both of
// its operands in one bank: fp32 columns start in odd banks, fp16 columns (two words a step) in banks 2 and 6.

import type { VectorType } from '../../phase.ts';

/** From one column of `length` elements to the next, in elements. */
export function columnPitch(length: number, type: VectorType): number {
  const multiple = type === 'fp32' ? 2 : 8;
  return Math.ceil(length / multiple) * multiple;
}

/** Bank of the first column. */
export const weightBank: Readonly<Record<VectorType, number>> = { fp32: 1, fp16: 2 };

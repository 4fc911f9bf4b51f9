import { priceSequence } from '../../sim/index.ts';
import { collectives, groupSize, tiledGemm } from '../../wafer/index.ts';
import { clockOf, count, elementType, pair, wafer } from './conditions.ts';
import type { Predictor } from './predictor.ts';

/**
 * Cycles of C [N, M] = A [N, K] B [K, M] as a plain program does it: loops around vector instructions over M, on arrays
 * that lie one after another, and a sum along the rows of PEs.
 */
export const gemm: Predictor = {
  group: 'gemm',
  reads: ['machine', 'mesh', 'N', 'K', 'M', 'dtype', 'clockGHz'],
  predict(row) {
    const target = wafer(row);
    const { width, height } = pair(row, 'mesh');
    const [n, k, m] = [count(row, 'N'), count(row, 'K'), count(row, 'M')];
    const spec = {
      width,
      height,
      type: elementType(row),
      m,
      k,
      n,
      collective: collectives['chain'],
      group: groupSize(width),
    };
    const cycles = priceSequence(tiledGemm(spec, target), target);
    const presumes =
      'nested loops around a vector instruction over M, arrays side by side in the banks, a chain along rows';
    if (row.unit === 'cycles') return { value: cycles, presumes };
    return row.unit === 'us' ? { value: (cycles / clockOf(row, target)) * 1e6, presumes } : undefined;
  },
};

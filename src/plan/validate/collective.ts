import { collectiveCycles } from '../../sim/index.ts';
import { collectives } from '../../wafer/index.ts';
import { clockOf, count, countOr, elementType, pair, text, wafer } from './conditions.ts';
import type { Predictor } from './predictor.ts';

/** Cycles of a collective on one line of PEs. */
export const collective: Predictor = {
  group: 'collective',
  reads: ['machine', 'shape', 'words', 'dtype', 'algorithm', 'groupSize', 'clockGHz'],
  predict(row) {
    const algorithm = Object.hasOwn(collectives, text(row, 'algorithm'))
      ? collectives[text(row, 'algorithm')]
      : undefined;
    const { width, height } = pair(row, 'shape');
    if (algorithm === undefined || Math.min(width, height) !== 1) return undefined;
    const parts = Math.max(width, height);
    const line = {
      parts,
      values: count(row, 'words'),
      type: elementType(row),
      group: countOr(row, 'groupSize', parts),
    };
    const target = wafer(row);
    const cycles = collectiveCycles(algorithm, line, target);
    const presumes = 'operations posted before data arrives';
    if (row.unit === 'cycles') return { value: cycles, presumes };
    return row.unit === 'us' ? { value: (cycles / clockOf(row, target)) * 1e6, presumes } : undefined;
  },
};

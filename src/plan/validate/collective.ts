import { collectiveCycles } from '../../sim/index.ts';
import { collectives } from '../../wafer/index.ts';
import { elementType, number, numberOr, pair, text, wafer } from './conditions.ts';
import type { Predictor } from './predictor.ts';

/** Cycles of a collective on one line of PEs. */
export const collective: Predictor = {
  group: 'collective',
  predict(row) {
    const algorithm = Object.hasOwn(collectives, text(row, 'algorithm'))
      ? collectives[text(row, 'algorithm')]
      : undefined;
    const { width, height } = pair(row, 'shape');
    if (algorithm === undefined || Math.min(width, height) !== 1) return undefined;
    const parts = Math.max(width, height);
    const line = {
      parts,
      values: number(row, 'words'),
      type: elementType(row),
      group: numberOr(row, 'groupSize', parts),
    };
    return { value: collectiveCycles(algorithm, line, wafer(row)), presumes: 'operations posted before data arrives' };
  },
};

import { priceSequence } from '../../sim/index.ts';
import { phase } from '../../wafer/index.ts';
import { count, elementType, wafer } from './conditions.ts';
import type { Predictor } from './predictor.ts';

/** Cycles of one vector instruction over operands in memory; those that share a bank take two accesses in turn. */
export const vector: Predictor = {
  group: 'vector',
  reads: ['machine', 'n', 'dtype', 'bankConflict'],
  answers: 'cycles of one vector instruction',
  predict(row) {
    if (row.unit !== 'cycles') return undefined;
    const sameBank = row.conditions['bankConflict'] === true;
    const work = { count: 1, length: count(row, 'n'), type: elementType(row), sameBank };
    return { value: priceSequence([phase('vector', { vectors: [work] })], wafer(row)), presumes: 'one instruction' };
  },
};

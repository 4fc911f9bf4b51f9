import { vectorCycles } from '../../sim/index.ts';
import { elementType, number, wafer } from './conditions.ts';
import type { Predictor } from './predictor.ts';

/** Cycles of one vector instruction. */
export const vector: Predictor = {
  group: 'vector',
  predict(row) {
    const target = wafer(row);
    const lanes = elementType(row) === 'fp16' ? target.fp16Lanes : target.fp32Lanes;
    const conflict = row.conditions['bankConflict'] === true;
    return { value: vectorCycles(number(row, 'n'), lanes, conflict, target), presumes: 'one instruction' };
  },
};

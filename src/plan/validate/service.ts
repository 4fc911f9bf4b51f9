import { hertz } from '../../core/index.ts';
import { createStepModel } from '../../sim/index.ts';
import { wafersOf } from '../../wafer/index.ts';
import { oneUser, place } from './capacity.ts';
import { clockOf, countOr, shape, wafer } from './conditions.ts';
import type { Predictor } from './predictor.ts';

/**
 * Tokens per second of one user of a service, no speculation. A service is shared, so its placement is taken to be the
 * one that serves most users: the objective 'throughput', on the wafers that the row states or on as few as hold the model.
 */
export const service: Predictor = {
  group: 'service',
  reads: ['machine', 'model', 'dtype', 'wafers', 'context', 'clockGHz'],
  answers: 'tokens/s of one user of a model that the wafers hold',
  predict(row) {
    const target = wafer(row);
    if (!row.unit.startsWith('tokens/s')) return undefined;
    const model = shape(row);
    const context = countOr(row, 'context', oneUser);
    const clock = hertz(clockOf(row, target));
    const fewest = place(row, model, target, context);
    if (fewest === undefined) return undefined;
    const least = wafersOf(fewest);
    const stated = countOr(row, 'wafers', least);
    const wafers = Math.max(stated, least);
    const program = place(row, model, target, context, { maxWafers: wafers, objective: 'throughput' }) ?? fewest;
    const { time } = createStepModel(program, target, clock).decode(context - 1);
    const short = stated < least ? `; the row says ${stated}, on which Ingot does not fit it` : '';
    const shapes = new Set(program.stages.map(({ region }) => `${region.width}x${region.height}`));
    const presumes =
      `placed for most users: ${program.stages.length} regions, ${[...shapes].slice(0, 2).join(' and ')} PEs first, ` +
      `on ${wafersOf(program)} wafer(s)${short}; ${(clock / 1e9).toFixed(3)} GHz, ${context} cached`;
    return { value: 1 / time, presumes };
  },
};

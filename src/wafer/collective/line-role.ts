import type { Wafer } from '../../spec/index.ts';
import type { Role } from '../machine/index.ts';
import type { VectorType } from '../phase.ts';
import { wholeWavelets, type Step, type Trigger } from './line-step.ts';
import { createPeTurns } from './pe-turns.ts';

/** A PE that does its steps of one collective on its object `x`, and nothing else. */
export function lineRole(
  steps: readonly Step[],
  trigger: Trigger,
  values: number,
  type: VectorType,
  wafer: Wafer,
): Role {
  const length = wholeWavelets(values, type);
  const turns = createPeTurns(wafer);
  turns.perform(steps, trigger, { object: 'x', length, type, combine: 'add' });
  return turns.build([{ name: 'x', dtype: type, length, bank: 0 }]);
}

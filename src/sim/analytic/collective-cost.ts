import type { Cycles } from '../../core/index.ts';
import type { Wafer } from '../../spec/index.ts';
import type { Collective, LineShape, Phase } from '../../wafer/index.ts';
import { emptyBreakdown, price, total } from './price.ts';

/** Cycles of phases that follow one another. */
export function priceSequence(phases: readonly Phase[], wafer: Wafer): Cycles {
  const sum = emptyBreakdown();
  for (const phase of phases) price(phase, wafer, sum);
  return total(sum);
}

/** Cycles of one collective on a line of PEs. */
export const collectiveCycles = (collective: Collective, line: LineShape, wafer: Wafer): Cycles =>
  priceSequence(collective.phases(line), wafer);

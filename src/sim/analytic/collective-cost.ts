import { cycles } from '../../core/index.ts';
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

/**
 * Cycles of one vector instruction over `length` elements in memory: start-up and the stream. Operands in one
 * bank share its single port, so each element takes two accesses in turn.
 */
export const vectorCycles = (length: number, lanes: number, bankConflict: boolean, wafer: Wafer): Cycles =>
  cycles(wafer.vectorStartup + Math.ceil(length / lanes) * (bankConflict ? 2 : 1));

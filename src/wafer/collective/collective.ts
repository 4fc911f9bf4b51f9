import type { Wafer } from '../../spec/index.ts';
import type { Phase, VectorType } from '../phase.ts';
import type { LoweredCollective } from './line-program.ts';

/** One row or column of PEs and what each of them contributes. */
export interface LineShape {
  readonly parts: number;
  readonly values: number;
  readonly type: VectorType;
  /** PEs per group, for the algorithms that have groups. */
  readonly group: number;
}

/** What a collective leaves where: see `outcome.ts`. */
export type Need = 'broadcast' | 'reduce' | 'all-reduce' | 'reduce-scatter' | 'all-gather' | 'all-to-all';

/** A collective on a line of PEs: what it costs, in counts. */
export interface Collective {
  readonly id: string;
  readonly does: Need;
  /** One sentence for people. */
  readonly about: string;
  /** Routable colors that it occupies on a line. */
  readonly colors: number;
  phases(line: LineShape): readonly Phase[];
  /**
   * One more run right behind another, where PEs that have passed their words on begin it while others still wait for
   * theirs: it costs what the busiest PE does. Absent: as much as the first.
   */
  follows?(line: LineShape): readonly Phase[];
  /** The PE-level program that does it on a row of PEs, for `sim/cycle` and the interpreter. */
  lower(line: LineShape, wafer: Wafer): LoweredCollective;
}

import { broadcast } from './broadcast.ts';
import { chain } from './chain.ts';
import type { Collective } from './collective.ts';
import { pipeline } from './pipeline.ts';
import { star } from './star.ts';
import { tree } from './tree.ts';
import { twoLevel } from './two-level.ts';
import { twoPhase } from './two-phase.ts';

/** Every collective on a line, by id. */
export const collectives: Readonly<Record<string, Collective>> = {
  [broadcast.id]: broadcast,
  [chain.id]: chain,
  [pipeline.id]: pipeline,
  [star.id]: star,
  [tree.id]: tree,
  [twoLevel.id]: twoLevel,
  [twoPhase.id]: twoPhase,
};

export { allReduce, groupSize } from './all-reduce.ts';
export type { Collective, LineShape } from './collective.ts';
export type { LoweredCollective } from './line-program.ts';

import { allGather } from './all-gather.ts';
import { allToAll } from './all-to-all.ts';
import { broadcast } from './broadcast.ts';
import { chain } from './chain.ts';
import type { Collective } from './collective.ts';
import { pipeline } from './pipeline.ts';
import { reduceScatter } from './reduce-scatter.ts';
import { ring } from './ring.ts';
import { star } from './star.ts';
import { tree } from './tree.ts';
import { twoLevel } from './two-level.ts';
import { twoPhase } from './two-phase.ts';

/** Every collective on a line, by id. */
export const collectives: Readonly<Record<string, Collective>> = {
  [allGather.id]: allGather,
  [allToAll.id]: allToAll,
  [broadcast.id]: broadcast,
  [chain.id]: chain,
  [pipeline.id]: pipeline,
  [reduceScatter.id]: reduceScatter,
  [ring.id]: ring,
  [star.id]: star,
  [tree.id]: tree,
  [twoLevel.id]: twoLevel,
  [twoPhase.id]: twoPhase,
};

export { allReduce, groupSize } from './all-reduce.ts';
export type { Collective, LineShape, Need } from './collective.ts';
export { outcomeAt, sliceLength } from './outcome.ts';
export type { Outcome } from './outcome.ts';
export type { LoweredCollective } from './line-program.ts';

import { treeRoot } from '../../reduction.ts';
import { allGather } from '../all-gather.ts';
import { allToAll } from '../all-to-all.ts';
import { chain } from '../chain.ts';
import type { Need } from '../collective.ts';
import { pipeline } from '../pipeline.ts';
import { reduceScatter } from '../reduce-scatter.ts';
import { ring } from '../ring.ts';
import { star } from '../star.ts';
import { tree } from '../tree.ts';
import { twoLevel } from '../two-level.ts';
import { twoPhase } from '../two-phase.ts';
import { meshBroadcast } from './broadcast.ts';
import type { MeshCollective } from './mesh-collective.ts';
import { onLine } from './on-line.ts';
import { allReduceBy, allReduceOnLines, reduceBy, rowsThenColumn } from './reduce.ts';
import { snake } from './snake.ts';

const first = (): number => 0;
const reductions = [
  rowsThenColumn(chain, first),
  rowsThenColumn(star, first),
  rowsThenColumn(tree, first),
  rowsThenColumn(twoPhase, first),
  rowsThenColumn(twoLevel, ({ parts, group }) => treeRoot(parts, group)),
  snake,
];

const all: readonly MeshCollective[] = [
  meshBroadcast,
  ...reductions.map(reduceBy),
  ...reductions.map(allReduceBy),
  allReduceOnLines(pipeline),
  allReduceOnLines(ring),
  onLine(reduceScatter),
  onLine(allGather),
  onLine(allToAll),
];

const doing = (need: Need): readonly MeshCollective[] => all.filter(({ does }) => does === need);

/** Every way to do each collective over a mesh. */
export const meshCollectives: Readonly<Record<Need, readonly MeshCollective[]>> = {
  broadcast: doing('broadcast'),
  reduce: doing('reduce'),
  'all-reduce': doing('all-reduce'),
  'reduce-scatter': doing('reduce-scatter'),
  'all-gather': doing('all-gather'),
  'all-to-all': doing('all-to-all'),
};

import { assert } from '../../core/index.ts';
import { allReduce, type LineShape } from '../collective/index.ts';
import type { Phase } from '../phase.ts';
import { rootOf } from '../reduction.ts';

/**
 * The all-reduce on a line whose links have extra hops: the same phases, each with the detours on the longest way
 * of its level. Levels are added although their longest ways need not follow one another, so this is an upper bound.
 * @param extraHops by link: entry i is between PE i and PE i + 1
 */
export function allReduceAround(line: LineShape, extraHops: readonly number[]): readonly Phase[] {
  assert(extraHops.length === Math.max(0, line.parts - 1), 'one entry per link of the line');
  const { parts, group } = line;
  // Detours on the way from the first PE to each PE.
  const to = [0];
  for (const hops of extraHops) to.push(to[to.length - 1] + hops);
  /** Longest of the two ways from the ends of `members` (ascending PEs) to their root. */
  const reach = (members: readonly number[]): number => {
    const root = to[members[rootOf(members.length)]];
    return Math.max(root - to[members[0]], to[members[members.length - 1]] - root);
  };
  const pes = Array.from({ length: parts }, (_, i) => i);
  const groups = Array.from({ length: Math.ceil(parts / group) }, (_, g) => pes.slice(g * group, (g + 1) * group));
  const detours: Readonly<Record<string, number>> = {
    'inside groups': Math.max(...groups.map(reach)),
    'among group roots': reach(groups.map((members) => members[rootOf(members.length)])),
    broadcast: reach(pes),
  };
  return allReduce(line).map((phase) => {
    const more = detours[phase.name];
    assert(more !== undefined, `the detours of phase "${phase.name}" are known`);
    return { ...phase, hops: phase.hops + more };
  });
}

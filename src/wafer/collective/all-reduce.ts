import type { Phase } from '../phase.ts';
import { treeRoot } from '../reduction.ts';
import { broadcastPhases } from './broadcast.ts';
import type { LineShape } from './collective.ts';
import { twoLevel } from './two-level.ts';

/**
 * Every PE of the line ends with the sum: two-level reduce over groups of `line.group`, then a broadcast from
 * where it ends, which is near the middle of the line but not always in it.
 */
export const allReduce = (line: LineShape): readonly Phase[] => [
  ...twoLevel.phases(line),
  ...broadcastPhases(line, treeRoot(line.parts, line.group)),
];

/** PEs per group that make the two levels about equally deep. */
export const groupSize = (parts: number): number => Math.max(1, Math.round(Math.sqrt(parts)));

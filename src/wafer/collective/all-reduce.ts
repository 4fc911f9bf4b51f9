import type { Phase } from '../phase.ts';
import { broadcast } from './broadcast.ts';
import type { LineShape } from './collective.ts';
import { twoLevel } from './two-level.ts';

/**
 * Every PE of the line ends with the sum: two-level reduce to the middle, then broadcast. The reduce runs
 * its levels over groups of `line.group`.
 */
export const allReduce = (line: LineShape): readonly Phase[] => [...twoLevel.phases(line), ...broadcast.phases(line)];

/** PEs per group that make the two levels about equally deep. */
export const groupSize = (parts: number): number => Math.max(1, Math.round(Math.sqrt(parts)));

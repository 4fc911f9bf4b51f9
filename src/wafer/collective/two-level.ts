import { phase, waveletsOf } from '../phase.ts';
import type { Phase } from '../phase.ts';
import { rootOf } from '../reduction.ts';
import type { Collective } from './collective.ts';

/**
 * The K-tree with K = 2 of WaferLLM (OSDI'25, section 5): chains from both ends of each group to its middle
 * PE, then chains from both ends of the row of group roots to the middle root. The additions happen in the
 * order of `reduceInOrder`.
 *
 * Unlike `chain`, a PE learns of arriving values by a task: the first wavelet starts it, it issues a vector
 * instruction that adds the stream to its own values and sends it on. So a stage pays a task start and a
 * vector start-up besides its hops and ramps, and the values stream behind. A root takes its two chains one
 * after the other.
 */
export const twoLevel: Collective = {
  id: 'two-level',
  about: 'chains from both ends to the middle of each group, then among the group roots (K-tree, K = 2)',
  colors: 8,
  phases: (line) => {
    const groups = Math.ceil(line.parts / line.group);
    const inner = level('inside groups', Math.min(line.group, line.parts), 1, line);
    const outer = level('among group roots', groups, line.group, line);
    return [...inner, ...outer];
  },
};

function level(
  name: string,
  count: number,
  distance: number,
  { values, type }: { values: number; type: 'fp16' | 'fp32' },
): Phase[] {
  if (count <= 1) return [];
  const stages = Math.max(rootOf(count), count - 1 - rootOf(count));
  const wavelets = waveletsOf(values, type);
  const streams = count > 2 ? 2 : 1;
  return [
    phase(name, {
      hops: stages * distance,
      ramps: 2 * stages,
      tasks: stages,
      wavelets: streams * wavelets,
      // Every stage issues the instruction that adds and forwards; the root issues one per arriving chain.
      vectors: [{ count: stages + streams - 1, length: 0, type }],
    }),
  ];
}

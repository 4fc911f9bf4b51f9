import { phase, waveletsOf, type Phase } from '../phase.ts';
import type { LineShape } from './collective.ts';

/**
 * A chain of `stages` messages, each over `distance` hops, towards a PE that collects. A PE that passes values on
 * learns of them by a task that the first wavelet starts; the task adds them to its own and sends on. So a relay
 * pays a task start and a vector start-up besides its hops and ramps, and the values stream behind. The
 * collecting PE has posted its additions and waits; with two `streams` it takes an equal or shorter chain from the
 * other side after the first.
 */
export function drivenChains(
  name: string,
  stages: number,
  distance: number,
  streams: 1 | 2,
  { values, type }: Pick<LineShape, 'values' | 'type'>,
): Phase[] {
  if (stages === 0) return [];
  const relays = stages - 1;
  const wavelets = waveletsOf(values, type);
  // A relay's task has the first wavelet in a register and keeps its values: one element a store.
  const stores = type === 'fp16' ? 2 : 0;
  // The wavelets behind the first pass a relay by an instruction of their own, one start-up later.
  const behind = wavelets > 1 && relays > 0 ? 1 : 0;
  return [
    phase(name, {
      hops: stages * distance,
      ramps: 2 * stages,
      tasks: relays,
      // The sender and every relay execute the first element before it leaves.
      steps: stages + relays * stores,
      wavelets: streams * wavelets,
      vectors: [{ count: 1 + relays + behind + (streams - 1), length: 0, type }],
    }),
  ];
}

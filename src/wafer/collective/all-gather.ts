import { phase, waveletsOf } from '../phase.ts';
import { heldBehindSender } from './buffers.ts';
import type { Collective } from './collective.ts';
import { lineProgramOf } from './line-program.ts';
import { sliceLength } from './outcome.ts';
import { sliceRole, type SliceStep } from './slice-role.ts';

/**
 * One color in each direction. A router first sends its own PE's slice, then, turned by the control wavelet behind
 * it, passes the slices from further away, nearest first, and copies them to its CE on the way (multicast is free).
 */
export const allGather: Collective = {
  id: 'all-gather',
  does: 'all-gather',
  about: 'every PE multicasts its slice in both directions, nearest first; all end with all slices',
  colors: 2,
  phases: (line) => {
    const { parts, type } = line;
    if (parts === 1) return [];
    const slice = waveletsOf(sliceLength(line), type);
    const vectors = (count: number) => [{ count, length: 0, type }];
    const half = parts >> 1;
    if (parts === 2)
      // Sent and received; the first words leave while the receive starts up.
      return [
        phase('exchange', {
          hops: 1,
          ramps: 2,
          steps: 2,
          wavelets: Math.max(slice, 2 * slice - 6),
          vectors: vectors(1),
        }),
      ];
    // Both streams cross in the middle, where a CE has a word of each to take: the outer PEs wait for it half of the time.
    if (slice < heldBehindSender)
      return [
        phase('both ways', { hops: half, ramps: 2, wavelets: Math.floor(1.5 * parts * slice), vectors: vectors(5) }),
      ];
    // Held, but for the control wavelet: one direction has to pass before the other is turned.
    if (slice === heldBehindSender)
      return [phase('both ways', { hops: parts, ramps: 2, wavelets: 2 * parts * slice, vectors: vectors(3) })];
    // Behind a longer slice the control wavelet is sent by a task, for which the next slice waits; its start-up passes
    // while the slice drains.
    const turns = parts - 2;
    const wavelets = Math.ceil(1.5 * parts - 1) * slice;
    return [
      phase('both ways', { hops: half, ramps: 2, steps: 3 * turns, tasks: turns, wavelets, vectors: vectors(2) }),
    ];
  },
  lower: (line, wafer) => {
    const { parts } = line;
    const program = lineProgramOf(parts, wafer, (steps: readonly SliceStep[]) => sliceRole(steps, line, wafer));
    const last = parts - 1;
    for (let pe = 0; pe < parts; pe++) {
      const own = { first: pe, last: pe };
      if (pe > 0) program.does(pe, { do: 'take', thread: 2, color: 0, run: { first: pe - 1, last: 0 } });
      if (pe < last) program.does(pe, { do: 'take', thread: 3, color: 1, run: { first: pe + 1, last } });
      for (const [color, end, out, back] of [
        [0, last, 'E', 'W'],
        [1, 0, 'W', 'E'],
      ] as const) {
        const [begins, ends] = [pe === last - end, pe === end];
        if (last === 0) continue;
        if (ends) {
          program.switched(pe, color, { positions: [{ rx: [back], tx: ['R'] }] });
          continue;
        }
        program.does(pe, { do: 'send', thread: color, color, run: own, turns: !begins });
        if (begins) {
          program.switched(pe, color, { positions: [{ rx: ['R'], tx: [out] }] });
          continue;
        }
        program.switched(pe, color, {
          pop: 'always',
          positions: [
            { rx: ['R'], tx: [out] },
            { rx: [back], tx: ['R', out] },
          ],
        });
      }
    }
    return program.build(Array.from({ length: parts }, (_, i) => i));
  },
};

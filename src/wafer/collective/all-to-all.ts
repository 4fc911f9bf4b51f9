import { phase, waveletsOf } from '../phase.ts';
import { heldOnTheWay } from './buffers.ts';
import type { Collective } from './collective.ts';
import { lineProgramOf } from './line-program.ts';
import { sliceLength } from './outcome.ts';
import { sliceRole, type SliceStep } from './slice-role.ts';

/** Where the outcome is: x is still being sent when the first slices arrive. */
const outcome = 'y';
const thread = 0;
/**
 * Slice j of each PE goes to PE j (what experts need): first all that goes east, then all that goes west. Of every
 * source's slices, the furthest first, a PE passes on all but the last, which is its own. A PE's own slices leave when
 * those from behind have passed, so each direction takes as long as all PEs sending one after another: P (P - 1) / 2 slices.
 */
export const allToAll: Collective = {
  id: 'all-to-all',
  does: 'all-to-all',
  about: 'slice j of every PE goes to PE j, relayed by the PEs between, in both directions at once',
  colors: 4,
  phases: (line) => {
    const { parts, type } = line;
    if (parts === 1) return [];
    const slice = waveletsOf(sliceLength(line), type);
    const stages = 2 * (parts - 1);
    // Each PE takes up an instruction that passes and one that takes, in both directions. Long slices wait for that at
    // every PE that they pass, short ones catch up.
    const startups = 2 * stages - 1 + (slice > heldOnTheWay && parts > 3 ? (parts - 2) * (parts - 3) : 0);
    return [
      phase('both ways', {
        hops: stages,
        ramps: 2 * stages,
        steps: stages,
        wavelets: (parts * (parts - 1) + 1) * slice,
        vectors: [{ count: startups, length: 0, type }],
      }),
    ];
  },
  lower: (line, wafer) => {
    const { parts } = line;
    const program = lineProgramOf(parts, wafer, (steps: readonly SliceStep[]) =>
      sliceRole(steps, line, wafer, outcome),
    );
    const last = parts - 1;
    if (last === 0) return program.build([0]);
    for (let pe = 0; pe < parts; pe++) {
      const own = { first: pe, last: pe };
      program.does(pe, { do: 'keep', thread, run: own, into: outcome });
      // One direction after the other: were they mixed on one thread, two neighbours could wait for one another.
      for (const [firstColor, end] of [
        [0, last],
        [2, 0],
      ] as const) {
        const ahead = end === last ? 1 : -1;
        const [color, to] = [firstColor + (pe & 1), firstColor + 1 - (pe & 1)];
        // The furthest source first: its slices find every PE waiting for them.
        for (let source = last - end; (pe - source) * ahead > 0; source += ahead) {
          if (pe !== end) program.does(pe, { do: 'pass', thread, color, to, slices: Math.abs(end - pe) });
          program.does(pe, { do: 'take', thread, color, run: { first: source, last: source }, into: outcome });
        }
        if (pe === end) continue;
        program.message(to, pe, pe + ahead);
        program.does(pe, { do: 'send', thread, color: to, run: { first: end, last: pe + ahead } });
      }
    }
    return { ...program.build(Array.from({ length: parts }, (_, i) => i)), outcome };
  },
};

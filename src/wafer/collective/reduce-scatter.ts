import { phase, waveletsOf } from '../phase.ts';
import { heldOnTheWay } from './buffers.ts';
import type { Collective } from './collective.ts';
import { lineProgramOf } from './line-program.ts';
import { sliceLength } from './outcome.ts';
import { sliceRole, type SliceStep } from './slice-role.ts';

/**
 * Two chains in opposite directions: from the west flow sums for the PEs further east, from the east for those
 * further west. The slice for the furthest PE goes first, so every PE relays what it passes on and keeps what comes
 * last: its own slice, from the west and then from the east. A PE handles each slice of the vector about once, so a
 * long vector takes its length, and a short one the way along the line.
 */
export const reduceScatter: Collective = {
  id: 'reduce-scatter',
  does: 'reduce-scatter',
  about: 'two chains in opposite directions; each PE ends with the sum of its own slice',
  colors: 4,
  phases: (line) => {
    const { parts, type } = line;
    if (parts === 1) return [];
    const stages = parts - 1;
    const slice = waveletsOf(sliceLength(line), type);
    const vectors = (count: number) => [{ count, length: 0, type }];
    const once = { hops: 1, ramps: 2, steps: 1 };
    if (parts === 2)
      // Sent and received; the first words leave while the receive starts up.
      return [phase('exchange', { ...once, wavelets: Math.max(slice, 2 * slice - 6), vectors: vectors(1) })];
    const half = parts >> 1;
    const isLong = slice > heldOnTheWay;
    // Both streams cross in the middle, where a CE has a word of each to handle. Slices that the buffers hold let the
    // others catch up meanwhile; longer ones keep the outer PEs at half speed until the middle is through.
    const wavelets = (isLong ? Math.ceil(1.5 * parts - 1) : 2 * Math.ceil(parts / 2)) * slice;
    return [
      phase('both ways', {
        hops: half,
        ramps: 2 * half,
        steps: half,
        wavelets,
        vectors: vectors(isLong ? 2 : 3),
        // Of a short vector the way along the line: a step of the CE at each stage, start-ups at both ends.
        beside: { hops: stages, ramps: 2 * stages, wavelets: stages + slice + 12 },
      }),
    ];
  },
  lower: (line, wafer) => {
    const { parts } = line;
    const program = lineProgramOf(parts, wafer, (steps: readonly SliceStep[]) => sliceRole(steps, line, wafer));
    const last = parts - 1;
    if (last === 0) return program.build([0]);
    for (let pe = 0; pe < parts; pe++) {
      const [eastIn, westIn] = [pe & 1, 2 + (pe & 1)];
      const [eastOut, westOut] = [1 - eastIn, 5 - westIn];
      const [east, west] = [
        { first: last, last: pe + 1 },
        { first: 0, last: pe - 1 },
      ];
      const own = { first: pe, last: pe };
      if (pe < last) program.message(eastOut, pe, pe + 1);
      if (pe > 0) program.message(westOut, pe, pe - 1);
      if (pe === 0) program.does(pe, { do: 'send', thread: 0, color: eastOut, run: east });
      else if (pe < last) program.does(pe, { do: 'relay', thread: 0, color: eastIn, to: eastOut, run: east });
      if (pe === last) program.does(pe, { do: 'send', thread: 1, color: westOut, run: west });
      else if (pe > 0) program.does(pe, { do: 'relay', thread: 1, color: westIn, to: westOut, run: west });
      const fromWest: SliceStep[] = pe === 0 ? [] : [{ do: 'add', thread: 0, color: eastIn, run: own }];
      const fromEast: SliceStep[] = pe === last ? [] : [{ do: 'add', thread: 1, color: westIn, run: own }];
      // The shorter relay ends first. Waiting for its sum keeps the order of the additions the same in every run.
      const isWestFirst = pe > last - pe;
      const [sooner, later] = isWestFirst ? [fromWest, fromEast] : [fromEast, fromWest];
      const wait: SliceStep[] = sooner.length * later.length > 0 ? [{ do: 'wait', thread: isWestFirst ? 0 : 1 }] : [];
      program.does(pe, ...sooner, ...wait, ...later);
    }
    return program.build(Array.from({ length: parts }, (_, i) => i));
  },
};

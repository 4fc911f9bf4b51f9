import type { RoutePosition } from '../machine/index.ts';
import { phase, waveletsOf } from '../phase.ts';
import type { Collective } from './collective.ts';
import { createLineProgram } from './line-program.ts';

/**
 * Binary tree to the first PE: in round r, PEs an odd multiple of 2^r away send their sums 2^r PEs down.
 * One color: a router first delivers to its CE, then (turned by its CE) sends its CE's values, then (turned
 * by the control wavelet behind them) lets others pass. A sender begins its instruction only when its own
 * sum is complete, so every round pays a vector start-up.
 * Source: HPDC'24, binary tree reduce: depth log2 P, contention B log2 P. For P not a power of two the counts
 * are an upper bound: the last round's sender is ready early.
 */
export const tree: Collective = {
  id: 'tree',
  does: 'reduce',
  about: 'binary tree: neighbours, then neighbours of neighbours',
  colors: 1,
  phases: ({ parts, values, type }) => {
    const rounds = Math.ceil(Math.log2(parts));
    if (rounds === 0) return [];
    return [
      phase('rounds', {
        hops: 2 ** rounds - 1,
        ramps: 2 * rounds,
        steps: rounds,
        wavelets: rounds * waveletsOf(values, type),
        vectors: [{ count: rounds, length: 0, type }],
      }),
    ];
  },
  lower: (line, wafer) => {
    const program = createLineProgram(line, 'posted', wafer);
    for (let pe = 0; pe < line.parts; pe++) {
      let received = 0;
      for (let distance = 1; (pe & distance) === 0 && pe + distance < line.parts; distance *= 2) received++;
      if (received > 0) program.does(pe, { do: 'add', color: 0, messages: received });
      if (pe === 0) {
        if (received > 0) program.switched(pe, 0, { positions: [{ rx: ['E'], tx: ['R'] }] });
        continue;
      }
      const positions: RoutePosition[] = [];
      if (received > 0) positions.push({ rx: ['E'], tx: ['R'] });
      positions.push({ rx: ['R'], tx: ['W'] });
      if (received > 0) program.does(pe, { do: 'switch', color: 0, position: 1 });
      program.does(pe, { do: 'send', color: 0 });
      if (isPassed(pe, line.parts)) {
        program.does(pe, { do: 'advance', color: 0 });
        positions.push({ rx: ['E'], tx: ['W'] });
      }
      program.switched(pe, 0, { pop: 'always', positions });
    }
    return program.build([0]);
  },
};

/** A message of a later round passes this PE: from `to` + distance to `to`, around it. */
function isPassed(pe: number, parts: number): boolean {
  for (let distance = 2 * (pe & -pe); distance < parts; distance *= 2) {
    const to = pe - (pe % (2 * distance));
    if ((pe & distance) === 0 && to + distance < parts) return true;
  }
  return false;
}

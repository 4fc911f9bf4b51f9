import type { RoutePosition } from '../machine/index.ts';
import { phase, waveletsOf } from '../phase.ts';
import type { Collective } from './collective.ts';
import { createLineProgram } from './line-program.ts';

/**
 * Binary tree to the first PE: in round r, PEs an odd multiple of 2^r away send their sums 2^r PEs down.
 * One color: a router first delivers to its CE, then (turned by its CE) sends its CE's values, then (turned
 * by the control wavelet behind them) lets others pass. A sender begins its instruction only when its own
 * sum is complete, so every round pays a vector start-up.
 * Source: HPDC'24, binary tree reduce: depth log2 P, contention B log2 P. For P not a power of two see `longestWay`.
 */
export const tree: Collective = {
  id: 'tree',
  does: 'reduce',
  about: 'binary tree: neighbours, then neighbours of neighbours',
  colors: 1,
  phases: ({ parts, values, type }) => {
    if (parts === 1) return [];
    const wavelets = waveletsOf(values, type);
    const { rounds, hops, late } = longestWay(parts, wavelets);
    return [
      phase('rounds', {
        hops,
        ramps: 2 * rounds,
        // An addition a round; and every sender but the first turns its router before it sends.
        steps: 2 * rounds - 1,
        wavelets: (rounds + late) * wavelets,
        vectors: [{ count: rounds + late, length: 0, type }],
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

/**
 * A round's ramps, addition, turn and start-up, and a late message's start-up, in cycles: by these the longest way is chosen.
 * Where two are so close that other constants would choose another, either serves.
 */
const [roundCost, lateCost] = [12, 6];

interface Way {
  readonly rounds: number;
  readonly hops: number;
  /** Messages that were there before the PE could take them: no way, but their words and a start-up. */
  readonly late: number;
}

/**
 * The last of a PE's messages comes from a part of the line that is smaller than the PE's own part unless the whole is a
 * power of two. So either the PE's own 2^k - 1 PEs are the last, behind which the message is taken at once, or the
 * smaller part is, of which the same holds.
 */
function longestWay(parts: number, wavelets: number): Way {
  const k = Math.ceil(Math.log2(parts)) - 1;
  const whole = 2 ** k;
  if (parts === 1) return { rounds: 0, hops: 0, late: 0 };
  const sender = longestWay(parts - whole, wavelets);
  const last: Way = { rounds: sender.rounds + 1, hops: sender.hops + whole, late: sender.late };
  const own: Way = { rounds: k, hops: whole - 1, late: 1 };
  const cost = ({ rounds, hops, late }: Way): number =>
    hops + rounds * (wavelets + roundCost) + late * (wavelets + lateCost);
  return cost(own) > cost(last) ? own : last;
}

/** A message of a later round passes this PE: from `to` + distance to `to`, around it. */
function isPassed(pe: number, parts: number): boolean {
  for (let distance = 2 * (pe & -pe); distance < parts; distance *= 2) {
    const to = pe - (pe % (2 * distance));
    if ((pe & distance) === 0 && to + distance < parts) return true;
  }
  return false;
}

import { phase, waveletsOf } from '../phase.ts';
import { heldBehindSender } from './buffers.ts';
import type { Collective } from './collective.ts';
import { createLineProgram } from './line-program.ts';

/**
 * Every PE sends its values straight to the first, nearest first; the first adds them all. A PE's router
 * lets the others pass once its own values and a control wavelet that turns its switch have left. That
 * wavelet is an instruction of its own behind the values, so each long message but the last pays its start-up.
 * Source: HPDC'24, star reduce (there without the control wavelets): B (P - 1) + 2 T_R + 1.
 */
export const star: Collective = {
  id: 'star',
  does: 'reduce',
  about: 'every PE sends to the first, which adds them all',
  colors: 1,
  phases: ({ parts, values, type }) => {
    const messages = parts - 1;
    if (messages === 0) return [];
    const length = waveletsOf(values, type);
    const wavelets = messages * length + messages - 1;
    // Messages that wait with their control wavelet in the buffers: only the first shows its start-up.
    const startups = length < heldBehindSender ? Math.min(1, messages - 1) : messages - 1;
    const vectors = [{ count: startups, length: 0, type }];
    return [phase('star', { hops: 1, ramps: 2, steps: 1, wavelets, vectors })];
  },
  lower: (line, wafer) => {
    const program = createLineProgram(line, 'posted', wafer);
    const last = line.parts - 1;
    if (last > 0) {
      program.does(0, { do: 'add', color: 0, messages: last });
      program.switched(0, 0, { positions: [{ rx: ['E'], tx: ['R'] }] });
    }
    for (let pe = 1; pe <= last; pe++) {
      program.does(pe, { do: 'send', color: 0 });
      if (pe === last) {
        program.switched(pe, 0, { positions: [{ rx: ['R'], tx: ['W'] }] });
        continue;
      }
      program.does(pe, { do: 'advance', color: 0 });
      program.switched(pe, 0, {
        pop: 'always',
        positions: [
          { rx: ['R'], tx: ['W'] },
          { rx: ['E'], tx: ['W'] },
        ],
      });
    }
    return program.build([0]);
  },
};

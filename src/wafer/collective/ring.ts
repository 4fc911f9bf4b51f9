import type { Wafer } from '../../spec/index.ts';
import {
  allocate,
  branch,
  fabricIn,
  fabricOut,
  integer,
  jump,
  label,
  mainRole,
  setDsd,
  vectorsOf,
} from '../machine/index.ts';
import type { Instruction, Role } from '../machine/index.ts';
import { phase, waveletsOf } from '../phase.ts';
import type { Collective, LineShape } from './collective.ts';
import { lineProgramOf } from './line-program.ts';
import { sliceLength } from './outcome.ts';
import { interleave, shiftsAlong, type Shift } from './ring-shift.ts';

/**
 * Ring all-reduce: P - 1 steps of reduce-scatter, then P - 1 of all-gather. In each step every PE sends one slice to
 * its ring neighbour while the next one arrives from the other; the first half adds it, the second keeps it. The ring
 * is interleaved on the line, so a step is two hops at most and nothing wraps around.
 *
 * A slice is received into memory before it is sent on: were it passed on word by word, all PEs would wait for room at
 * once as soon as a slice is longer than the buffers. So a CE moves each word twice, where HPDC'24 counts it once:
 * 2 (P - 1) B / P + 4 P - 6 + 2 (P - 1) (2 T_R + 1).
 */
export const ring: Collective = {
  id: 'ring',
  does: 'all-reduce',
  about: 'reduce-scatter and all-gather around an interleaved ring, two hops a step',
  colors: 3,
  phases: (line) => {
    const { parts, type } = line;
    if (parts === 1) return [];
    const slice = waveletsOf(sliceLength(line), type);
    return [
      // The loop is set up.
      phase('begin', { steps: 2 }),
      phase('steps', {
        repeat: 2 * (parts - 1),
        hops: 2,
        ramps: 2,
        steps: 2,
        // Sent and received, two cycles a word. Before a short slice's first word arrives the CE has time to send some
        // of the next; of a long slice the first words are sent while the receive starts up.
        wavelets: Math.max(2 * slice - 4, Math.min(2 * slice, slice + 3)),
        vectors: [{ count: 1, length: 0, type }],
      }),
    ];
  },
  lower: (line, wafer) => {
    const { parts } = line;
    const order = interleave(parts);
    const shifts = parts === 1 ? [] : shiftsAlong(order, 'E', 'W', 0);
    const program = lineProgramOf(parts, wafer, ([step]: readonly RingStep[]) => ringRole(step, line, wafer));
    order.forEach((pe, index) => {
      if (parts === 1) return;
      const shift = shifts[pe];
      for (const { color, rx, tx } of shift.routes)
        program.switched(pe, color, { positions: [{ rx: [rx], tx: [tx] }] });
      program.does(pe, { index, out: shift.out, in: shift.in });
    });
    return program.build(Array.from({ length: parts }, (_, i) => i));
  },
};

/** What a PE does in all steps, from its place in the ring. */
interface RingStep extends Pick<Shift, 'out' | 'in'> {
  readonly index: number;
}

/** Registers: the first element of the slice that is sent next, and the steps that are over. */
const at = { register: 0 };
const over = { register: 1 };

function ringRole(place: RingStep | undefined, line: LineShape, wafer: Wafer): Role {
  const { type, parts } = line;
  const slice = sliceLength(line);
  const memory = allocate([{ name: 'x', dtype: type, length: parts * slice, bank: 0 }], wafer);
  if (place === undefined) return { memory, inputs: [], outputs: [], dsds: {}, tasks: [], start: [] };
  const half = parts - 1;
  const vector = vectorsOf(type);
  // Two turns of the loop: a DSD of a send that goes on beside the main thread must not change, and the next send on
  // its thread is issued only when it is done.
  const turn = (n: 0 | 1): Instruction[] => [
    setDsd(`mine${n}`, 'offset', at),
    { ...vector('mov', 'out', `mine${n}`), async: { thread: 0 } },
    integer('add', at, at, slice),
    branch(at, '<', parts * slice, `next${n}`),
    integer('mov', at, 0),
    label(`next${n}`),
    setDsd('theirs', 'offset', at),
    integer('add', over, over, 1),
    branch(over, '>=', half + 1, `gather${n}`),
    vector('add', 'theirs', 'theirs', 'in'),
    jump(`end${n}`),
    label(`gather${n}`),
    vector('mov', 'theirs', 'in'),
    label(`end${n}`),
  ];
  const slices = { kind: 'memory', object: 'x', extents: [slice] } as const;
  const dsds = {
    mine0: slices,
    mine1: slices,
    theirs: slices,
    out: fabricOut(place.out, slice),
    in: fabricIn(place.in, slice),
  };
  return mainRole(
    { memory, inputs: [{ queue: 0, color: place.in }], outputs: [{ queue: 0, color: place.out }], dsds },
    [
      integer('mov', at, place.index * slice),
      integer('mov', over, 0),
      label('step'),
      ...turn(0),
      ...turn(1),
      branch(over, '<', 2 * half, 'step'),
    ],
  );
}

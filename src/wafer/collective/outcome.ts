// What collectives leave where: the definition that programs are tested against.

import { waveletsOf } from '../phase.ts';
import type { LineShape, Need } from './collective.ts';
import { rootOf } from '../reduction.ts';

/**
 * Elements of a PE's slice: the vector in as many equal slices as PEs, in whole wavelets. Slice i belongs to PE i; the
 * last slices may be short or empty.
 */
export function sliceLength({ parts, values, type }: LineShape): number {
  const slice = Math.ceil(values / parts);
  return type === 'fp16' ? 2 * waveletsOf(slice, type) : slice;
}

/** Elements `from` to `to` (exclusive) of an object, each with the value that it should have. */
export interface Outcome {
  readonly from: number;
  readonly to: number;
  value(element: number): number;
}

/**
 * What PE `position` holds at the end, where each PE began with `contribution(pe, element)` for `line.values` elements.
 *
 * * broadcast: the middle PE's values. reduce, all-reduce: the sum over PEs.
 * * reduce-scatter: the sum, of the PE's own slice only.
 * * all-gather: of each slice its owner's values.
 * * all-to-all: as slice j what PE j had as this PE's slice. A short slice takes the whole of its room.
 */
export function outcomeAt(
  need: Need,
  line: LineShape,
  position: number,
  contribution: (pe: number, element: number) => number,
): Outcome {
  const slice = sliceLength(line);
  const all = { from: 0, to: line.values };
  const sum = (element: number): number => {
    let total = 0;
    for (let pe = 0; pe < line.parts; pe++) total += contribution(pe, element);
    return total;
  };
  switch (need) {
    case 'broadcast':
      return { ...all, value: (element) => contribution(rootOf(line.parts), element) };
    case 'reduce':
    case 'all-reduce':
      return { ...all, value: sum };
    case 'reduce-scatter': {
      const from = Math.min(position * slice, line.values);
      return { from, to: Math.min(from + slice, line.values), value: sum };
    }
    case 'all-gather':
      return { ...all, value: (element) => contribution(Math.floor(element / slice), element) };
    case 'all-to-all':
      return {
        from: 0,
        to: line.parts * slice,
        value: (element) => {
          const asked = position * slice + (element % slice);
          return asked < line.values ? contribution(Math.floor(element / slice), asked) : 0;
        },
      };
  }
}

// Collectives: on every row of the mesh at once; on a mesh of one column, along it.

import { createRng } from '../../core/index.ts';
import type { Wafer } from '../../spec/index.ts';
import { collectives, groupSize, onLines, type Collective, type LineShape } from '../../wafer/index.ts';
import type { MemoryImage, MemoryReader } from '../../wafer/machine/index.ts';
import type { Point } from './point.ts';
import type { Checked, Prepared, Size, Target } from './target.ts';

const words: Size = {
  about: 'values that each PE contributes',
  max: 24_576,
  otherwise: () => 256,
};
const group: Size = {
  about: "PEs per group (default: the square root of the line's)",
  max: 10_000,
  otherwise: (mesh) => groupSize(lineOf(mesh)),
};

/** PEs of a line. */
const lineOf = ({ width, height }: { width: number; height: number }): number => (width === 1 ? height : width);

/** Whether the group size changes anything: asked of the closed form on a line that is long enough. */
function hasGroups(collective: Collective): boolean {
  const counts = (size: number): string =>
    JSON.stringify(collective.phases({ parts: 64, values: 64, type: 'fp32', group: size }));
  return counts(4) !== counts(8);
}

/** Element `i` of what PE `position` of line `line` contributes. */
type Contribution = (line: number, position: number, i: number) => number;

export const lineShape = ({ width, height, type, sizes }: Point): LineShape => {
  const parts = lineOf({ width, height });
  return { parts, values: sizes['words'], type, group: sizes['group'] ?? parts };
};

function prepare(collective: Collective, point: Point, wafer: Wafer): Prepared {
  const { width, height, seed } = point;
  const shape = lineShape(point);
  const axis = width === 1 ? 'y' : 'x';
  const lines = axis === 'x' ? height : 1;
  const { program, results } = collective.lower(shape, wafer);
  const contribution = integers(shape, seed);
  return {
    program: { ...program, width, height, ...onLines(program, axis, { width, height }) },
    phases: collective.phases(shape),
    *inputs(): Generator<MemoryImage> {
      for (let line = 0; line < lines; line++)
        for (let position = 0; position < shape.parts; position++) {
          const [x, y] = axis === 'x' ? [position, line] : [0, position];
          const values = Float64Array.from({ length: shape.values }, (_, i) => contribution(line, position, i));
          yield { x, y, object: 'x', values };
        }
    },
    check(memory: MemoryReader): Checked {
      let checked = 0;
      let correct = 0;
      for (let line = 0; line < lines; line++) {
        const expected = outcome(collective, shape, (position, i) => contribution(line, position, i));
        for (const position of results) {
          const found = axis === 'x' ? memory.read(position, line, 'x') : memory.read(0, position, 'x');
          for (let i = 0; i < shape.values; i++) if (found[i] === expected[i]) correct++;
          checked += shape.values;
        }
      }
      return { checked, correct, exact: true };
    },
  };
}

/** What every PE with a result should hold. */
function outcome(
  collective: Collective,
  { parts, values }: LineShape,
  contribution: (position: number, i: number) => number,
): Float64Array {
  const isCopy = collective.id === 'broadcast';
  const middle = parts >> 1;
  return Float64Array.from({ length: values }, (_, i) => {
    if (isCopy) return contribution(middle, i);
    let sum = 0;
    for (let position = 0; position < parts; position++) sum += contribution(position, i);
    return sum;
  });
}

/** The largest power of two up to which a type holds every integer. */
const exactUpTo = { fp16: 2 ** 11, fp32: 2 ** 24 } as const;
const LARGEST_INPUT = 1000;

/** Random integers so small that every sum along the line is exact, in any order. */
function integers({ parts, type }: LineShape, seed: number): Contribution {
  const largest = Math.max(1, Math.min(LARGEST_INPUT, Math.floor(exactUpTo[type] / parts)));
  const salt = createRng(seed).u32();
  return (line, position, i) => {
    // A hash instead of a sequence: elements are drawn again when results are checked, in another order.
    let h = salt ^ Math.imul(line + 1, 0x9e3779b1) ^ Math.imul(position + 1, 0x85ebca6b) ^ Math.imul(i + 1, 0xc2b2ae35);
    h = Math.imul(h ^ (h >>> 16), 0x7feb352d);
    h = Math.imul(h ^ (h >>> 15), 0x846ca68b);
    return (((h ^ (h >>> 16)) >>> 0) % (2 * largest + 1)) - largest;
  };
}

const typeBytes = { fp16: 2, fp32: 4 } as const;

export const collectiveTargets: Readonly<Record<string, Target>> = Object.fromEntries(
  Object.values(collectives).map((collective): [string, Target] => [
    collective.id,
    {
      id: collective.id,
      kind: 'collective',
      about: collective.about,
      sizes: hasGroups(collective) ? { words, group } : { words },
      bytes: ({ width, height, type, sizes }) => width * height * sizes['words'] * typeBytes[type],
      prepare: (point, wafer) => prepare(collective, point, wafer),
    },
  ]),
);

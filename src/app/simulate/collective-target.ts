// Collectives. Algorithms by name run on every row of the mesh at once; on a mesh of one column, along it. What is needed
// by name (broadcast, reduce, all-reduce) runs over the whole mesh, by the algorithm that is asked for or the cheapest.

import { createRng } from '../../core/index.ts';
import type { Wafer } from '../../spec/index.ts';
import { priceSequence } from '../../sim/index.ts';
import {
  chooseCollective,
  collectives,
  groupSize,
  meshCollectives,
  onLines,
  outcomeAt,
  type Choice,
  type Collective,
  type LineShape,
  type MeshShape,
  type Need,
} from '../../wafer/index.ts';
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
  const { program, results, outcome: object = 'x' } = collective.lower(shape, wafer);
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
        for (const position of results) {
          const found = axis === 'x' ? memory.read(position, line, object) : memory.read(0, position, object);
          const outcome = outcomeAt(collective.does, shape, position, (pe, i) =>
            i < shape.values ? contribution(line, pe, i) : 0,
          );
          for (let i = outcome.from; i < outcome.to; i++) if (found[i] === outcome.value(i)) correct++;
          checked += outcome.to - outcome.from;
        }
      }
      return { checked, correct, exact: true };
    },
  };
}

/** Over the whole mesh, by the algorithm that the point names or, for `auto`, the cheapest. */
function prepareOnMesh(need: Need, point: Point, wafer: Wafer): Prepared {
  const { width, height, type, seed, sizes, algorithm } = point;
  const { words: values, group: given } = sizes as Readonly<Record<string, number | undefined>>;
  const size = { width, height, values: values as number, type };
  const ranked = chooseCollective(need, given === undefined ? size : { ...size, group: given }, (phases) =>
    priceSequence(phases, wafer),
  );
  const chosen = ranked.find(({ collective }) => collective.algorithm === algorithm) ?? ranked[0];
  const shape: MeshShape = { ...size, group: chosen.group };
  const { program, results, outcome: object } = chosen.collective.lower(shape, wafer);
  const parts = width * height;
  const contribution = integers({ ...shape, parts }, seed);
  const sums = Float64Array.from({ length: shape.values }, (_, i) => {
    if (need === 'broadcast') return contribution(0, (height >> 1) * width + (width >> 1), i);
    let sum = 0;
    for (let pe = 0; pe < parts; pe++) sum += contribution(0, pe, i);
    return sum;
  });
  return {
    program,
    phases: chosen.collective.phases(shape),
    chosen: { about: chosen.collective.about, ranked: ranked.map(rankOf), ...rankOf(chosen) },
    *inputs(): Generator<MemoryImage> {
      for (let pe = 0; pe < parts; pe++) {
        const own = Float64Array.from({ length: shape.values }, (_, i) => contribution(0, pe, i));
        yield { x: pe % width, y: Math.floor(pe / width), object: 'x', values: own };
      }
    },
    check(memory: MemoryReader): Checked {
      let correct = 0;
      for (const { x, y } of results) {
        const found = memory.read(x, y, object);
        for (let i = 0; i < shape.values; i++) if (found[i] === sums[i]) correct++;
      }
      return { checked: results.length * shape.values, correct, exact: true };
    },
  };
}

const rankOf = ({ collective, group: size, cost }: Choice) => ({
  algorithm: collective.algorithm,
  group: size,
  closedForm: cost,
});

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

const bytes = ({ width, height, type, sizes }: Point): number => width * height * sizes['words'] * typeBytes[type];

const onMesh: readonly (readonly [need: Need, about: string])[] = [
  ['broadcast', 'the values of the middle PE to every PE of the mesh'],
  ['reduce', 'the sum over the whole mesh, at one PE'],
  ['all-reduce', 'the sum over the whole mesh, at every PE'],
];

export const collectiveTargets: Readonly<Record<string, Target>> = {
  ...Object.fromEntries(
    Object.values(collectives).map((collective): [string, Target] => [
      collective.id,
      {
        id: collective.id,
        kind: 'collective',
        about: collective.about,
        sizes: hasGroups(collective) ? { words, group } : { words },
        bytes,
        prepare: (point, wafer) => prepare(collective, point, wafer),
      },
    ]),
  ),
  ...Object.fromEntries(
    onMesh.map(([need, about]): [string, Target] => [
      need,
      {
        id: need,
        kind: 'mesh collective',
        about,
        sizes:
          need === 'broadcast'
            ? { words }
            : { words, group: { ...group, about: 'PEs per group (default: the best)', otherwise: undefined } },
        algorithms: ['auto', ...meshCollectives[need].map(({ algorithm }) => algorithm)],
        bytes,
        prepare: (point, wafer) => prepareOnMesh(need, point, wafer),
      },
    ]),
  ),
};

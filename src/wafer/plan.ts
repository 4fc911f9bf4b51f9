// What one step of a placed program does, as phases: which kernels run after one another, and along which
// mesh axis their inputs lie. `sim` prices them.

import type { LinearOp, Op } from '../model/index.ts';
import { headGroup, lanesOf } from './head-tiles.ts';
import { along, kernels, linears, shiftGemm, shiftGemmTransposed, type KernelContext } from './kernel/index.ts';
import { allReduce } from './collective/index.ts';
import { phase, waveletsOf, type Phase, type VectorType } from './phase.ts';
import type { Region } from './program.ts';
import type { Axis } from './reduction.ts';

/** The phases of one op, or of several matrices that share their input. */
export interface OpPhases {
  readonly op: string;
  readonly phases: readonly Phase[];
}

const knownKernels = new WeakMap<readonly Op[], readonly (readonly Op[])[]>();

/**
 * The ops of a section as kernels, in the order in which they run: matrices with the same input are one kernel, so
 * that they share an all-reduce; any other op is one of its own.
 */
export function kernelsOf(ops: readonly Op[]): readonly (readonly Op[])[] {
  const known = knownKernels.get(ops);
  if (known !== undefined) return known;
  const done = new Set<Op>();
  const kernels: (readonly Op[])[] = [];
  for (const op of ops) {
    if (done.has(op)) continue;
    const fused =
      op.kind === 'linear' ? ops.filter((o) => o.kind === 'linear' && o.input === op.input && o.k === op.k) : [op];
    for (const o of fused) done.add(o);
    kernels.push(fused);
  }
  knownKernels.set(ops, kernels);
  return kernels;
}

/** What a kernel is called: the values that it writes. */
export const kernelName = (kernel: readonly Op[]): string => kernel.map(({ out }) => out).join('+');

/**
 * Phases of a section of a graph (a layer, or the head) with the activations cut along `axis` at its start.
 * @param wanted leaves out the kernels of other ops
 */
export function sectionPhases(
  ops: readonly Op[],
  axis: Axis,
  of: KernelContext,
  wanted: (op: Op) => boolean = () => true,
): OpPhases[] {
  const axes = inputAxes(ops, axis);
  const groups = sectionGroups(ops, axis, of);
  const context = {
    ...of,
    lanes: lanesOf(ops),
    group: (parts: number, on: Axis) => groups[on] ?? of.group(parts, on),
  };
  const result: OpPhases[] = [];
  for (const kernel of kernelsOf(ops)) {
    const [op] = kernel;
    if (!wanted(op)) continue;
    const inAxis = axes.get(op) ?? axis;
    if (op.kind === 'linear') {
      const together = kernel.filter((o): o is LinearOp => o.kind === 'linear');
      result.push({ op: kernelName(kernel), phases: linears(together, inAxis, context) });
    } else {
      if (op.kind === 'add' && outputAxis(ops, axes, op.b, axis) !== inAxis) {
        result.push({ op: `${op.b} turned`, phases: turn(op.width, inAxis, context) });
      }
      result.push({ op: op.out, phases: kernelPhases(op, inAxis, context) });
    }
  }
  return result;
}

/** PEs per group of the tree along the axis on which a section's heads lie, where these decide it. */
export function sectionGroups(
  ops: readonly Op[],
  axis: Axis,
  mesh: { readonly width: number; readonly height: number },
): { readonly x?: number; readonly y?: number } {
  const attention = ops.find(({ kind }) => kind === 'attention');
  if (attention === undefined) return {};
  const on = inputAxes(ops, axis).get(attention) ?? axis;
  const group = headGroup(ops, along(on, mesh));
  return group === undefined ? {} : { [on]: group };
}

/**
 * The axis along which each op's input lies, when the section's input lies along `axis`. A matrix leaves its
 * output along the other axis; everything else leaves it where it was.
 */
export function inputAxes(ops: readonly Op[], axis: Axis): ReadonlyMap<Op, Axis> {
  const known = knownAxes[axis].get(ops);
  if (known !== undefined) return known;
  const axisOf = new Map<string, Axis>();
  const result = new Map<Op, Axis>();
  for (const op of ops) {
    const inAxis = axisOf.get(inputOf(op)) ?? axis;
    result.set(op, inAxis);
    axisOf.set(op.out, outputAxisOf(op, inAxis));
  }
  knownAxes[axis].set(ops, result);
  return result;
}

/** Graphs are never changed, and a placer asks for the same section on thousands of meshes. */
const knownAxes: Readonly<Record<Axis, WeakMap<readonly Op[], ReadonlyMap<Op, Axis>>>> = {
  x: new WeakMap(),
  y: new WeakMap(),
};

const flip = (axis: Axis): Axis => (axis === 'x' ? 'y' : 'x');

/** The axis along which an op leaves its output. */
export const outputAxisOf = (op: Op, inAxis: Axis): Axis =>
  op.kind === 'linear' || op.kind === 'head-linear' ? flip(inAxis) : inAxis;

function outputAxis(ops: readonly Op[], axes: ReadonlyMap<Op, Axis>, value: string, axis: Axis): Axis {
  const writer = ops.findLast((op) => op.out === value);
  if (writer === undefined) return axis;
  const inAxis = axes.get(writer) ?? axis;
  return outputAxisOf(writer, inAxis);
}

/**
 * A vector cut along one axis comes to lie along the other: every PE of a line holds the same piece, so the
 * one on the diagonal multicasts it along the other axis.
 */
function turn(width: number, to: Axis, context: KernelContext): Phase[] {
  const reach = to === 'y' ? context.width : context.height;
  const values = Math.ceil(width / (to === 'y' ? context.height : context.width)) * context.tokens;
  const wavelets = waveletsOf(values, context.type);
  return [
    phase('turn', {
      hops: reach,
      ramps: 2,
      tasks: 1,
      wavelets,
      vectors: [{ count: 1, length: 0, type: context.type }],
    }),
  ];
}

/**
 * A vector, cut along y and repeated along x, goes from every row of one region to all columns of another. Where the
 * rows are not the same ones it first goes north or south, each column carrying a share.
 */
export function movePhases(from: Region, to: Region, values: number, type: VectorType): Phase[] {
  const east = to.x + to.width - (from.x + from.width);
  const west = from.x - to.x;
  const vertical = Math.max(Math.abs(to.y - from.y), Math.abs(to.y + to.height - from.y - from.height));
  const start = { count: 1, length: 0, type };
  const along = phase('to the next region', {
    hops: Math.max(east, west, to.width),
    ramps: 2,
    tasks: 1,
    wavelets: waveletsOf(Math.ceil(values / to.height), type),
    vectors: [start],
  });
  if (vertical === 0) return [along];
  const share = Math.ceil(values / Math.min(from.width, to.width));
  return [
    phase('to its rows', { hops: vertical, ramps: 2, tasks: 1, wavelets: waveletsOf(share, type), vectors: [start] }),
    along,
  ];
}

/** A vector from a region to the nearer of the east and west edges of a wafer, or from there to all of the region. */
export function edgePhases(region: Region, waferWidth: number, values: number, type: VectorType): Phase[] {
  return [
    phase('edge', {
      hops: Math.min(region.x, waferWidth - region.x - region.width) + region.width,
      ramps: 2,
      tasks: 1,
      wavelets: waveletsOf(Math.ceil(values / region.height), type),
      vectors: [{ count: 1, length: 0, type }],
    }),
  ];
}

function inputOf(op: Op): string {
  switch (op.kind) {
    case 'embedding':
      return '';
    case 'attention':
      return op.q;
    case 'glu':
      return op.gate;
    case 'add':
      return op.a;
    default:
      return op.input;
  }
}

function kernelPhases<O extends Op>(op: O, axis: Axis, context: KernelContext): readonly Phase[] {
  // TypeScript cannot see that the record's entry belongs to the op's own kind.
  const kernel = kernels[op.kind] as unknown as { phases(op: O, axis: Axis, context: KernelContext): readonly Phase[] };
  return kernel.phases(op, axis, context);
}

/** Widths of one decoder layer with full-width attention, for the prefill plan by GEMMs. */
export interface PrefillLayer {
  readonly tokens: number;
  readonly hidden: number;
  readonly qkv: number;
  readonly ffn: number;
}

/**
 * Prefill of one layer by cyclic-shift GEMMs, activations cut over both axes (WaferLLM, section 4). Scores
 * are computed in full, without skipping the masked half, as the published kernels do.
 */
export function shiftPrefillPhases(layer: PrefillLayer, context: KernelContext): OpPhases[] {
  const { tokens, hidden, qkv, ffn } = layer;
  const side = Math.max(context.width, context.height);
  const tile = (a: number, b: number): number => Math.ceil(a / side) * Math.ceil(b / side);
  const rows = Math.ceil(tokens / side);
  const { type } = context;
  const overRow = (values: number): readonly Phase[] =>
    allReduce({ parts: side, values, type, group: context.group(side, 'x') });
  const norm = [
    phase('squares', { vectors: [{ count: 1, length: tile(tokens, hidden), type }] }),
    ...overRow(rows),
    phase('scale', { divisions: 2 * rows, vectors: [{ count: 2, length: tile(tokens, hidden), type }] }),
  ];
  const residual = phase('residual', { vectors: [{ count: 1, length: tile(tokens, hidden), type }] });
  const scores = tile(tokens, tokens);
  const gated = tile(tokens, ffn);
  return [
    { op: 'norm', phases: norm },
    { op: 'qkv', phases: shiftGemm(tokens, hidden, qkv, context) },
    { op: 'rope', phases: [phase('rotate', { vectors: [{ count: 6, length: tile(tokens, hidden), type }] })] },
    { op: 'scores', phases: shiftGemmTransposed(tokens, hidden, tokens, context) },
    {
      op: 'softmax',
      phases: [
        phase('maximum', { vectors: [{ count: 1, length: scores, type }] }),
        ...overRow(rows),
        phase('exponential', { vectors: [{ count: context.expVectors + 2, length: scores, type }] }),
        ...overRow(rows),
        phase('normalize', { divisions: rows, vectors: [{ count: 1, length: scores, type }] }),
      ],
    },
    { op: 'weighted values', phases: shiftGemm(tokens, tokens, hidden, context) },
    { op: 'output', phases: [...shiftGemm(tokens, hidden, hidden, context), residual] },
    { op: 'norm', phases: norm },
    { op: 'gate and up', phases: shiftGemm(tokens, hidden, 2 * ffn, context) },
    {
      op: 'glu',
      phases: [
        phase('activation', {
          divisions: gated,
          vectors: [{ count: context.expVectors + 3, length: gated, type }],
        }),
      ],
    },
    { op: 'down', phases: [...shiftGemm(tokens, ffn, hidden, context), residual] },
  ];
}

// What one step of a placed program does, as phases: which kernels run after one another, and along which
// mesh axis their inputs lie. `sim` prices them.

import type { LinearOp, Op } from '../model/index.ts';
import { kernels, matrix, shiftGemm, shiftGemmTransposed } from './kernel/index.ts';
import type { KernelContext } from './kernel/index.ts';
import { allReduce } from './collective/index.ts';
import { phase, waveletsOf } from './phase.ts';
import type { Axis } from './reduction.ts';
import type { Phase } from './phase.ts';

/** The phases of one op, or of several matrices that share their input. */
export interface OpPhases {
  readonly op: string;
  readonly phases: readonly Phase[];
}

/**
 * Phases of a section of a graph (a layer, or the head) with the activations cut along `axis` at its start.
 * Matrices with the same input run as one, so that they share an all-reduce.
 */
export function sectionPhases(ops: readonly Op[], axis: Axis, context: KernelContext): OpPhases[] {
  const axes = inputAxes(ops, axis);
  const done = new Set<Op>();
  const result: OpPhases[] = [];
  for (const op of ops) {
    if (done.has(op)) continue;
    const inAxis = axes.get(op) ?? axis;
    if (op.kind === 'linear') {
      const fused = ops.filter((o): o is LinearOp => o.kind === 'linear' && o.input === op.input && o.k === op.k);
      for (const o of fused) done.add(o);
      const bias = fused.some((o) => o.bias !== undefined);
      const outputs = fused.map((o) => o.n);
      result.push({ op: fused.map((o) => o.out).join('+'), phases: matrix(op.k, outputs, bias, inAxis, context) });
    } else {
      if (op.kind === 'add' && outputAxis(ops, axes, op.b, axis) !== inAxis) {
        result.push({ op: `${op.b} turned`, phases: turn(op.width, inAxis, context) });
      }
      result.push({ op: op.out, phases: kernelPhases(op, inAxis, context) });
    }
  }
  return result;
}

/**
 * The axis along which each op's input lies, when the section's input lies along `axis`. A matrix leaves its
 * output along the other axis; everything else leaves it where it was.
 */
export function inputAxes(ops: readonly Op[], axis: Axis): Map<Op, Axis> {
  const axisOf = new Map<string, Axis>();
  const result = new Map<Op, Axis>();
  for (const op of ops) {
    const inAxis = axisOf.get(inputOf(op)) ?? axis;
    result.set(op, inAxis);
    axisOf.set(op.out, outputAxisOf(op, inAxis));
  }
  return result;
}

const flip = (axis: Axis): Axis => (axis === 'x' ? 'y' : 'x');

/** The axis along which an op leaves its output. */
export const outputAxisOf = (op: Op, inAxis: Axis): Axis =>
  op.kind === 'linear' || op.kind === 'head-linear' ? flip(inAxis) : inAxis;

function outputAxis(ops: readonly Op[], axes: Map<Op, Axis>, value: string, axis: Axis): Axis {
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

// Which order of additions each op of a program uses. Every section starts with its values cut along the y axis;
// from there `inputAxes` says along which axis each op's input lies.

import { assert } from '../core/index.ts';
import type { AttentionOp, HeadLinearOp, LinearOp, MoeOp, Op, RmsNormOp } from '../model/index.ts';
import { inputAxes } from './plan.ts';
import type { Program } from './program.ts';
import { reductionAlong, type Axis, type MeshGroups, type ReductionPlan } from './reduction.ts';

export interface ProgramOrders {
  /** Over the inputs of a linear op (all heads together, or one that is spread), over the whole row of a norm. */
  of(op: LinearOp | HeadLinearOp | RmsNormOp): ReductionPlan;
  /** Over the input of a mixture, for its router and its experts, and over the input of an expert's last matrix. */
  ofExperts(op: MoeOp): { readonly input: ReductionPlan; readonly inner: ReductionPlan };
  /** Over the channels of the keys, all heads together: a head's score adds at the tiles where its channels lie. */
  overChannels(op: AttentionOp): ReductionPlan;
  /** Over the `length` positions that a query sees: they lie along the axis on which its channels do not. */
  overPositions(op: AttentionOp, length: number): ReductionPlan;
}

function summedWidth(op: LinearOp | HeadLinearOp | RmsNormOp): number {
  switch (op.kind) {
    case 'linear':
      return op.k;
    case 'head-linear':
      return op.isSpread ? op.k : op.heads * (op.k + op.passed);
    case 'rmsnorm':
      return op.width + (op.passed ?? 0);
  }
}

/**
 * The orders of a program, for the op objects of its own graph: each section adds as its stage's region and groups say.
 * @throws AssertionError where an op is in no stage
 */
export function ordersOf(program: Program): ProgramOrders {
  const { prologue, layers, epilogue } = program.graph;
  const places = new Map<Op, { readonly axis: Axis; readonly on: MeshGroups }>();
  for (const { fromLayer, toLayer, hasEmbedding, hasHead, region, groups } of program.stages) {
    const on = { mesh: region, groups };
    const sections = [
      ...(hasEmbedding ? [prologue] : []),
      ...layers.slice(fromLayer, toLayer),
      ...(hasHead ? [epilogue] : []),
    ];
    for (const ops of sections) for (const [op, axis] of inputAxes(ops, 'y')) places.set(op, { axis, on });
  }
  const placeOf = (op: Op): { readonly axis: Axis; readonly on: MeshGroups } => {
    const place = places.get(op);
    assert(place !== undefined, `${op.out} is on a stage of the program`);
    return place;
  };
  const along = (op: Op, length: number): ReductionPlan => {
    const { axis, on } = placeOf(op);
    return reductionAlong(on, axis, length);
  };
  const across = (op: Op, length: number): ReductionPlan => {
    const { axis, on } = placeOf(op);
    return reductionAlong(on, axis === 'x' ? 'y' : 'x', length);
  };
  return {
    of: (op) => along(op, summedWidth(op)),
    ofExperts: (op) => ({ input: along(op, op.width), inner: across(op, op.expertFfn) }),
    overChannels: (op) => along(op, op.kvHeads * op.headDim),
    overPositions: across,
  };
}

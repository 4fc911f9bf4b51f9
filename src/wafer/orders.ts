// Which order of additions each op of a program uses. Every section starts with its values cut along the y axis;
// from there `inputAxes` says along which axis each op's input lies.

import { assert } from '../core/index.ts';
import type { AttentionOp, LinearOp, Op, RmsNormOp } from '../model/index.ts';
import { inputAxes } from './plan.ts';
import type { Program } from './program.ts';
import { reductionAlong } from './reduction.ts';
import type { Axis, ReductionPlan } from './reduction.ts';

export interface ProgramOrders {
  /** Over k of a linear op, over the whole width of a norm. */
  of(op: LinearOp | RmsNormOp): ReductionPlan;
  /** Over the channels of the keys, all heads together: a head's score adds at the tiles where its channels lie. */
  overChannels(op: AttentionOp): ReductionPlan;
  /** Over the `length` positions that a query sees: they lie along the axis on which its channels do not. */
  overPositions(op: AttentionOp, length: number): ReductionPlan;
}

/** The orders of a program, for the op objects of its own graph. */
export function ordersOf(program: Program): ProgramOrders {
  const { prologue, layers, epilogue } = program.graph;
  const axes = new Map<Op, Axis>([prologue, ...layers, epilogue].flatMap((ops) => [...inputAxes(ops, 'y')]));
  const axisOf = (op: Op): Axis => {
    const axis = axes.get(op);
    assert(axis !== undefined, `${op.out} is an op of the program`);
    return axis;
  };
  return {
    of: (op) => reductionAlong(program, axisOf(op), op.kind === 'linear' ? op.k : op.width),
    overChannels: (op) => reductionAlong(program, axisOf(op), op.kvHeads * op.headDim),
    overPositions: (op, length) => reductionAlong(program, axisOf(op) === 'x' ? 'y' : 'x', length),
  };
}

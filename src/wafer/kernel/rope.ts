import { ropePart, type RopeOp } from '../../model/index.ts';
import type { Wafer } from '../../spec/index.ts';
import { vectorsOf, type MemoryRequest } from '../machine/index.ts';
import { phase, type VectorType } from '../phase.ts';
import { along, tileAlong, type Kernel } from './kernel.ts';
import { loweredContext, cutAlong, gatherAlong, sliceOf, whole } from './lower/lowering.ts';
import type { LoweredKernel, Placement, Slice } from './lower/lowering.ts';
import { everywhere, sequence, type Mesh, type Stage } from './lower/sequence.ts';

/**
 * Two multiplications and an addition for each half of a pair. The compiler stores the rows of the q and k
 * weights so that both halves of a pair lie on one PE, hence no wavelet moves.
 */
export const rope: Kernel<RopeOp> = {
  phases: (op, axis, context) => {
    // A PE holds elements of one head or of several; the fullest may hold nothing but those that turn.
    const { width } = ropePart(op);
    const turning = tileAlong(op.input, op.heads * op.headDim, axis, context);
    const heads = context.lanes?.(op.input, along(axis, context))?.lanes ?? Math.ceil(turning / op.headDim);
    const tile = Math.min(turning, heads * width);
    const half = Math.ceil((tile * context.tokens) / 2);
    return [phase('rotate', { vectors: [{ count: 6, length: half, type: context.type }] })];
  },
};

/** What a rotation needs beside its halves: angles in other banks than those, and both products. */
export const ropeMemory = (length: number, type: VectorType): MemoryRequest[] =>
  Object.entries({ cos: 2, sin: 6, left: 0, right: 4 }).map(([name, bank]) => ({ name, dtype: type, length, bank }));

/** Pairs (a, b) of a PE turned by the angles of `ropeMemory`. */
export function ropeStage(
  mesh: Mesh & Pick<Placement, 'type'>,
  length: number,
  halves: Readonly<Record<'a' | 'b' | 'turnedA' | 'turnedB', Slice>>,
): Stage {
  const vector = vectorsOf(mesh.type);
  const dsds = Object.fromEntries(Object.entries(halves).map(([name, slice]) => [name, sliceOf(slice, length)]));
  return everywhere(mesh, { ...dsds, ...whole(length, 'cos', 'sin', 'left', 'right') }, [
    vector('mul', 'left', 'a', 'cos'),
    vector('mul', 'right', 'b', 'sin'),
    vector('sub', 'turnedA', 'left', 'right'),
    vector('mul', 'left', 'b', 'cos'),
    vector('mul', 'right', 'a', 'sin'),
    vector('add', 'turnedB', 'left', 'right'),
  ]);
}

/**
 * Pairs (a, b) turned by their angles: a cos - b sin and b cos + a sin, all [pairs] and cut along the axis. The
 * outcome is the turned a, then the turned b. The caller repeats cos and sin for every head.
 */
export function lowerRope(spec: Placement & { readonly pairs: number }, wafer: Wafer): LoweredKernel {
  const { axis, type, pairs } = spec;
  const length = Math.ceil(pairs / along(axis, spec));
  const object = (name: string, bank: number): MemoryRequest => ({ name, dtype: type, length, bank });
  const program = sequence(
    spec,
    // Every instruction's two operands lie in different banks.
    [object('a', 0), object('b', 4), ...ropeMemory(length, type), object('turned a', 0), object('turned b', 0)],
    [
      ropeStage(spec, length, {
        a: { object: 'a', offset: 0 },
        b: { object: 'b', offset: 0 },
        turnedA: { object: 'turned a', offset: 0 },
        turnedB: { object: 'turned b', offset: 0 },
      }),
    ],
    wafer,
  );
  // Only the number of elements of each PE counts, not how they form heads.
  const width = 2 * length * along(axis, spec);
  return {
    program,
    phases: rope.phases(
      { kind: 'rope', out: 'y', input: 'x', heads: 1, headDim: width, rope: { theta: 10_000 } },
      axis,
      loweredContext(spec),
    ),
    *inputs(tensors) {
      for (const name of ['a', 'b', 'cos', 'sin']) yield* cutAlong(tensors[name], name, axis, spec);
    },
    readback: (memory) =>
      Float64Array.from(['turned a', 'turned b'].flatMap((name) => [...gatherAlong(memory, name, axis, spec, pairs)])),
  };
}

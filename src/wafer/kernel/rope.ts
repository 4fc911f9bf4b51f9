import { ropePart } from '../../model/index.ts';
import type { RopeOp } from '../../model/index.ts';
import type { Wafer } from '../../spec/index.ts';
import type { Instruction, MemoryRequest } from '../machine/index.ts';
import { phase } from '../phase.ts';
import { along } from './kernel.ts';
import type { Kernel } from './kernel.ts';
import { loweredContext, cutAlong, gatherAlong, whole } from './lower/lowering.ts';
import type { LoweredKernel, Placement } from './lower/lowering.ts';
import { everywhere, sequence } from './lower/sequence.ts';

/**
 * Two multiplications and an addition for each half of a pair. The compiler stores the rows of the q and k
 * weights so that both halves of a pair lie on one PE, hence no wavelet moves.
 */
export const rope: Kernel<RopeOp> = {
  phases: (op, axis, context) => {
    // A PE holds elements of one head or of several; the fullest may hold nothing but those that turn.
    const { width } = ropePart(op);
    const turning = Math.ceil((op.heads * op.headDim) / along(axis, context));
    const heads = Math.ceil(turning / op.headDim);
    const tile = Math.min(turning, heads * width);
    const half = Math.ceil((tile * context.tokens) / 2);
    return [phase('rotate', { vectors: [{ count: 6, length: half, type: context.type }] })];
  },
};

/**
 * Pairs (a, b) turned by their angles: a cos - b sin and b cos + a sin, all [pairs] and cut along the axis. The
 * outcome is the turned a, then the turned b. The caller repeats cos and sin for every head.
 */
export function lowerRope(spec: Placement & { readonly pairs: number }, wafer: Wafer): LoweredKernel {
  const { axis, type, pairs } = spec;
  const length = Math.ceil(pairs / along(axis, spec));
  const object = (name: string, bank: number): MemoryRequest => ({ name, dtype: type, length, bank });
  const vector = (op: 'mul' | 'add' | 'sub', dst: string, left: string, right: string): Instruction => ({
    kind: 'vector',
    op,
    dtype: type,
    dst,
    src: [left, right],
  });
  const program = sequence(
    spec,
    // Every instruction's two operands lie in different banks.
    [
      object('a', 0),
      object('b', 4),
      object('cos', 2),
      object('sin', 6),
      object('left', 0),
      object('right', 4),
      object('turned a', 0),
      object('turned b', 0),
    ],
    [
      everywhere(spec, whole(length, 'a', 'b', 'cos', 'sin', 'left', 'right', 'turned a', 'turned b'), [
        vector('mul', 'left', 'a', 'cos'),
        vector('mul', 'right', 'b', 'sin'),
        vector('sub', 'turned a', 'left', 'right'),
        vector('mul', 'left', 'b', 'cos'),
        vector('mul', 'right', 'a', 'sin'),
        vector('add', 'turned b', 'left', 'right'),
      ]),
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

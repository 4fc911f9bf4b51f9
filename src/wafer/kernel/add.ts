import type { AddOp } from '../../model/index.ts';
import type { Wafer } from '../../spec/index.ts';
import { phase } from '../phase.ts';
import { vectorsOf } from '../machine/index.ts';
import { along, type Kernel } from './kernel.ts';
import { cutAlong, gatherAlong, loweredContext, whole, type LoweredKernel, type Placement } from './lower/lowering.ts';
import { everywhere, sequence, type Mesh, type Stage } from './lower/sequence.ts';

/** One vector addition on each PE; both operands lie alike. */
export const add: Kernel<AddOp> = {
  phases: (op, axis, context) => {
    const length = Math.ceil(op.width / along(axis, context)) * context.tokens;
    return [phase('add', { vectors: [{ count: 1, length, type: context.type }] })];
  },
};

/** y = a + b, whole memory objects. */
export const addStage = (
  mesh: Mesh & Pick<Placement, 'type'>,
  length: number,
  { a, b, y }: Readonly<Record<'a' | 'b' | 'y', string>>,
): Stage => everywhere(mesh, whole(length, a, b, y), [vectorsOf(mesh.type)('add', y, a, b)]);

/** y = a + b, all [size] and cut along the axis. */
export function lowerAdd(spec: Placement & { readonly size: number }, wafer: Wafer): LoweredKernel {
  const { axis, type, size } = spec;
  const length = Math.ceil(size / along(axis, spec));
  const program = sequence(
    spec,
    [
      { name: 'a', dtype: type, length, bank: 0 },
      { name: 'b', dtype: type, length, bank: 4 },
      { name: 'y', dtype: type, length },
    ],
    [addStage(spec, length, { a: 'a', b: 'b', y: 'y' })],
    wafer,
  );
  return {
    program,
    phases: add.phases({ kind: 'add', out: 'y', a: 'a', b: 'b', width: size }, axis, loweredContext(spec)),
    *inputs({ a, b }) {
      yield* cutAlong(a, 'a', axis, spec);
      yield* cutAlong(b, 'b', axis, spec);
    },
    readback: (memory) => gatherAlong(memory, 'y', axis, spec, size),
  };
}

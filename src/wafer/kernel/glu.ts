import type { GluOp } from '../../model/index.ts';
import type { Wafer } from '../../spec/index.ts';
import type { Instruction } from '../machine/index.ts';
import { phase } from '../phase.ts';
import { along } from './kernel.ts';
import type { Kernel } from './kernel.ts';
import { exponential, exponentialMemory } from './lower/exponential.ts';
import { cutAlong, gatherAlong, loweredContext, whole } from './lower/lowering.ts';
import type { LoweredKernel, Placement } from './lower/lowering.ts';
import { everywhere, sequence } from './lower/sequence.ts';

/**
 * silu(gate) · up: an exponential, an addition, a scalar division for each element, and a product. The loads and
 * the store around a division are taken as part of its "about 50" cycles.
 */
export const glu: Kernel<GluOp> = {
  phases: (op, axis, context) => {
    const values = Math.ceil(op.width / along(axis, context)) * context.tokens;
    return [
      phase('activation', {
        divisions: values,
        vectors: [{ count: context.expVectors + 2, length: values, type: context.type }],
      }),
    ];
  },
};

/** y = silu(gate) · up, all [size] and cut along the axis. */
export function lowerGlu(spec: Placement & { readonly size: number }, wafer: Wafer): LoweredKernel {
  const { axis, type, size } = spec;
  const length = Math.ceil(size / along(axis, spec));
  const [x, denominator] = [{ register: 2 }, { register: 3 }];
  const divide = Array.from({ length }, (_, index): Instruction[] => [
    { kind: 'load', object: 'gate', index, dst: x },
    { kind: 'load', object: 'e', index, dst: denominator },
    { kind: 'scalar', op: 'div', dtype: type, dst: x, src: [x, denominator] },
    { kind: 'store', object: 'e', index, src: x },
  ]).flat();
  const program = sequence(
    spec,
    [
      { name: 'gate', dtype: type, length, bank: 0 },
      { name: 'up', dtype: type, length, bank: 0 },
      { name: 'y', dtype: type, length },
      ...exponentialMemory(length, type),
    ],
    [
      everywhere(spec, whole(length, 'gate', 'up', 'y', 'e', 'e bits', 'n', 'n bits', 'r'), [
        ...exponential('gate', -1, type),
        { kind: 'vector', op: 'add', dtype: type, dst: 'e', src: ['e', 1] },
        ...divide,
        { kind: 'vector', op: 'mul', dtype: type, dst: 'y', src: ['up', 'e'] },
      ]),
    ],
    wafer,
  );
  return {
    program,
    phases: glu.phases(
      { kind: 'glu', out: 'y', gate: 'gate', up: 'up', activation: 'silu', width: size },
      axis,
      loweredContext(spec),
    ),
    *inputs({ gate, up }) {
      yield* cutAlong(gate, 'gate', axis, spec);
      yield* cutAlong(up, 'up', axis, spec);
    },
    readback: (memory) => gatherAlong(memory, 'y', axis, spec, size),
  };
}

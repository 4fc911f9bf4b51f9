import type { SoftcapOp } from '../../model/index.ts';
import { load, scalarsOf, store, type Instruction } from '../machine/index.ts';
import { phase, type Phase } from '../phase.ts';
import { along, type Kernel, type KernelContext } from './kernel.ts';
import { exponential, held, vectorsHolding } from './lower/exponential.ts';
import { whole, type Placement } from './lower/lowering.ts';
import { everywhere, type Mesh, type Stage } from './lower/sequence.ts';

/** Vector instructions beside the exponential: by 2 / cap, plus 1, from the cap. */
const vectorsBesideExp = 3;

/** cap · tanh(x / cap) of `values` elements, as cap − 2 cap / (1 + e^(2x / cap)): a scalar division an element. */
export const softcapPhase = (values: number, { expVectors, type }: KernelContext): Phase =>
  phase('soft cap', {
    divisions: values,
    vectors: [{ count: expVectors + vectorsBesideExp, length: values, type }],
  });

export const softcap: Kernel<SoftcapOp> = {
  phases: (op, axis, context) => [softcapPhase(Math.ceil(op.width / along(axis, context)) * context.tokens, context)],
};

/** x = cap · tanh(x / cap) of a whole object on each PE, through the objects of `exponentialMemory`. */
export function softcapStage(
  mesh: Mesh & Pick<Placement, 'type'>,
  { object, length, cap }: { readonly object: string; readonly length: number; readonly cap: number },
): Stage {
  const { type } = mesh;
  const scalar = scalarsOf(type);
  const element = { register: 2 };
  const vector = vectorsHolding(type);
  return everywhere(mesh, whole(length, object, 'e', 'e bits', 'n', 'n bits', 'r'), [
    vector('mul', 'r', object, 2 / cap),
    ...exponential('r', 1, type),
    vector('add', 'e', 'e', 1),
    ...Array.from({ length }, (_, index): Instruction[] => [
      load('e', index, element),
      scalar('div', element, held(2 * cap, type), element),
      store('e', index, element),
    ]).flat(),
    vector('sub', object, cap, 'e'),
  ]);
}

import type { SoftcapOp } from '../../model/index.ts';
import { phase } from '../phase.ts';
import type { Phase } from '../phase.ts';
import { along } from './kernel.ts';
import type { Kernel, KernelContext } from './kernel.ts';

/** Vector instructions beside the exponential: by 1 / cap, doubled, plus 1, from 1, sign, by the cap. */
const vectorsBesideExp = 6;

/** cap · tanh(x / cap) of `values` elements, tanh by one exponential and one scalar division an element. */
export const softcapPhase = (values: number, { expVectors, type }: KernelContext): Phase =>
  phase('soft cap', {
    divisions: values,
    vectors: [{ count: expVectors + vectorsBesideExp, length: values, type }],
  });

export const softcap: Kernel<SoftcapOp> = {
  phases: (op, axis, context) => [softcapPhase(Math.ceil(op.width / along(axis, context)) * context.tokens, context)],
};

import type { MoeOp } from '../../model/index.ts';
import { phase } from '../phase.ts';
import type { Phase } from '../phase.ts';
import type { Axis } from '../reduction.ts';
import { glu } from './glu.ts';
import { across, allReduceOf, along } from './kernel.ts';
import type { Kernel, KernelContext } from './kernel.ts';
import { matrix, widened } from './linear.ts';
import { topK } from './top-k.ts';

/**
 * Every expert's matrices are spread over the whole region, so no token travels to an expert, and the experts that a
 * token picks run as one: their gates and ups share an all-reduce, and so do their outputs, which are weighted after it.
 * Every PE gathers the router's scores and chooses by itself. Tokens of one step pick different experts, so they run
 * one after another.
 */
export const moe: Kernel<MoeOp> = {
  phases: (op, axis, context) => {
    const one = { ...context, tokens: 1 };
    const other = axis === 'x' ? 'y' : 'x';
    const { experts, activeExperts, expertFfn, expertBias, width } = op;
    const outputs = Array.from({ length: 2 * activeExperts }, () => expertFfn);
    const unit = { kind: 'glu', out: op.out, gate: op.input, up: op.input, activation: op.activation } as const;
    const token = [
      ...matrix(width, [experts], op.routing.bias === 'logits', axis, one),
      ...choose(op, other, one),
      ...matrix(width, outputs, expertBias, axis, one, 'expert'),
      ...glu.phases({ ...unit, width: activeExperts * expertFfn }, other, one),
      ...down(op, other, one),
    ];
    return token.map((p) => ({ ...p, repeat: p.repeat * context.tokens }));
  },
};

/** All scores on every PE, their exponentials, and the largest of them, one after another, where they are. */
function choose({ experts, activeExperts, routing }: MoeOp, axis: Axis, context: KernelContext): Phase[] {
  const { type } = context;
  const onePe = { ...context, width: 1, height: 1, allReduce: () => [] };
  // Maximum, difference, exponential, sum; a sigmoid divides one by one, and the bias of the choice is added.
  const isSigmoid = routing.score === 'sigmoid';
  const count = context.expVectors + 3 + (routing.bias === 'choice' ? 1 : 0);
  return [
    ...allReduceOf(along(axis, context), experts, axis, context),
    phase('scores', {
      divisions: (isSigmoid ? experts : 0) + activeExperts,
      vectors: [{ count, length: experts, type }],
    }),
    ...topK(experts, activeExperts, axis, onePe),
  ];
}

/** The active experts' last matrices, all-reduced together and then summed with their weights. `axis`: of their input. */
function down(op: MoeOp, axis: Axis, context: KernelContext): Phase[] {
  const { activeExperts, expertFfn, expertBias, width } = op;
  const { type } = context;
  const kTile = Math.ceil(expertFfn / along(axis, context));
  const length = Math.ceil(width / across(axis, context));
  const weighted = activeExperts + (expertBias ? activeExperts : 0);
  return [
    phase('multiply', {
      vectors: [
        ...widened('expert', activeExperts * kTile, length, context),
        { count: activeExperts * kTile, length, type, looped: true },
      ],
    }),
    ...allReduceOf(along(axis, context), activeExperts * length, axis, context),
    phase('weighted sum', { vectors: [{ count: weighted, length, type }] }),
  ];
}

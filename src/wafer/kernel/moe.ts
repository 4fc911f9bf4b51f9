import type { MoeOp } from '../../model/index.ts';
import { phase, type Phase } from '../phase.ts';
import type { Axis } from '../reduction.ts';
import { glu } from './glu.ts';
import { allReduceOf, along, type Kernel, type KernelContext } from './kernel.ts';
import { matrix, widened } from './linear.ts';

/**
 * Every expert's matrices are spread over the whole region, so no token travels to an expert, and the experts that a
 * token picks share their all-reduces: one of gates and ups, and one of outputs, which are weighted after it. Every PE
 * gathers the router's scores and chooses by itself. Tokens of one step pick different experts, so they run one after
 * another.
 */
export const moe: Kernel<MoeOp> = {
  phases: (op, axis, context) => {
    const one = { ...context, tokens: 1 };
    const other = axis === 'x' ? 'y' : 'x';
    const { experts, activeExperts, expertFfn, width } = op;
    const parts = along(other, one);
    const inner = Math.ceil(expertFfn / parts);
    const outer = Math.ceil(width / along(axis, one));
    const unit = { kind: 'glu', out: op.out, gate: op.input, up: op.input, activation: op.activation } as const;
    const token = [
      ...matrix(width, [experts], op.routing.bias === 'logits', axis, one),
      ...choose(op, other, one),
      ...experted(op, outer, 2 * inner, axis, one),
      ...glu.phases({ ...unit, width: activeExperts * inner * parts }, other, one),
      ...experted(op, inner, outer, other, one),
      phase('weighted sum', {
        steps: activeExperts,
        vectors: [{ count: activeExperts, length: outer, type: context.type }],
      }),
    ];
    return token.map((p) => ({ ...p, repeat: p.repeat * context.tokens }));
  },
};

/** All scores on every PE, their exponentials, and the largest of them, one after another. */
function choose({ experts, activeExperts, routing }: MoeOp, axis: Axis, context: KernelContext): Phase[] {
  const { type } = context;
  const own = Math.ceil(experts / along(axis, context));
  // Maximum, difference, exponential; their sum, or that of those chosen; a sigmoid divides one by one, and the bias of
  // the choice is added.
  const isSigmoid = routing.score === 'sigmoid';
  const count = context.expVectors + 2 + (routing.normalize ? 0 : 1) + (routing.bias === 'choice' ? 1 : 0);
  return [
    phase('place', {
      steps: 2,
      vectors: [
        { count: 1, length: experts, type },
        { count: 1, length: own, type },
      ],
    }),
    ...allReduceOf(along(axis, context), experts, axis, context),
    phase('scores', {
      steps: 2,
      divisions: isSigmoid ? experts : 0,
      vectors: [{ count, length: experts, type }],
    }),
    // A load and a branch for each score; the two instructions that keep a larger one are not counted.
    { ...phase('choose', { steps: 2 * experts + 6 }), repeat: activeExperts },
    phase('shares', {
      steps: 3,
      divisions: 1,
      vectors: [{ count: routing.normalize ? 2 : 1, length: activeExperts, type }],
    }),
  ];
}

/**
 * A matrix of each active expert, [columns, length] on a PE: its tile is found by its number, and each column takes the
 * move of a DSD. The experts' sums go along the axis together.
 */
function experted(op: MoeOp, columns: number, length: number, axis: Axis, context: KernelContext): Phase[] {
  const { activeExperts: active, expertBias } = op;
  const { type } = context;
  return [
    phase('multiply', {
      steps: active * (columns + 2),
      vectors: [
        ...widened('expert', active * columns, length, context),
        { count: active * columns, length, type, looped: true },
      ],
    }),
    ...allReduceOf(along(axis, context), active * length, axis, context),
    ...(expertBias ? [phase('bias', { steps: 3 * active, vectors: [{ count: active, length, type }] })] : []),
  ];
}

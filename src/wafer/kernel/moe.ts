import type { MoeOp } from '../../model/index.ts';
import { glu } from './glu.ts';
import type { Kernel } from './kernel.ts';
import { matrix } from './linear.ts';
import { phase } from '../phase.ts';

/**
 * Every expert's matrices are spread over the whole region, so the experts that a token picks act as one MLP
 * of their summed width: no token travels to an expert. Tokens of one step pick different experts, so they
 * run one after another.
 */
export const moe: Kernel<MoeOp> = {
  phases: (op, axis, context) => {
    const ffn = op.activeExperts * op.expertFfn + op.sharedExperts * op.sharedFfn;
    const one = { ...context, tokens: 1 };
    const other = axis === 'x' ? 'y' : 'x';
    const token = [
      ...matrix(op.width, [op.experts], op.routerBias, axis, one),
      phase('choose', {
        vectors: [{ count: op.activeExperts, length: Math.ceil(op.experts / context.width), type: context.type }],
      }),
      ...matrix(op.width, [ffn, ffn], op.expertBias, axis, one),
      ...glu.phases(
        { kind: 'glu', out: op.out, gate: op.input, up: op.input, activation: 'silu', width: ffn },
        other,
        one,
      ),
      ...matrix(ffn, [op.width], op.expertBias, other, one),
    ];
    return token.map((p) => ({ ...p, repeat: p.repeat * context.tokens }));
  },
};

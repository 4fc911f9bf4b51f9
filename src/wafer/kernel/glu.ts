import type { GluOp } from '../../model/index.ts';
import { phase } from '../phase.ts';
import { along } from './kernel.ts';
import type { Kernel } from './kernel.ts';

/** An exponential, an addition and a division for each element (the division is scalar), then two products. */
export const glu: Kernel<GluOp> = {
  phases: (op, axis, context) => {
    const values = Math.ceil(op.width / along(axis, context)) * context.tokens;
    return [
      phase('activation', {
        divisions: values,
        vectors: [{ count: context.expVectors + 3, length: values, type: context.type }],
      }),
    ];
  },
};

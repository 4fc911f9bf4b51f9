import type { RopeOp } from '../../model/index.ts';
import { phase } from '../phase.ts';
import { along } from './kernel.ts';
import type { Kernel } from './kernel.ts';

/**
 * Two multiplications and an addition for each half of a pair. The compiler stores the rows of the q and k
 * weights so that both halves of a pair lie on one PE, hence no wavelet moves.
 */
export const rope: Kernel<RopeOp> = {
  phases: (op, axis, context) => {
    const tile = Math.ceil((op.heads * op.headDim) / along(axis, context));
    const half = Math.ceil((tile * context.tokens) / 2);
    return [phase('rotate', { vectors: [{ count: 6, length: half, type: context.type }] })];
  },
};

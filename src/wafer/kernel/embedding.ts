import type { EmbeddingOp } from '../../model/index.ts';
import { phase, waveletsOf } from '../phase.ts';
import { along } from './kernel.ts';
import type { Kernel } from './kernel.ts';

/**
 * The table lies spread over the region, each row cut along `axis`. The token id crosses the region to the
 * line of PEs that holds its row, which multicasts the row across.
 */
export const embedding: Kernel<EmbeddingOp> = {
  phases: (op, axis, context) => {
    const { tokens, type } = context;
    const tile = Math.ceil(op.width / along(axis, context));
    const reach = context.width + context.height;
    return [
      phase('token id', { hops: reach, ramps: 2, tasks: 1, wavelets: tokens }),
      phase('row', {
        hops: reach,
        ramps: 2,
        tasks: 1,
        wavelets: waveletsOf(tokens * tile, type),
        vectors: [{ count: tokens, length: 0, type }],
      }),
    ];
  },
};

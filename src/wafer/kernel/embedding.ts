import type { EmbeddingOp } from '../../model/index.ts';
import { phase, waveletsOf } from '../phase.ts';
import { across, along, type Kernel } from './kernel.ts';

/**
 * The table lies spread over the region, each row cut along `axis`. The token id crosses the region from a corner
 * and starts a task on every PE, which finds out where the row lies; the line of PEs that holds it multicasts it
 * across and keeps a copy. Counted for a row on the line furthest from the corner.
 */
export const embedding: Kernel<EmbeddingOp> = {
  phases: (op, axis, context) => {
    const { tokens, type } = context;
    const tile = Math.ceil(op.width / along(axis, context));
    const lines = across(axis, context);
    const reach = context.width + context.height - 2;
    const start = { count: tokens, length: 0, type };
    return [
      ...(reach > 0
        ? [phase('token id', { hops: reach, ramps: 2, tasks: 1, wavelets: tokens, vectors: [start] })]
        : []),
      // Its place among the PE's rows: load, subtract, two branches, multiply, step the DSD; turn the switch.
      phase('find', { steps: (lines > 1 ? 7 : 6) * tokens }),
      ...(lines > 1 ? [phase('row', { wavelets: waveletsOf(tokens * tile, type), vectors: [start] })] : []),
      // The last word is on its way while the line that sent it makes its own copy; a jump ends the task.
      phase('copy', {
        steps: 1,
        vectors: [{ count: tokens, length: tile, type }],
        ...(lines > 1 ? { beside: { hops: lines - 1, ramps: 2, wavelets: 2 } } : {}),
      }),
      ...(op.scale === undefined ? [] : [phase('scale', { vectors: [{ count: 1, length: tokens * tile, type }] })]),
    ];
  },
};

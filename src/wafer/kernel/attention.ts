import type { AttentionOp } from '../../model/index.ts';
import { phase, waveletsOf } from '../phase.ts';
import type { Phase } from '../phase.ts';
import { across, allReduceOf, along } from './kernel.ts';
import type { Kernel, KernelContext } from './kernel.ts';
import type { Axis } from '../reduction.ts';
import { softcapPhase } from './softcap.ts';

/**
 * Attention over a KV cache whose channels lie along the input axis and whose positions lie along the other.
 * Scores are all-reduced over the PEs of a head; the softmax maximum and sum and the weighted values over the
 * positions. Grouped queries reuse the K and V tile of their group. The newest token's K and V enter the
 * last row, and every row passes its oldest one on (the shift scheme of WaferLLM, section 4.3): one hop,
 * beside the other work.
 *
 * The output lies along the position axis' counterpart again: cut on `axis`, replicated on the other.
 */
export const attention: Kernel<AttentionOp> = {
  phases: (op, axis, context) => {
    const { tokens, type } = context;
    const channels = along(axis, context);
    const rows = across(axis, context);
    const tiles = tilesOf(op, axis, context);
    const window = op.slidingWindow ?? Infinity;
    // A chunk's queries see on average half of the chunk besides the cache.
    const visible = Math.max(1, Math.min(context.cached + (tokens + 1) / 2, window));
    const positions = Math.ceil(visible / rows);
    const headParts = Math.max(1, Math.min(channels, Math.ceil(op.headDim / tiles.k)));
    const scores = tokens * tiles.queriesPerKv * positions;
    const sums = tokens * tiles.queriesPerKv;
    const overRows = (values: number): readonly Phase[] => allReduceOf(rows, values, axis === 'x' ? 'y' : 'x', context);
    const outputs = tokens * tiles.queriesPerKv * tiles.v;
    return [
      ...(op.latent === undefined ? [tiles.k, tiles.v] : [tiles.k]).map((tile) =>
        phase('append', {
          hops: 1,
          ramps: 2,
          steps: 1,
          wavelets: waveletsOf(tokens * tile, type),
          vectors: [{ count: 1, length: 0, type }],
        }),
      ),
      phase('scores', {
        vectors: [{ count: tokens * tiles.queriesPerKv * tiles.k, length: positions, type, looped: true }],
      }),
      ...allReduceOf(headParts, scores, axis, context),
      ...(op.softcap === undefined ? [] : [softcapPhase(scores, context)]),
      phase('maximum', { steps: sums, vectors: [{ count: 1, length: scores, type }] }),
      ...overRows(sums),
      phase('exponential', { steps: 2 * sums, vectors: [{ count: context.expVectors + 2, length: scores, type }] }),
      ...overRows(sums),
      phase('weighted values', {
        vectors: [{ count: tokens * tiles.queriesPerKv * positions, length: tiles.v, type, looped: true }],
      }),
      ...overRows(outputs),
      phase('normalize', { steps: sums, divisions: sums, vectors: [{ count: sums, length: tiles.v, type }] }),
    ];
  },
};

/** Channels of one PE's K and V tile, and how many queries share them. */
function tilesOf(op: AttentionOp, axis: Axis, context: KernelContext): { k: number; v: number; queriesPerKv: number } {
  const parts = along(axis, context);
  const queriesPerKv = Math.ceil(op.heads / op.kvHeads);
  const tile = Math.ceil((op.kvHeads * op.headDim) / parts);
  // The first elements of the latent keys serve as values too (absorbed form of DeepSeek-V2, section 2.1).
  const v = op.latent === undefined ? tile : Math.ceil((op.kvHeads * op.latent.valueHeadDim) / parts);
  return { k: tile, v, queriesPerKv };
}

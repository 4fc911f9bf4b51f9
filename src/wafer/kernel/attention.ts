import type { AttentionOp } from '../../model/index.ts';
import { phase, waveletsOf, type Phase, type VectorWork } from '../phase.ts';
import { across, allReduceOf, along, type Kernel, type KernelContext } from './kernel.ts';
import type { Axis } from '../reduction.ts';
import { unpackCacheWork } from '../unpack.ts';
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
    const positions = positionsOnPe(op, rows, tokens, context.cached);
    const headParts = tiles.headParts ?? Math.max(1, Math.min(channels, Math.ceil(op.headDim / tiles.key)));
    const sums = tokens * tiles.lanes;
    const scores = sums * positions;
    // Latent values are the keys, which are widened already.
    const widen = (columns: number, length: number): VectorWork[] =>
      unpackCacheWork(context.numerics?.kv ?? type, type, columns, length);
    const overRows = (values: number): readonly Phase[] => allReduceOf(rows, values, axis === 'x' ? 'y' : 'x', context);
    return [
      ...(op.latent === undefined ? [tiles.cached, tiles.cached] : [tiles.cached]).map((tile) =>
        phase('append', {
          hops: 1,
          ramps: 2,
          steps: 1,
          wavelets: waveletsOf(tokens * tile, type),
          vectors: [{ count: 1, length: 0, type }],
        }),
      ),
      ...quantizing(op, tiles, headParts, axis, context),
      phase('scores', {
        vectors: [
          ...widen(tiles.cached, positions),
          { count: sums * tiles.key, length: positions, type, looped: true },
        ],
      }),
      ...allReduceOf(headParts, scores, axis, context),
      ...(op.softcap === undefined ? [] : [softcapPhase(scores, context)]),
      phase('maximum', { steps: sums, vectors: [{ count: sums, length: positions, type }] }),
      ...overRows(sums),
      // Of all scores at once, and of sinks; the maximum is taken off, and the sum made, query by query. A sink is loaded
      // twice, less the maximum stored, and loaded and stored for the sum.
      phase('exponential', {
        steps: (op.sinks === undefined ? 2 : 8) * sums,
        vectors: [
          { count: context.expVectors, length: scores + (op.sinks === undefined ? 0 : sums), type },
          { count: 2 * sums, length: positions, type },
        ],
      }),
      ...overRows(sums),
      phase('weighted values', {
        vectors: [
          ...(op.latent === undefined ? widen(positions, tiles.cached) : []),
          { count: sums * positions, length: tiles.value, type, looped: true },
        ],
      }),
      ...overRows(sums * tiles.value),
      phase('normalize', { steps: sums, divisions: sums, vectors: [{ count: sums, length: tiles.value, type }] }),
    ];
  },
};

/** What an int8 cache takes of new keys and values: the largest of each head, its scale, and the steps of every value. */
function quantizing(op: AttentionOp, tiles: Tiles, headParts: number, axis: Axis, context: KernelContext): Phase[] {
  if (context.numerics?.kv !== 'int8') return [];
  const { tokens, type } = context;
  const parts = (op.latent === undefined ? 2 : 1) * tokens;
  const scales = parts * Math.ceil(tiles.cached / tiles.key);
  const length = parts * tiles.cached;
  return [
    phase('largest', { vectors: [{ count: 1, length, type }] }),
    ...allReduceOf(headParts, scales, axis, context),
    // One over the scale; product, rounding, and two to a word.
    phase('quantize', { divisions: scales, vectors: [{ count: 3, length, type }] }),
  ];
}

/**
 * Positions that a PE attends to when `tokens` new ones follow on `cached`, all that its cost depends on of either.
 * A chunk's queries see on average half of the chunk besides the cache.
 */
export function positionsOnPe(op: AttentionOp, rows: number, tokens: number, cached: number): number {
  const visible = Math.max(1, Math.min(cached + (tokens + 1) / 2, op.slidingWindow ?? Infinity));
  return Math.ceil(visible / rows);
}

/** Channels that one PE caches of keys, those of a head's keys and values, and how many queries it works on. */
interface Tiles {
  readonly cached: number;
  readonly key: number;
  readonly value: number;
  /** PEs over which a score is summed, where heads have PEs of their own. */
  readonly headParts?: number;
  /** Those that share a head of keys and values, for each of the PE's heads. */
  readonly lanes: number;
}

function tilesOf(op: AttentionOp, axis: Axis, context: KernelContext): Tiles {
  const parts = along(axis, context);
  const byHeads = context.lanes?.(op.q, parts);
  if (byHeads !== undefined) {
    const { lanes, channels, sumParts } = byHeads;
    return {
      cached: byHeads.heads * channels,
      key: channels,
      value: channels,
      headParts: sumParts,
      lanes,
    };
  }
  const heads = Math.ceil(op.kvHeads / parts);
  const cached = Math.ceil((op.kvHeads * op.headDim) / parts);
  // The first elements of the latent keys serve as values too (absorbed form of DeepSeek-V2, section 2.1).
  const values = Math.ceil((op.kvHeads * (op.latent?.valueHeadDim ?? op.headDim)) / parts);
  return {
    cached,
    key: Math.ceil(cached / heads),
    value: Math.ceil(values / heads),
    lanes: heads * Math.ceil(op.heads / op.kvHeads),
  };
}

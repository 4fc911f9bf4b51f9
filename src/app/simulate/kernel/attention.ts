// Attention of one token over a KV cache that lies distributed over the mesh.

import { groupSize, lowerAttention } from '../../../wafer/index.ts';
import { reduceOf, sums, tensor, unitRoundoff, type KernelEntry } from './kernel-case.ts';

export const attention: KernelEntry = {
  id: 'attention',
  about: 'softmax(q K) V of one token; heads along x, cached positions along y by shift placement',
  sizes: {
    heads: { about: 'heads; divide the PEs of a row (default: 1)', max: 1024, otherwise: () => 1 },
    'head-dim': {
      about: 'width of a head, a multiple of its PEs (default: 4 per PE)',
      max: 65_536,
      otherwise: ({ width }) => 4 * width,
    },
    cached: {
      about: 'positions in the cache, at least one per row (default: 8 per row)',
      max: 131_072,
      otherwise: ({ height }) => 8 * height,
    },
  },
  // Two levels along both axes and the shift of the cache take more queues than a PE has, on all but small meshes.
  reduces: ['two-phase', ...sums.filter((id) => id !== 'two-phase')],
  elements: ({ width, height, sizes }) =>
    sizes['heads'] * sizes['head-dim'] * (2 * sizes['cached'] + 8 * height) + 4 * width * (sizes['cached'] + height),
  build(point, wafer) {
    const { width, height, type, sizes } = point;
    const { heads, 'head-dim': headDim, cached } = sizes;
    const channels = heads * headDim;
    const collective = reduceOf(point);
    const spec = { width, height, axis: 'x', type, heads, headDim, cached, collective, group: groupSize } as const;
    const kernel = lowerAttention(spec, wafer);
    // A power of two near 1 / sqrt(head width), so that the type holds q as it is.
    const scale = 2 ** -Math.round(Math.log2(headDim) / 2);
    const q = tensor(channels, point, 'q').map((v) => v * scale);
    const [k, v] = [tensor(channels, point, 'k'), tensor(channels, point, 'v')];
    const [cacheK, cacheV] = [tensor(channels * cached, point, 'K'), tensor(channels * cached, point, 'V')];
    const { outcome, score } = reference(
      heads,
      headDim,
      cached,
      q,
      (p) => (p < cached ? [cacheK, p] : [k, 0]),
      (p) => (p < cached ? [cacheV, p] : [v, 0]),
    );
    // A score errs by a rounding per addition, and its error is a relative one of the weight; weights err by the
    // exponential (6 units), their sums by a rounding per position, above and below the line. Values are at most 1.
    const error = ((headDim + width + height) * score * 2 + 2 * (cached + width + height) + 20) * unitRoundoff[type];
    return {
      kernel,
      tensors: { q, k, v, cacheK, cacheV },
      outcomes: channels,
      expected: (i) => ({ value: outcome[i], error }),
    };
  },
};

/** A tensor, and the row of it that is meant. */
type Row = readonly [tensor: Float32Array, row: number];

/** softmax(q K) V by head, and the largest magnitude of a score. */
function reference(
  heads: number,
  headDim: number,
  cached: number,
  q: Float32Array,
  keys: (position: number) => Row,
  values: (position: number) => Row,
): { readonly outcome: Float64Array; readonly score: number } {
  const channels = heads * headDim;
  const outcome = new Float64Array(channels);
  let largest = 0;
  for (let head = 0; head < heads; head++) {
    const first = head * headDim;
    const scores = Float64Array.from({ length: cached + 1 }, (_, position) => {
      const [tensor, row] = keys(position);
      let score = 0;
      let magnitude = 0;
      for (let i = first; i < first + headDim; i++) {
        const term = q[i] * tensor[row * channels + i];
        score += term;
        magnitude += Math.abs(term);
      }
      largest = Math.max(largest, magnitude);
      return score;
    });
    const most = scores.reduce((a, b) => Math.max(a, b));
    const weights = scores.map((score) => Math.exp(score - most));
    const total = weights.reduce((a, b) => a + b);
    weights.forEach((weight, position) => {
      const [tensor, row] = values(position);
      for (let i = first; i < first + headDim; i++) outcome[i] += (weight / total) * tensor[row * channels + i];
    });
  }
  return { outcome, score: largest };
}

// Attention of one token in float64, by the definition: what the lowered kernel is compared with.

import type { Tensors } from '../lower/lowering.ts';

export interface AttentionReference {
  /** softmax(q · K) V, [heads · headDim]. */
  readonly out: Float64Array;
  /** Largest sum of magnitudes in a score, and largest magnitude of a value: what rounding errors scale with. */
  readonly score: number;
  readonly largest: number;
}

/** @param tensors q, k and v of the new position [heads · headDim]; cacheK and cacheV, one such row per position */
export function attentionReference(
  { heads, headDim, cached }: { readonly heads: number; readonly headDim: number; readonly cached: number },
  { q, k, v, cacheK, cacheV }: Tensors,
): AttentionReference {
  const width = heads * headDim;
  const out = new Float64Array(width);
  let score = 0;
  let largest = 0;
  for (let head = 0; head < heads; head++) {
    const from = head * headDim;
    const at = (cache: ArrayLike<number>, next: ArrayLike<number>, position: number, i: number): number =>
      position < cached ? cache[position * width + from + i] : next[from + i];
    const scores = new Float64Array(cached + 1);
    for (let position = 0; position <= cached; position++) {
      let magnitude = 0;
      for (let i = 0; i < headDim; i++) {
        const term = at(cacheK, k, position, i) * q[from + i];
        scores[position] += term;
        magnitude += Math.abs(term);
      }
      score = Math.max(score, magnitude);
    }
    const most = scores.reduce((a, b) => Math.max(a, b));
    const weights = scores.map((s) => Math.exp(s - most));
    const total = weights.reduce((a, b) => a + b);
    for (let i = 0; i < headDim; i++) {
      let sum = 0;
      for (let position = 0; position <= cached; position++) {
        const value = at(cacheV, v, position, i);
        sum += weights[position] * value;
        largest = Math.max(largest, Math.abs(value));
      }
      out[from + i] = sum / total;
    }
  }
  return { out, score, largest };
}

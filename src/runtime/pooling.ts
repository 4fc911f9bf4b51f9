// From hidden states to one vector: of the last token, or the mean of all, then shorter and of length 1 where that is asked.

import { assert, fail } from '../core/index.ts';

export type Pooling = 'last' | 'mean';

/** What becomes of a sequence's hidden states. */
export interface Pool {
  readonly kind: Pooling;
  /** Hidden states of the positions from `start` on, one each; those that it has seen are passed over. */
  add(start: number, states: readonly Float32Array[]): void;
  /** Of all positions so far. @throws IngotError HIDDEN_STATE_INVALID */
  vector(): Float32Array;
}

/** Sums in float64 and in order of positions, so that neither chunks nor preemption change a bit. */
export function createPool(kind: Pooling): Pool {
  let sum: Float64Array | undefined;
  let seen = 0;
  return {
    kind,
    add(start, states) {
      for (const [i, state] of states.entries()) {
        if (start + i < seen) continue; // Computed again after preemption.
        if (sum === undefined || kind === 'last') sum = Float64Array.from(state);
        else for (let j = 0; j < state.length; j++) sum[j] += state[j];
        seen = start + i + 1;
      }
    },
    vector() {
      assert(sum !== undefined, 'a pool is asked after its last position');
      const count = kind === 'mean' ? seen : 1;
      const vector = Float32Array.from(sum, (value) => value / count);
      if (vector.every(Number.isFinite)) return vector;
      return fail({
        code: 'HIDDEN_STATE_INVALID',
        message: 'the hidden states of a text hold values that are no numbers',
        suggestion: 'check the weights of the checkpoint',
      });
    },
  };
}

/**
 * Its first values, scaled to length 1 where `normalize` says so. A vector of zeros stays one.
 * @param dimensions at most its length
 */
export function shapedEmbedding(
  vector: Float32Array,
  { dimensions = vector.length, normalize }: { readonly dimensions?: number; readonly normalize: boolean },
): Float32Array {
  const kept = vector.subarray(0, dimensions);
  if (!normalize) return kept.slice();
  const length = Math.sqrt(kept.reduce((sum, value) => sum + value * value, 0));
  return length === 0 ? kept.slice() : kept.map((value) => value / length);
}

// From logits to a token. Each rule keeps some of the tokens that the one before it left: temperature, top_k, min_p,
// top_p, in this order, as in most open servers.

import { fail, type Rng } from '../core/index.ts';
import type { Logits, SparseLogits } from './executor/executor.ts';

export interface Sampling {
  /** 0 takes the likeliest token. */
  readonly temperature: number;
  /** Keep the k likeliest tokens. */
  readonly topK?: number;
  /** Keep the fewest likeliest tokens that together reach this share of the probability, in (0, 1]. */
  readonly topP?: number;
  /** Keep tokens at least this fraction as likely as the likeliest. */
  readonly minP?: number;
}

export interface TokenLogprobs {
  readonly logprob: number;
  /** The likeliest tokens, likeliest first. */
  readonly top: readonly { readonly token: number; readonly logprob: number }[];
}

/** The uniform numbers that an answer's tokens are drawn with, one a token. */
export interface Draws {
  /** The next, taken. */
  uniform(): number;
  /** The one that the token after `ahead` more will be drawn with. */
  peek(ahead: number): number;
}

export function createDraws(rng: Pick<Rng, 'uniform'>): Draws {
  const seen: number[] = [];
  return {
    uniform: () => (seen.length === 0 ? rng.uniform() : (seen.shift() as number)),
    peek(ahead) {
      while (seen.length <= ahead) seen.push(rng.uniform());
      return seen[ahead];
    },
  };
}

/** Kept between draws, because a fresh one for each costs more than a draw from a few tokens. */
let scratch = new Float64Array(0);

/** How far the logits of tokens that sparse ones do not name lie below the least that they name. */
const UNNAMED_BELOW = 20;

/** @returns logits [vocab]; the given ones where they are that already */
export function denseLogits(logits: Logits, vocab: number): Float32Array {
  return logits instanceof Float32Array ? logits : writeDense(logits, new Float32Array(vocab));
}

function writeDense({ tokens, values }: SparseLogits, dense: Float32Array): Float32Array {
  dense.fill(Math.min(...values) - UNNAMED_BELOW);
  for (const [i, token] of tokens.entries()) dense[token] = values[i];
  return dense;
}

/** Kept for the same reason as `scratch`: half a megabyte for each token, in large vocabularies. */
let copy = new Float32Array(0);

/** Logits [vocab] that may be changed, until the next call. */
export function copiedLogits(logits: Logits, vocab: number): Float32Array {
  if (copy.length !== vocab) copy = new Float32Array(vocab);
  if (logits instanceof Float32Array) copy.set(logits);
  else writeDense(logits, copy);
  return copy;
}

/**
 * Draws a token. Takes one number from `rng` unless the temperature is 0, so that equal seeds give equal
 * tokens whatever else is in the batch.
 * @param logits [vocab]
 * @throws IngotError LOGITS_INVALID where a logit is NaN or plus infinity, or all are minus infinity
 */
export function sample(logits: Float32Array, sampling: Sampling, rng: Pick<Rng, 'uniform'>): number {
  const best = likeliest(logits);
  if (sampling.temperature === 0) return best;
  const { length } = logits;
  const { temperature, topK = length, topP = 1, minP = 0 } = sampling;
  const draw = rng.uniform();
  if (length === 1) return best;

  // Relative to the likeliest token, whose weight is 1; what min_p leaves out weighs nothing.
  if (scratch.length < length) scratch = new Float64Array(length);
  const weights = scratch;
  let mass = 0;
  let count = 0;
  for (let i = 0; i < length; i++) {
    const weight = i === best ? 1 : Math.exp((logits[i] - logits[best]) / temperature);
    const isKept = weight > 0 && weight >= minP;
    weights[i] = isKept ? weight : 0;
    if (!isKept) continue;
    mass += weight;
    count++;
  }
  if (topK >= count && topP === 1) return drawFromAll(weights, length, draw * mass, best);

  // Vocabularies are large, and only what may be kept is worth putting in order: of top_p, tokens below the bound hold
  // less than 1 − top_p all together.
  const bound = topK < count ? largest(weights, length, topK) : ((1 - topP) * mass) / count;
  const candidates: number[] = [];
  for (let i = 0; i < length; i++) if (weights[i] > 0 && weights[i] >= bound) candidates.push(i);
  let kept = takeLikeliest(weights, candidates, (taken, share) =>
    topK < count ? taken === topK : share >= topP * mass,
  );
  if (topK < count && topP < 1) {
    const enough = topP * sum(weights, kept);
    kept = takeLikeliest(weights, kept, (_, share) => share >= enough);
  }
  const at = draw * sum(weights, kept);
  let cumulated = 0;
  for (const token of kept) {
    cumulated += weights[token];
    if (at < cumulated) return token;
  }
  return kept[kept.length - 1]; // Rounding only: `at` is below the exact sum.
}

function drawFromAll(weights: Float64Array, length: number, at: number, otherwise: number): number {
  let cumulated = 0;
  for (let i = 0; i < length; i++) {
    cumulated += weights[i];
    if (at < cumulated) return i;
  }
  return otherwise; // Rounding only.
}

/** The k-th largest of the first `length` weights: the root of a heap of the k largest, which nearly all others miss at one look. */
function largest(weights: Float64Array, length: number, k: number): number {
  const heap = new Float64Array(k);
  for (let i = 0; i < length; i++) {
    const weight = weights[i];
    if (weight <= heap[0]) continue;
    let parent = 0;
    for (;;) {
      let child = 2 * parent + 1;
      if (child + 1 < k && heap[child + 1] < heap[child]) child++;
      if (child >= k || heap[child] >= weight) break;
      heap[parent] = heap[child];
      parent = child;
    }
    heap[parent] = weight;
  }
  return heap[0];
}

const sum = (weights: Float64Array, tokens: readonly number[]): number => {
  let total = 0;
  for (const token of tokens) total += weights[token];
  return total;
};

/** The lowest token with the largest logit. Checks all, because NaN would pass through every rule in silence. */
function likeliest(logits: Float32Array): number {
  let best = 0;
  let valid = true;
  for (let i = 0; i < logits.length; i++) {
    if (!(logits[i] < Infinity)) valid = false;
    if (logits[i] > logits[best]) best = i;
  }
  if (valid && logits[best] > -Infinity) return best;
  return fail({
    code: 'LOGITS_INVALID',
    message: 'the executor returned logits that are not numbers, or in which no token is possible',
    expected: 'finite numbers, or minus infinity for a token that cannot come',
    suggestion: 'Check the checkpoint: broken weights are the usual cause.',
  });
}

/** Tokens in falling order of weight, lower id first among equals, until `enough` of them are taken. */
function takeLikeliest(
  weights: Float64Array,
  tokens: readonly number[],
  enough: (count: number, mass: number) => boolean,
): number[] {
  const heap = [...tokens];
  const before = (a: number, b: number): boolean => (weights[a] === weights[b] ? a < b : weights[a] > weights[b]);
  const siftDown = (parent: number): void => {
    for (;;) {
      let first = parent;
      for (let child = 2 * parent + 1; child <= 2 * parent + 2 && child < heap.length; child++) {
        if (before(heap[child], heap[first])) first = child;
      }
      if (first === parent) return;
      [heap[parent], heap[first]] = [heap[first], heap[parent]];
      parent = first;
    }
  };
  for (let i = (heap.length >> 1) - 1; i >= 0; i--) siftDown(i);

  const taken: number[] = [];
  let mass = 0;
  while (heap.length > 0 && !enough(taken.length, mass)) {
    taken.push(heap[0]);
    mass += weights[heap[0]];
    const last = heap.pop() as number;
    if (heap.length > 0) {
      heap[0] = last;
      siftDown(0);
    }
  }
  return taken;
}

/**
 * Log probability of a token and of the `count` likeliest, from the logits as the model gave them: neither
 * temperature nor the other rules have a part in it.
 * @param logits [vocab]
 */
export function logprobsOf(logits: Float32Array, token: number, count: number): TokenLogprobs {
  const max = logits[likeliest(logits)];
  let total = 0;
  for (let i = 0; i < logits.length; i++) total += Math.exp(logits[i] - max);
  const logTotal = max + Math.log(total);

  const top: number[] = [];
  for (let i = 0; i < logits.length; i++) {
    if (top.length === count && !(logits[i] > (logits[top[count - 1]] ?? Infinity))) continue;
    let at = top.length;
    while (at > 0 && logits[top[at - 1]] < logits[i]) at--;
    top.splice(at, 0, i);
    if (top.length > count) top.pop();
  }
  return {
    logprob: logits[token] - logTotal,
    top: top.map((id) => ({ token: id, logprob: logits[id] - logTotal })),
  };
}

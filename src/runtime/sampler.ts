// From logits to a token. Each rule keeps some of the tokens that the one before it left: temperature, top_k, min_p,
// top_p, in this order, as in most open servers.

import { fail, type Rng } from '../core/index.ts';
import type { Logits } from './executor/executor.ts';

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

/** From logits as an executor gives them. Of sparse ones only those that they name are drawn: all others together next to never come. */
export function sampleLogits(logits: Logits, sampling: Sampling, rng: Pick<Rng, 'uniform'>): number {
  if (logits instanceof Float32Array) return sample(logits, sampling, rng);
  return logits.tokens[sample(logits.values, sampling, rng)];
}

/**
 * Draws a token. Takes one number from `rng` unless the temperature is 0, so that equal seeds give equal
 * tokens whatever else is in the batch.
 * @param logits [vocab]
 * @param repeats the last logit is that of so many tokens: what is drawn is as if it stood there so many times
 * @throws IngotError LOGITS_INVALID where a logit is NaN or plus infinity, or all are minus infinity
 */
export function sample(logits: Float32Array, sampling: Sampling, rng: Pick<Rng, 'uniform'>, repeats = 1): number {
  const best = likeliest(logits);
  if (sampling.temperature === 0) return best;
  const { length } = logits;
  const { temperature, topK = Infinity, topP = 1, minP = 0 } = sampling;
  const draw = rng.uniform();
  if (length === 1 && repeats === 1) return best;

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
  const last = length - 1;
  if (weights[last] > 0) {
    mass += (repeats - 1) * weights[last];
    count += repeats - 1;
  }
  if (topK >= count && topP === 1) return drawFromAll(weights, last, repeats, draw * mass, best);

  // Vocabularies are large, and only what may be kept is worth putting in order: of top_p, tokens below the bound hold
  // less than 1 − top_p all together.
  const bound = topK < count ? largest(weights, length, topK) : ((1 - topP) * mass) / count;
  const candidates: number[] = [];
  for (let i = 0; i < length; i++) if (weights[i] > 0 && weights[i] >= bound) candidates.push(i);
  const all = { tokens: candidates, last, repeats };
  let kept =
    topK < count ? takeLikeliest(weights, all, topK, Infinity) : takeLikeliest(weights, all, Infinity, topP * mass);
  if (topK < count && topP < 1) kept = takeLikeliest(weights, kept, Infinity, topP * sum(weights, kept));
  const at = draw * sum(weights, kept);
  let cumulated = 0;
  for (const token of kept.tokens) {
    const times = timesOf(kept, token);
    const before = cumulated;
    cumulated += times * weights[token];
    if (at < cumulated) return token + whichOf(times, at - before, weights[token]);
  }
  return kept.tokens[kept.tokens.length - 1]; // Rounding only: `at` is below the exact sum.
}

function drawFromAll(weights: Float64Array, last: number, repeats: number, at: number, otherwise: number): number {
  let cumulated = 0;
  for (let i = 0; i < last; i++) {
    cumulated += weights[i];
    if (at < cumulated) return i;
  }
  if (at < cumulated + repeats * weights[last]) return last + whichOf(repeats, at - cumulated, weights[last]);
  return otherwise; // Rounding only.
}

/** Which of `times` tokens of equal weight lies at a place in the sum of their weights. */
const whichOf = (times: number, at: number, weight: number): number => Math.min(times - 1, Math.floor(at / weight));

/** Some tokens; one of them, `last`, stands for so many. */
interface Tokens {
  readonly tokens: readonly number[];
  readonly last: number;
  readonly repeats: number;
}

const timesOf = ({ last, repeats }: Tokens, token: number): number => (token === last ? repeats : 1);

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

const sum = (weights: Float64Array, kept: Tokens): number => {
  let total = 0;
  for (const token of kept.tokens) total += timesOf(kept, token) * weights[token];
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

/** Tokens in falling order of weight, lower id first among equals, until there are `most` or their weights reach `share`. */
function takeLikeliest(weights: Float64Array, from: Tokens, most: number, share: number): Tokens {
  const heap = [...from.tokens];
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

  const tokens: number[] = [];
  let { repeats } = from;
  let count = 0;
  let mass = 0;
  while (heap.length > 0 && count < most && mass < share) {
    const token = heap[0];
    let times = 1;
    if (token === from.last) {
      times = repeats = Math.min(repeats, most - count, Math.ceil((share - mass) / weights[token]));
    }
    tokens.push(token);
    count += times;
    mass += times * weights[token];
    const end = heap.pop() as number;
    if (heap.length > 0) {
      heap[0] = end;
      siftDown(0);
    }
  }
  return { tokens, last: from.last, repeats };
}

/**
 * Log probability of a token and of the `count` likeliest, from the logits as the model gave them: neither
 * temperature nor the other rules have a part in it.
 * @param logits [vocab]
 * @param repeats the last logit is that of so many tokens
 */
export function logprobsOf(logits: Float32Array, token: number, count: number, repeats = 1): TokenLogprobs {
  const { length } = logits;
  const max = logits[likeliest(logits)];
  let total = 0;
  for (let i = 0; i < length; i++) total += Math.exp(logits[i] - max);
  total += (repeats - 1) * Math.exp(logits[length - 1] - max);
  const logTotal = max + Math.log(total);
  const logitOf = (id: number): number => logits[Math.min(id, length - 1)];

  const top: number[] = [];
  // The first of equal tokens are reported, so no more of those that the last logit stands for than are asked for.
  const tokens = length - 1 + Math.min(repeats, count);
  for (let i = 0; i < tokens; i++) {
    const logit = logitOf(i);
    if (top.length === count && !(logit > logitOf(top[count - 1]))) continue;
    let at = top.length;
    while (at > 0 && logitOf(top[at - 1]) < logit) at--;
    top.splice(at, 0, i);
    if (top.length > count) top.pop();
  }
  return {
    logprob: logitOf(token) - logTotal,
    top: top.map((id) => ({ token: id, logprob: logitOf(id) - logTotal })),
  };
}

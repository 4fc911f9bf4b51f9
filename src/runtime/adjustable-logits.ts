// The logits of one draw, as the rules of a request see and change them. Both kinds that executors give look alike and
// give the same distribution: of sparse ones, what the rules do not name stays one number for all of it, so that a draw costs what is
// named and a look at a bit for each token, not an exponential.

import { assert, type Rng } from '../core/index.ts';
import type { Logits, SparseLogits } from './executor/executor.ts';
import { logprobsOf, sample, type Sampling, type TokenLogprobs } from './sampler.ts';

export interface AdjustableLogits {
  get(token: number): number;
  /** Minus infinity forbids the token. */
  set(token: number, logit: number): void;
  /**
   * Every other token becomes impossible. Where none of these is possible they become so, all alike.
   * @param mask one bit a token, from the lowest of each number; what it is too short for is not in it
   */
  keep(mask: Uint32Array, also: readonly number[]): void;
}

/** Logits from which a token can be drawn. */
interface Drawable extends AdjustableLogits {
  sample(sampling: Sampling, rng: Pick<Rng, 'uniform'>): number;
}

/** How far the logits of tokens that sparse ones do not name lie below the least that they name. */
const UNNAMED_BELOW = 20;

const BITS = 32;
const ALL = 0xffffffff;

/** Kept between draws: half a megabyte for each token, in large vocabularies. */
let dense = createDense(0);
let sparse = createSparse(0);

/** @returns logits that may be changed without changing the given ones, valid until the next call */
export function adjustable(logits: Logits, vocab: number): Drawable {
  if (!(logits instanceof Float32Array)) return sparseOf(logits, vocab);
  if (dense.vocab !== vocab) dense = createDense(vocab);
  dense.fill(logits);
  return dense;
}

function sparseOf(logits: SparseLogits, vocab: number): ReturnType<typeof createSparse> {
  if (sparse.vocab !== vocab) sparse = createSparse(vocab);
  sparse.fill(logits);
  return sparse;
}

/** `logprobsOf` for logits of either kind. */
export const logprobsIn = (logits: Logits, vocab: number, token: number, count: number): TokenLogprobs =>
  logits instanceof Float32Array ? logprobsOf(logits, token, count) : sparseOf(logits, vocab).logprobs(token, count);

const isIn = (set: Uint32Array, token: number): boolean => (((set[token >> 5] ?? 0) >>> (token & 31)) & 1) === 1;

function createDense(vocab: number) {
  const logits = new Float32Array(vocab);
  const setAll = (mask: Uint32Array, also: readonly number[], logit: number): void => {
    for (let token = 0; token < vocab; token++) if (isIn(mask, token)) logits[token] = logit;
    for (const token of also) logits[token] = logit;
  };
  return {
    vocab,
    fill: (given: Float32Array) => logits.set(given),
    get: (token: number) => logits[token],
    set(token: number, logit: number): void {
      logits[token] = logit;
    },
    keep(mask: Uint32Array, also: readonly number[]): void {
      const beside = also.map((token) => logits[token]);
      let isPossible = beside.some((logit) => logit > -Infinity);
      for (let token = 0; token < vocab; token++) {
        if (isIn(mask, token)) isPossible ||= logits[token] > -Infinity;
        else logits[token] = -Infinity;
      }
      for (const [i, token] of also.entries()) logits[token] = beside[i];
      if (!isPossible) setAll(mask, also, 0);
    },
    sample: (sampling: Sampling, rng: Pick<Rng, 'uniform'>) => sample(logits, sampling, rng),
  };
}

/** A token is named and has a logit of its own, or belongs to the rest and has the one of all these, or is impossible. */
function createSparse(vocab: number) {
  const words = Math.ceil(vocab / BITS);
  const logits = new Float32Array(vocab);
  const named = new Uint32Array(words);
  const rest = new Uint32Array(words);
  let restLogit = 0;
  /** Named tokens in rising order, and their logits with that of the rest behind them. */
  let tokens = new Int32Array(0);
  let packed = new Float32Array(1);

  const get = (token: number): number =>
    isIn(named, token) ? logits[token] : isIn(rest, token) ? restLogit : -Infinity;
  const set = (token: number, logit: number): void => {
    logits[token] = logit;
    named[token >> 5] |= 1 << (token & 31);
    rest[token >> 5] &= ~(1 << (token & 31));
  };

  /** Writes `tokens` and `packed`. Named tokens that are like the rest join it, so that equals are in order of their ids. */
  function pack(): { readonly count: number; readonly restCount: number } {
    let count = 0;
    let restCount = 0;
    for (let word = 0; word < words; word++) {
      for (let bits = named[word]; bits !== 0; bits &= bits - 1) {
        const bit = lowestBit(bits);
        const token = word * BITS + bit;
        if (logits[token] === restLogit) {
          named[word] &= ~(1 << bit);
          rest[word] |= 1 << bit;
          continue;
        }
        if (count === tokens.length) grow();
        tokens[count] = token;
        packed[count++] = logits[token];
      }
      restCount += bitCount(rest[word]);
    }
    packed[count] = restLogit;
    return { count, restCount };
  }

  function grow(): void {
    const [before, of] = [tokens, packed];
    tokens = new Int32Array(Math.max(BITS, 2 * before.length));
    packed = new Float32Array(tokens.length + 1);
    tokens.set(before);
    packed.set(of);
  }

  /** The token of an index in `packed`; those past the named ones are of the rest, in rising order. */
  const tokenOf = (index: number, count: number): number =>
    index < count ? tokens[index] : nthBit(rest, index - count);

  return {
    vocab,
    fill({ tokens: given, values }: SparseLogits): void {
      restLogit = Math.fround(values.reduce((a, b) => Math.min(a, b), Infinity) - UNNAMED_BELOW);
      named.fill(0);
      rest.fill(ALL);
      if (vocab % BITS > 0) rest[words - 1] = ALL >>> (BITS - (vocab % BITS));
      for (let i = 0; i < given.length; i++) set(given[i], values[i]);
    },
    get,
    set,
    keep(mask: Uint32Array, also: readonly number[]): void {
      const beside = also.map(get);
      let isPossible = beside.some((logit) => logit > -Infinity);
      for (let word = 0; word < words; word++) {
        const kept = mask[word] ?? 0;
        named[word] &= kept;
        rest[word] &= kept;
        if (isPossible) continue;
        isPossible = rest[word] !== 0 && restLogit > -Infinity;
        for (let bits = named[word]; bits !== 0; bits &= bits - 1) {
          isPossible ||= logits[word * BITS + lowestBit(bits)] > -Infinity;
        }
      }
      for (const [i, token] of also.entries()) set(token, beside[i]);
      if (isPossible) return;
      restLogit = 0;
      named.fill(0);
      rest.set(mask.subarray(0, words));
      for (const token of also) set(token, 0);
    },
    sample(sampling: Sampling, rng: Pick<Rng, 'uniform'>): number {
      const { count, restCount } = pack();
      const all = packed.subarray(0, restCount === 0 ? count : count + 1);
      return tokenOf(sample(all, sampling, rng, Math.max(1, restCount)), count);
    },
    logprobs(token: number, most: number): TokenLogprobs {
      const { count, restCount } = pack();
      const all = packed.subarray(0, restCount === 0 ? count : count + 1);
      const index = isIn(named, token) ? tokens.subarray(0, count).indexOf(token) : count;
      const { logprob, top } = logprobsOf(all, index, most, Math.max(1, restCount));
      return { logprob, top: top.map((each) => ({ ...each, token: tokenOf(each.token, count) })) };
    },
  };
}

const lowestBit = (bits: number): number => BITS - 1 - Math.clz32(bits & -bits);

/** Bits that are set, by adding neighbours: pairs, fours, bytes (Warren, Hacker's Delight, 5-1). */
function bitCount(bits: number): number {
  let sums = bits - ((bits >>> 1) & 0x55555555);
  sums = (sums & 0x33333333) + ((sums >>> 2) & 0x33333333);
  return Math.imul((sums + (sums >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** The n-th set bit of many, from 0. */
function nthBit(set: Uint32Array, n: number): number {
  let left = n;
  for (let word = 0; word < set.length; word++) {
    const count = bitCount(set[word]);
    if (left >= count) {
      left -= count;
      continue;
    }
    let bits = set[word];
    for (; left > 0; left--) bits &= bits - 1;
    return word * BITS + lowestBit(bits);
  }
  assert(false, 'a set is asked for bits that it has');
}

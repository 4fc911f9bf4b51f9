// What comes next in filler text: a chain over the tokens of a page. Only a hash of everything before and the last token
// matter, so the same prompt and seed give the same text whatever else happens.

import type { SparseLogits } from '../executor/executor.ts';

/** One answer in so many ends after a sentence, so that lengths are geometric in sentences, with this mean. */
export const MEAN_SENTENCES = 10;

export interface Filler {
  /**
   * @param hash of all tokens up to `token`, which is the last
   * @param valuesOf makes room for so many logits
   */
  after(token: number, hash: number, valuesOf: (length: number) => Float32Array): SparseLogits;
}

/** Places of the page from which a token may go on, of all where it stands: the hash chooses them, since drawing from few is cheap. */
const MOST_PLACES = 4;
/** How much the hash sways the choice, in logits, so that other prompts get other answers at temperature 0. */
const SWAY = 4;
/** A token that ends the answer lies so far above the others that sampling hardly ever misses it. */
const CERTAIN = 40;

/**
 * @param page tokens of a text
 * @param ends whether a token ends a sentence
 * @param breaks whether a token ends a paragraph
 * @param eos the token that ends an answer; without one answers end at their most tokens only
 */
export function createFiller(
  page: readonly number[],
  ends: (token: number) => boolean,
  breaks: (token: number) => boolean,
  eos: number | undefined,
): Filler {
  /** What follows each token, as often as it does. */
  const followers = new Map<number, number[]>();
  const openings = [page[0]];
  for (const [i, token] of page.entries()) {
    // The page is a ring, and an answer begins as a paragraph of it.
    const next = page[(i + 1) % page.length];
    const known = followers.get(token);
    if (known === undefined) followers.set(token, [next]);
    else known.push(next);
    if (breaks(token) && i + 1 < page.length) openings.push(next);
  }
  const choiceOf = (token: number, next: readonly number[]): Choice => {
    const counts = new Map<number, number>();
    for (const one of next) counts.set(one, (counts.get(one) ?? 0) + 1);
    return {
      tokens: Int32Array.from(counts.keys()),
      weights: Float32Array.from(counts.values(), (count) => Math.log(count)),
      ending: eos === undefined || !ends(token) ? undefined : Int32Array.from([...counts.keys(), eos]),
    };
  };
  const choicesOf = (token: number, next: readonly number[]): readonly Choice[] => {
    if (next.length <= MOST_PLACES) return [choiceOf(token, next)];
    const ring = [...next, ...next.slice(0, MOST_PLACES - 1)];
    return next.map((_, from) => choiceOf(token, ring.slice(from, from + MOST_PLACES)));
  };
  const chain = new Map<number, readonly Choice[]>();
  for (const [token, next] of followers) chain.set(token, choicesOf(token, next));
  const choicesAfter = (token: number): readonly Choice[] => {
    let choices = chain.get(token);
    // A token that the page lacks is followed by an opening.
    if (choices === undefined) chain.set(token, (choices = choicesOf(token, openings)));
    return choices;
  };

  return {
    after(token, hash, valuesOf) {
      const choices = choicesAfter(token);
      const { tokens, weights, ending } = choices[Math.floor(hash / MEAN_SENTENCES) % choices.length];
      const over = hash % MEAN_SENTENCES === 0 ? ending : undefined;
      const values = valuesOf(over?.length ?? tokens.length);
      for (let i = 0; i < tokens.length; i++) values[i] = weights[i] + SWAY * fraction(hash, tokens[i]);
      if (over === undefined) return { tokens, values };
      values[tokens.length] = CERTAIN;
      return { tokens: over, values };
    },
  };
}

/** What may come next. */
interface Choice {
  readonly tokens: Int32Array;
  readonly weights: Float32Array;
  /** The same tokens and the one that ends the answer, where it may end here. */
  readonly ending: Int32Array | undefined;
}

/** In [0, 1), by both numbers. */
function fraction(hash: number, token: number): number {
  let h = Math.imul(hash ^ Math.imul(token + 1, 0x9e3779b1), 0xc2b2ae3d);
  h = Math.imul(h ^ (h >>> 15), 0x27d4eb2f);
  return ((h ^ (h >>> 13)) >>> 8) / 2 ** 24;
}

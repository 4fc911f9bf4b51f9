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
  const successors = new Map<number, Map<number, number>>();
  const note = (token: number, next: number): void => {
    const counts = successors.get(token) ?? new Map<number, number>();
    counts.set(next, (counts.get(next) ?? 0) + 1);
    successors.set(token, counts);
  };
  for (let i = 1; i < page.length; i++) note(page[i - 1], page[i]);
  // The page is a ring, and an answer begins as a paragraph of it.
  note(page[page.length - 1], page[0]);
  const openings = new Map([[page[0], 1]]);
  const chainOf = (token: number, counts: ReadonlyMap<number, number>) => ({
    tokens: Int32Array.from(counts.keys()),
    weights: Float32Array.from(counts.values(), (count) => Math.log(count)),
    /** The same tokens and the one that ends the answer, where it may end here. */
    ending: eos === undefined || !ends(token) ? undefined : Int32Array.from([...counts.keys(), eos]),
  });
  const chains = new Map<number, ReturnType<typeof chainOf>>();
  for (let i = 1; i < page.length; i++) if (breaks(page[i - 1])) openings.set(page[i], 1);
  for (const [token, counts] of successors) chains.set(token, chainOf(token, counts));
  const chainAfter = (token: number): ReturnType<typeof chainOf> => {
    let chain = chains.get(token);
    // A token that the page lacks is followed by an opening.
    if (chain === undefined) chains.set(token, (chain = chainOf(token, openings)));
    return chain;
  };

  return {
    after(token, hash, valuesOf) {
      const { tokens, weights, ending } = chainAfter(token);
      const over = hash % MEAN_SENTENCES === 0 ? ending : undefined;
      const values = valuesOf(over?.length ?? tokens.length);
      for (let i = 0; i < tokens.length; i++) values[i] = weights[i] + SWAY * fraction(hash, tokens[i]);
      if (over === undefined) return { tokens, values };
      values[tokens.length] = CERTAIN;
      return { tokens: over, values };
    },
  };
}

/** In [0, 1), by both numbers. */
function fraction(hash: number, token: number): number {
  let h = Math.imul(hash ^ Math.imul(token + 1, 0x9e3779b1), 0xc2b2ae3d);
  h = Math.imul(h ^ (h >>> 15), 0x27d4eb2f);
  return ((h ^ (h >>> 13)) >>> 8) / 2 ** 24;
}

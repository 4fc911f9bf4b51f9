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
  const chainOf = (counts: ReadonlyMap<number, number>) => ({
    tokens: Int32Array.from(counts.keys()),
    weights: Float32Array.from(counts.values(), (count) => Math.log(count)),
    /** The same tokens, and then the one that ends the answer. */
    ending: Int32Array.from([...counts.keys(), eos ?? 0]),
  });
  const chains = new Map<number, ReturnType<typeof chainOf>>();
  for (let i = 1; i < page.length; i++) if (breaks(page[i - 1])) openings.set(page[i], 1);
  for (const [token, counts] of successors) chains.set(token, chainOf(counts));
  const opening = chainOf(openings);

  return {
    after(token, hash, valuesOf) {
      const { tokens, weights, ending } = chains.get(token) ?? opening;
      const isOver = eos !== undefined && ends(token) && hash % MEAN_SENTENCES === 0;
      const values = valuesOf(tokens.length + Number(isOver));
      for (let i = 0; i < tokens.length; i++) values[i] = weights[i] + SWAY * fraction(hash, tokens[i]);
      if (!isOver) return { tokens, values };
      values[tokens.length] = CERTAIN;
      return { tokens: ending, values };
    },
  };
}

/** In [0, 1), by both numbers. */
function fraction(hash: number, token: number): number {
  let h = Math.imul(hash ^ Math.imul(token + 1, 0x9e3779b1), 0xc2b2ae3d);
  h = Math.imul(h ^ (h >>> 15), 0x27d4eb2f);
  return ((h ^ (h >>> 13)) >>> 8) / 2 ** 24;
}

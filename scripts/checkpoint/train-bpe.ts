// Byte-level BPE vocabulary from a text (Sennrich, Haddow and Birch 2016, arXiv 1508.07909; bytes as in GPT-2).

import { BYTE_CHARACTERS } from '../../src/model/index.ts';

/** How GPT-2 cuts text before merging (src/encoder.py); the pre-tokenizer `ByteLevel` with `use_regex` does the same. */
const PIECES = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

export interface Bpe {
  /** Token by id: the 256 bytes, then one token per merge. */
  readonly tokens: readonly string[];
  readonly merges: readonly (readonly [string, string])[];
}

/**
 * Merge the most frequent pair until there are `size` tokens or no pair occurs twice. Of equally frequent pairs
 * the one whose parts have the lower ids goes first, so the result depends on the text only.
 */
export function trainBpe(texts: readonly string[], size: number): Bpe {
  const tokens = [...BYTE_CHARACTERS];
  const merges: [string, string][] = [];
  const counts = new Map<string, number>();
  for (const piece of texts.flatMap((text) => text.match(PIECES) ?? [])) {
    counts.set(piece, (counts.get(piece) ?? 0) + 1);
  }
  const words = [...counts].map(([piece, count]) => ({ ids: [...new TextEncoder().encode(piece)], count }));
  while (tokens.length < size) {
    const pairs = new Map<number, number>();
    for (const { ids, count } of words) {
      for (let i = 1; i < ids.length; i++) {
        const pair = ids[i - 1] * size + ids[i];
        pairs.set(pair, (pairs.get(pair) ?? 0) + count);
      }
    }
    let best = -1;
    let bestCount = 1;
    for (const [pair, count] of pairs) {
      if (count > bestCount || (count === bestCount && best !== -1 && pair < best)) {
        best = pair;
        bestCount = count;
      }
    }
    if (best === -1) break;
    const [left, right] = [Math.floor(best / size), best % size];
    for (const word of words) {
      for (let i = 1; i < word.ids.length; i++) {
        if (word.ids[i - 1] === left && word.ids[i] === right) word.ids.splice(i - 1, 2, tokens.length);
      }
    }
    merges.push([tokens[left], tokens[right]]);
    tokens.push(tokens[left] + tokens[right]);
  }
  return { tokens, merges };
}

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { createRng } from '../../core/index.ts';
import { encodePieces, type ScoredPieces } from './sentencepiece.ts';

/** Bytes first, so that byte b has the id b; then pieces with scores, some of them equal. */
function vocabulary(pieces: Readonly<Record<string, number>>): ScoredPieces & { readonly texts: readonly string[] } {
  const texts = Object.keys(pieces);
  return {
    texts,
    ids: new Map(texts.map((text, i) => [text, 256 + i])),
    scores: [...Array.from({ length: 256 }, () => 0), ...Object.values(pieces)],
    byteIds: Array.from({ length: 256 }, (_, b) => b),
  };
}

/** The definition: look at all neighbours, join the best, begin again. */
function encodeByDefinition(text: string, { ids, scores, byteIds }: ScoredPieces): number[] {
  const pieces = Array.from(text);
  for (;;) {
    let best = -1;
    let bestScore = -Infinity;
    for (let i = 0; i + 1 < pieces.length; i++) {
      const id = ids.get(pieces[i] + pieces[i + 1]);
      if (id === undefined || !(best < 0 || scores[id] > bestScore)) continue;
      best = i;
      bestScore = scores[id];
    }
    if (best < 0) break;
    pieces.splice(best, 2, pieces[best] + pieces[best + 1]);
  }
  return pieces.flatMap((piece) => {
    const id = ids.get(piece);
    return id === undefined ? [...new TextEncoder().encode(piece)].map((byte) => byteIds[byte]) : [id];
  });
}

describe('encodePieces', () => {
  it('joins the piece of best score first, the leftmost of equals', () => {
    const v = vocabulary({ a: 0, b: 0, c: 0, ab: -2, bc: -1, abc: -3 });
    const names = (text: string): string[] => encodePieces(text, v).map((id) => v.texts[id - 256]);
    expect(names('abc')).toEqual(['abc']);
    const w = vocabulary({ a: 0, b: 0, c: 0, ab: -2, bc: -1 });
    expect(encodePieces('abc', w).map((id) => w.texts[id - 256])).toEqual(['a', 'bc']);
    const x = vocabulary({ a: 0, aa: -1 });
    expect(encodePieces('aaa', x).map((id) => x.texts[id - 256])).toEqual(['aa', 'a']);
  });

  it('spells in bytes what no piece covers', () => {
    const v = vocabulary({ a: 0 });
    expect(encodePieces('aé🦙', v)).toEqual([256, 0xc3, 0xa9, 0xf0, 0x9f, 0xa6, 0x99]);
    expect(encodePieces('', v)).toEqual([]);
  });

  it('is the definition, on random vocabularies with many equal scores', () => {
    const letters = ['a', 'b', '▁', 'é', '🦙'];
    const text = fc.array(fc.constantFrom(...letters, 'z'), { maxLength: 24 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(text, fc.nat(), (t, seed) => {
        const rng = createRng(seed);
        const pieces: Record<string, number> = { a: 0, b: 0, '▁': 0, é: 0 };
        for (let i = 0; i < 30; i++) {
          const length = 2 + (rng.u32() % 4);
          const piece = Array.from({ length }, () => letters[rng.u32() % letters.length]).join('');
          pieces[piece] = -(rng.u32() % 6);
        }
        const v = vocabulary(pieces);
        expect(encodePieces(t, v)).toEqual(encodeByDefinition(t, v));
      }),
      { numRuns: 1000 },
    );
  });

  it('looks at each pair a few times only, however long the text', () => {
    // Counted, not timed: lookups per character stay the same.
    const lookups = (length: number): number => {
      const v = vocabulary({ a: 0, aa: -1, aaaa: -2, aaaaaaaa: -3 });
      let count = 0;
      const ids = {
        get: (key: string) => {
          count++;
          return v.ids.get(key);
        },
      } as ReadonlyMap<string, number>;
      encodePieces('a'.repeat(length), { ...v, ids });
      return count / length;
    };
    expect(lookups(20_000)).toBeLessThan(1.1 * lookups(200));
  });
});

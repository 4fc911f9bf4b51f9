import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seconds } from '../../core/index.ts';
import { createWordTokenizer } from './words.ts';

describe('word tokenizer', () => {
  const tokenizer = createWordTokenizer(['hello', 'World'], 60_000);

  it('gives any text back', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: 'grapheme' })), (text) => {
        const ids = tokenizer.encode(text);
        expect(tokenizer.decode(ids, { skipSpecial: false })).toBe(text);
        expect(ids.every((id) => id >= 0 && id < tokenizer.vocabSize)).toBe(true);
      }),
    );
  });

  it('takes words and special tokens whole, and a few letters of anything else at a time', () => {
    const pieces = (text: string): string[] => tokenizer.encode(text).map((id) => tokenizer.tokenText(id));
    expect(pieces('hello World, elephants 2026')).toEqual([
      'hello',
      ' World',
      ',',
      ' ele',
      'pha',
      'nts',
      ' ',
      '202',
      '6',
    ]);
    const chat = tokenizer.renderChat([{ role: 'user', content: 'hello' }], {
      addGenerationPrompt: true,
      now: seconds(0),
    });
    expect(pieces(chat)).toEqual(['<|user|>', 'hello', '<|end|>', '<|assistant|>']);
    expect(tokenizer.eosIds.map((id) => tokenizer.tokenText(id))).toEqual(['<|end|>']);
  });

  it('keeps within a vocabulary', () => {
    for (const vocab of [300, 5000, 32_000]) {
      const small = createWordTokenizer(['hello'], vocab);
      expect(small.vocabSize).toBeLessThanOrEqual(vocab);
      expect(small.decode(small.encode('hello elephants'))).toBe('hello elephants');
    }
  });
});

import { describe, expect, it } from 'vitest';
import { createTestApi } from '../testing/test-api.ts';
import { encodeTexts } from './endpoint.ts';

describe('encodeTexts', () => {
  it('lets others run between texts that are short each and long together', async () => {
    const { registry, tokenizer } = createTestApi();
    const texts = Array.from({ length: 100 }, (_, i) => `${i} `.repeat(100));
    const characters = texts.reduce((sum, { length }) => sum + length, 0);
    let turns = 0;
    let isDone = false;
    const count = (): void => {
      turns++;
      if (!isDone) setImmediate(count);
    };
    setImmediate(count);
    const prompts = await encodeTexts([...texts, [1, 2]], registry.models[0]);
    isDone = true;
    expect(prompts).toEqual([...texts.map((text) => tokenizer.encode(text, { addSpecial: true })), [1, 2]]);
    // A turn for every four thousand characters and one text.
    expect(turns).toBeGreaterThanOrEqual(Math.floor(characters / (4096 + 300)));
  });
});

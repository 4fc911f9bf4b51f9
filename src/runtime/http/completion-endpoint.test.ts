import { describe, expect, it } from 'vitest';

import type { Completion, ErrorBody } from '../../protocol/index.ts';
import { call, createTestApi, TEST_MODEL, type TestApi } from '../testing/test-api.ts';

const base = { model: TEST_MODEL, prompt: 'the', seed: 1, max_tokens: 8 };
const ask = async ({ api }: TestApi, over: object): Promise<Completion> => {
  const { status, text } = await call(api, '/v1/completions', { ...base, ...over });
  expect(status, text).toBe(200);
  return JSON.parse(text) as Completion;
};
const qwen = ['<|fim_prefix|>', '<|fim_suffix|>', '<|fim_middle|>', '<|fim_pad|>'];

describe('a suffix', () => {
  it.each([
    ['Qwen', qwen, '<|fim_prefix|>the<|fim_suffix|> wafer<|fim_middle|>'],
    ['StarCoder', ['<fim_prefix>', '<fim_suffix>', '<fim_middle>'], '<fim_prefix>the<fim_suffix> wafer<fim_middle>'],
    [
      'DeepSeek',
      ['<｜fim▁begin｜>', '<｜fim▁hole｜>', '<｜fim▁end｜>'],
      '<｜fim▁begin｜>the<｜fim▁hole｜> wafer<｜fim▁end｜>',
    ],
    ['Codestral', ['[SUFFIX]', '[PREFIX]'], '[SUFFIX] wafer[PREFIX]the'],
  ])('is written in the marks of %s', async (_, marks, spelt) => {
    const test = createTestApi({}, {}, { marks });
    const [filled, plain] = [await ask(test, { suffix: ' wafer' }), await ask(test, { prompt: spelt })];
    expect(filled.choices).toEqual(plain.choices);
    expect(filled.usage.prompt_tokens).toBe(plain.usage.prompt_tokens);
    // Each mark is a token, not its letters.
    expect(filled.usage.prompt_tokens).toBeLessThan(spelt.length / 2);
    const both = await ask(test, { prompt: ['the', 'a'], suffix: ' wafer' });
    expect(both.choices[0].text).toBe(filled.choices[0].text);
  });

  it('ends where the model goes on with the next file', async () => {
    const test: TestApi = createTestApi(
      { edit: (logits) => logits.fill(50, ...range(test.tokenizer.encode('<|fim_pad|>'))) },
      {},
      { marks: qwen },
    );
    const range = ([id]: readonly number[]): [number, number] => [id, id + 1];
    expect((await ask(test, { suffix: 'x' })).choices[0]).toMatchObject({ text: '', finish_reason: 'stop' });
    expect((await ask(test, {})).choices[0].finish_reason).toBe('length');
  });

  it('is refused where the vocabulary has no marks, and means nothing where it is empty', async () => {
    const test = createTestApi();
    const { status, text } = await call(test.api, '/v1/completions', { ...base, suffix: 'x' });
    expect([status, (JSON.parse(text) as ErrorBody).error.code]).toEqual([400, 'suffix_not_supported']);
    expect((await ask(test, { suffix: '' })).choices).toEqual((await ask(test, {})).choices);
  });
});

describe('a least length', () => {
  it('of -1 leaves the end to max_tokens alone', async () => {
    const test: TestApi = createTestApi({
      edit: (logits) => test.tokenizer.eosIds.forEach((id) => logits.fill(50, id, id + 1)),
    });
    expect((await ask(test, {})).usage.completion_tokens).toBe(1);
    expect((await ask(test, { min_tokens: -1 })).usage.completion_tokens).toBe(8);
  });
});

describe('raw tokens', () => {
  it('come in the place of text, whole and streamed, with log probabilities too', async () => {
    const test = createTestApi();
    const plain = await ask(test, { n: 2 });
    const whole = await ask(test, { n: 2, return_raw_tokens: true, logprobs: 0 });
    whole.choices.forEach(({ text, tokens = [], logprobs, finish_reason }, i) => {
      expect(text).toBe('');
      expect(tokens).toHaveLength(8);
      expect(test.tokenizer.decode(tokens)).toBe(plain.choices[i].text);
      expect(logprobs?.tokens).toEqual(tokens.map((token) => test.tokenizer.tokenText(token)));
      expect(finish_reason).toBe(plain.choices[i].finish_reason);
    });
    const { text } = await call(test.api, '/v1/completions', { ...base, n: 2, return_raw_tokens: true, stream: true });
    const chunks = text
      .split('\n\n')
      .filter((line) => line.startsWith('data: {'))
      .map((line) => JSON.parse(line.slice(6)) as Completion);
    whole.choices.forEach(({ tokens, index }) => {
      const own = chunks.flatMap(({ choices }) => choices).filter((choice) => choice.index === index);
      expect(own.flatMap((choice) => choice.tokens ?? [])).toEqual(tokens);
    });
  });
});

import { describe, expect, it } from 'vitest';
import { createVirtualClock } from '../../core/index.ts';
import { createWordTokenizer } from '../../model/index.ts';
import { fillerOf, MEAN_SENTENCES, pageWords } from '../emulate/index.ts';
import { createEngine, type EngineOptions } from '../engine.ts';
import type { EngineRequest } from '../engine-request.ts';
import { createTestTokenizer } from '../testing/test-tokenizer.ts';
import { createEmulateExecutor } from './emulate.ts';

const VOCAB = 50_000;
const tokenizer = createWordTokenizer(pageWords(), VOCAB);
const filler = fillerOf(tokenizer);

const createTestEngine = (kvTokens = 8192, options: Partial<EngineOptions> = {}) =>
  createEngine({
    executor: createEmulateExecutor({ vocab: VOCAB, maxContext: 4096, kvTokens, filler }),
    clock: createVirtualClock(),
    pause: () => Promise.resolve(),
    ...options,
  });

async function read(engine: ReturnType<typeof createTestEngine>, over: Partial<EngineRequest>) {
  let text = '';
  let reason = '';
  let generated = 0;
  const request = {
    prompts: [tokenizer.encode('<|user|>What is new?<|end|><|assistant|>')],
    sampling: { temperature: 1 },
    seed: 0,
    eos: tokenizer.eosIds,
    decoder: () => tokenizer.decoder(),
    ...over,
  };
  for await (const event of engine.submit(request)) {
    if (event.kind === 'tokens') text += event.text;
    else if (event.kind === 'finish') ({ reason, generated } = event);
  }
  return { text, reason, generated };
}

describe('emulate', () => {
  it('answers by prompt and seed, alone and in company, whatever is taken back', async () => {
    const alone = createTestEngine();
    const texts = [];
    for (let seed = 0; seed < 6; seed++) texts.push((await read(alone, { seed, maxTokens: 80 })).text);
    expect(new Set(texts).size).toBe(6);
    const narrow = createTestEngine(256);
    const together = await Promise.all(texts.map((_, seed) => read(narrow, { seed, maxTokens: 80 })));
    expect(together.map(({ text }) => text)).toEqual(texts);
    expect(narrow.counts.preemptions).toBeGreaterThan(0);
    const other = { prompts: [tokenizer.encode('<|user|>What is old?<|end|><|assistant|>')] };
    const greedy = { sampling: { temperature: 0 }, maxTokens: 40 };
    expect((await read(alone, greedy)).text).toBe((await read(alone, greedy)).text);
    expect((await read(alone, greedy)).text).not.toBe((await read(alone, { ...greedy, ...other })).text);
  });

  it('writes words of its page and ends by itself, by max tokens, or by a stop string', async () => {
    const engine = createTestEngine();
    const words = new Set(pageWords());
    let sentences = 0;
    const answers = 200;
    for (let seed = 0; seed < answers; seed++) {
      const { text, reason } = await read(engine, { seed });
      expect(reason).toBe('stop');
      for (const word of text.match(/[A-Za-z]+/g) ?? []) expect(words.has(word)).toBe(true);
      sentences += text.match(/[.?]/g)?.length ?? 0;
    }
    // Geometric, so the deviation is about the mean, and that of the mean of 200 a fourteenth of it: here four of those.
    expect(Math.abs(sentences / answers - MEAN_SENTENCES)).toBeLessThan((4 / Math.sqrt(answers)) * MEAN_SENTENCES);
    expect(await read(engine, { maxTokens: 7 })).toMatchObject({ reason: 'length', generated: 7 });
    expect(await read(engine, { eos: [], maxTokens: 900 })).toMatchObject({ reason: 'length', generated: 900 });
    expect((await read(engine, { stop: [' the'] })).text).not.toContain(' the');
  });

  it('lets a processor choose among all tokens', async () => {
    const engine = createTestEngine();
    const [zebra] = tokenizer.encode('z');
    const { text } = await read(engine, {
      maxTokens: 3,
      processor: () => ({
        adjust(logits) {
          logits.keep(new Uint32Array(0), [zebra]);
        },
        accept: () => false,
      }),
    });
    expect(text).toBe('zzz');
  });

  it('speaks through any tokenizer', async () => {
    const bytes = createTestTokenizer();
    const executor = createEmulateExecutor({ vocab: 300, maxContext: 512, kvTokens: 512, filler: fillerOf(bytes) });
    const engine = createEngine({ executor, clock: createVirtualClock() });
    const { text } = await read(engine, {
      prompts: [bytes.encode('Hello')],
      eos: bytes.eosIds,
      decoder: () => bytes.decoder(),
      maxTokens: 60,
    });
    expect(text).toMatch(/^[A-Za-z,.\s]+$/);
  });
});

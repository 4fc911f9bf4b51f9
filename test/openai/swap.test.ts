// Versions change under the official client's traffic, on a real socket.
import OpenAI from 'openai';
import { expect, it } from 'vitest';

import { seconds } from '../../src/core/index.ts';
import type { ModelVersion } from '../../src/runtime/index.ts';
import { createTestApi, TEST_MODEL } from '../../src/runtime/testing/test-api.ts';
import { serveTest, soon } from './served.ts';

const slowly = { onStep: () => soon(1) };

it('loses no request during twenty swaps and as many rollbacks', async () => {
  const { server, registry } = await serveTest(slowly);
  const client = new OpenAI({ apiKey: 'none', baseURL: `${server.url}/v1`, maxRetries: 0 });
  /** What engines still held when they were closed. */
  const closed: number[] = [];
  const next = async (): Promise<ModelVersion> => {
    const { engine, tokenizer } = createTestApi(slowly);
    return {
      model: { id: TEST_MODEL, created: 0, ownedBy: 'ingot', engine, tokenizer, eos: tokenizer.eosIds },
      close: async () => {
        closed.push(engine.counts.running + engine.counts.waiting);
        await engine.close();
      },
    };
  };

  const over = new AbortController();
  let answers = 0;
  const texts = new Set<string>();
  const user = async (id: number): Promise<void> => {
    for (let i = 0; !over.signal.aborted; i++) {
      const request = {
        model: i % 2 === 0 ? TEST_MODEL : 'chat',
        messages: [{ role: 'user' as const, content: 'the wafer' }],
        max_tokens: 12,
        seed: 7,
        ignore_eos: true,
      };
      if (id % 2 === 0) {
        const answer = await client.chat.completions.create(request);
        expect(answer.model).toBe(TEST_MODEL);
        expect(answer.usage?.completion_tokens).toBe(12);
        texts.add(answer.choices[0].message.content ?? '');
      } else {
        let text = '';
        let reason: string | null = null;
        for await (const chunk of await client.chat.completions.create({ ...request, stream: true })) {
          text += chunk.choices[0].delta.content ?? '';
          reason = chunk.choices[0].finish_reason;
        }
        expect(reason).toBe('length');
        texts.add(text);
      }
      answers++;
    }
  };
  registry.setAlias('chat', TEST_MODEL);
  const users = Array.from({ length: 6 }, (_, id) => user(id));
  /** However slow the machine is, somebody is answered between two switches. */
  const another = async (): Promise<void> => {
    const wanted = answers + 1;
    const isThere = (): boolean => answers >= wanted;
    for (let i = 0; i < 1000 && !isThere(); i++) await soon(2);
  };
  for (let i = 0; i < 20; i++) {
    await registry.swap(TEST_MODEL, next, seconds(60));
    await another();
    registry.rollback(TEST_MODEL, seconds(60));
    await another();
  }
  over.abort();
  await Promise.all(users);
  expect(answers).toBeGreaterThan(20);
  // Whoever answers, and however often they changed: the same text.
  expect(texts.size).toBe(1);
  // The version of the start lives again, the newest is warm, all others have ended.
  expect(registry.status(TEST_MODEL).versions).toEqual([
    { version: 1, state: 'live', in_flight: 0 },
    { version: 21, state: 'warm', in_flight: 0, warm_until: expect.any(Number) as number },
  ]);
  expect(closed).toEqual(Array.from({ length: 19 }, () => 0));
});

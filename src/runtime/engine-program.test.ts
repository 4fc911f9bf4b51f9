// The engine on the executor that ships: what a client gets may depend neither on company, nor on how company cuts its
// prompt into chunks, takes its blocks away and shares them, nor on drafts. The executor's order of additions is the same for
// one token and for many.

import { describe, expect, it } from 'vitest';
import { createVirtualClock } from '../core/index.ts';
import { randomWeights } from '../model/index.ts';
import { tinyProgram, tinyShape } from '../wafer/index.ts';
import { createEngine, type EngineCounts, type EngineOptions } from './engine.ts';
import type { EngineRequest, TokenReport } from './engine-request.ts';
import type { Executor } from './index.ts';
import { createProgramExecutor } from './index.node.ts';
import { createModelDrafter, createNgramDrafter } from './speculation/index.ts';

const requests: readonly EngineRequest[] = [3, 17, 1, 40, 9, 40].map((length, i) => ({
  // The first 20 tokens are those of all others, so that blocks are shared.
  prompts: [Array.from({ length }, (_, j) => (j < 20 ? 3 * j : 7 * i + 3 * j) % 50)],
  maxTokens: 24,
  sampling: i % 2 === 0 ? { temperature: 0 } : { temperature: 1, topP: 0.95 },
  seed: i,
}));

const shape = tinyShape();

async function withExecutor<T>(
  dtype: 'bf16' | 'int8',
  kvTokens: number,
  use: (executor: Executor) => Promise<T>,
): Promise<T> {
  const program = tinyProgram(shape, { width: 3, height: 2, groups: { x: 2, y: 1 } }, dtype);
  const weights = randomWeights(shape, 1);
  const executor = await createProgramExecutor({ program, weights, kvTokens, threads: 2, maxStepTokens: 24 });
  try {
    return await use(executor);
  } finally {
    await executor.close();
  }
}

async function tokensOf(
  executor: Executor,
  list: readonly EngineRequest[],
  options: Partial<EngineOptions> = {},
): Promise<{ readonly tokens: number[][]; readonly counts: EngineCounts }> {
  const engine = createEngine({ executor, clock: createVirtualClock(), ...options });
  const tokens = await Promise.all(
    list.map(async (request) => {
      const seen: number[] = [];
      for await (const event of engine.submit(request)) {
        if (event.kind === 'tokens') seen.push(...event.tokens.map(({ token }) => token));
      }
      return seen;
    }),
  );
  return { tokens, counts: engine.counts };
}

/** What the engine says of the tokens of each request's answer, and of its prompt. */
async function reportsOf(
  executor: Executor,
  list: readonly EngineRequest[],
  options: Partial<EngineOptions> = {},
): Promise<{ readonly answers: TokenReport[][]; readonly prompts: TokenReport[][]; readonly counts: EngineCounts }> {
  const engine = createEngine({ executor, clock: createVirtualClock(), ...options });
  const [answers, prompts] = [list.map((): TokenReport[] => []), list.map((): TokenReport[] => [])];
  await Promise.all(
    list.map(async (request, i) => {
      for await (const event of engine.submit(request)) {
        if (event.kind !== 'finish') (event.kind === 'prompt' ? prompts : answers)[i].push(...event.tokens);
      }
    }),
  );
  expect(engine.counts.blocksUsed).toBe(0);
  return { answers, prompts, counts: engine.counts };
}

describe('engine on the program executor', () => {
  it('says the same of a token in a prompt and in an answer', async () => {
    const written = await withExecutor('bf16', 512, (executor) =>
      reportsOf(
        executor,
        requests.map((request) => ({ ...request, logprobs: 2 })),
      ),
    );
    const read = requests.map((request, i): EngineRequest => {
      const prompts = [[...request.prompts[0], ...written.answers[i].map(({ token }) => token)]];
      return { ...request, prompts, promptLogprobs: 2, maxTokens: i === 0 ? 4 : 0 };
    });
    for (const [kvTokens, chunkSize] of [
      [512, 24],
      [96, 5],
    ]) {
      await withExecutor('bf16', kvTokens, async (executor) => {
        const { prompts, answers, counts } = await reportsOf(executor, read, { chunkSize });
        for (const [i, reports] of prompts.entries()) {
          expect(reports).toHaveLength(requests[i].prompts[0].length + 24);
          expect(reports[0].logprob).toBeUndefined();
          expect(reports.slice(-24)).toEqual(written.answers[i]);
        }
        expect(answers.map(({ length }) => length)).toEqual([4, 0, 0, 0, 0, 0]);
        expect(counts.cachedTokens).toBe(0);
      });
    }
  });

  it.each(['bf16', 'int8'] as const)('gives %s requests the same tokens alone and in company', async (dtype) => {
    const alone: number[][] = [];
    await withExecutor(dtype, 512, async (executor) => {
      for (const request of requests) {
        alone.push(...(await tokensOf(executor, [request], { prefixCache: false })).tokens);
      }
      expect(alone.every((tokens) => tokens.length === 24)).toBe(true);
      for (const chunkSize of [24, 5]) {
        for (const prefixCache of [true, false]) {
          expect((await tokensOf(executor, requests, { chunkSize, prefixCache })).tokens).toEqual(alone);
        }
      }
      // One of them knows half of its answer.
      const predicted = requests.map((request, i) =>
        i === 1 ? { ...request, prediction: alone[i].slice(0, 12) } : request,
      );
      const { tokens, counts } = await tokensOf(executor, predicted, { drafter: createNgramDrafter() });
      expect(tokens).toEqual(alone);
      expect(counts.acceptedTokens).toBeGreaterThan(5);
      await withExecutor(dtype === 'bf16' ? 'int8' : 'bf16', 512, async (draft) => {
        const drafter = createModelDrafter({ executor: draft, vocab: shape.vocab });
        const drafted = await tokensOf(executor, requests, { drafter, draftTokens: 3 });
        expect(drafted.tokens).toEqual(alone);
        // The same weights in another type are mostly of one mind.
        expect(drafted.counts.acceptedTokens).toBeGreaterThan(drafted.counts.draftedTokens / 2);
        expect(drafted.counts.steps).toBeLessThan(counts.steps);
      });
    });
    // Room for one long request and a half: blocks are taken back, and found or computed again.
    await withExecutor(dtype, 96, async (executor) => {
      for (const scheduler of ['fcfs', 'fair'] as const) {
        const { tokens, counts } = await tokensOf(executor, requests, { scheduler });
        expect(tokens).toEqual(alone);
        expect(counts.preemptions).toBeGreaterThan(0);
        expect(counts.cachedTokens).toBeGreaterThan(0);
      }
    });
  });
});

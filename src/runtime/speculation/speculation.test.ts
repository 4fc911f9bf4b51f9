import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRng, createVirtualClock, joules, seconds } from '../../core/index.ts';
import { createEngine } from '../engine.ts';
import type { FinishEvent } from '../engine-request.ts';
import { createDraws } from '../sampler.ts';
import { createTestExecutor } from '../testing/test-executor.ts';
import { createModelDrafter, createNgramDrafter, type Drafter, type DraftWant } from './index.ts';

const want = (tokens: readonly number[], most: number, prediction?: readonly number[]): DraftWant => ({
  sequence: 0,
  tokens: Int32Array.from(tokens),
  most,
  sampling: { temperature: 0 },
  draws: createDraws(createRng(1)),
  ...(prediction === undefined ? {} : { prediction: Int32Array.from(prediction) }),
});

describe('prompt lookup', () => {
  it.each<[string, number[], number, number[] | undefined, number[]]>([
    ['what followed the same run before', [1, 2, 3, 4, 9, 2, 3], 2, undefined, [4, 9]],
    ['the newest of several', [1, 2, 5, 1, 2, 6, 1, 2], 1, undefined, [6]],
    ['the longest run that is known', [7, 1, 2, 5, 8, 1, 2, 6, 7, 1, 2], 1, undefined, [5]],
    ['the prediction before the past', [1, 2, 3, 1, 2], 2, [1, 2, 8, 9], [8, 9]],
    ['its own repetition', [4, 4, 4], 3, undefined, [4]],
    ['nothing where nothing is known', [1, 2, 3, 4], 3, undefined, []],
    ['nothing for a single token in common', [1, 2, 3, 2], 3, undefined, []],
  ])('proposes %s', async (_, tokens, most, prediction, expected) => {
    const { drafts } = await createNgramDrafter().propose([want(tokens, most, prediction)]);
    expect(drafts).toEqual([expected]);
  });
});

it('looks only at predictions where it is told so', async () => {
  const drafter = createNgramDrafter({ ofPredictions: true });
  const wants = [want([1, 2, 3, 1, 2], 2), want([1, 2, 3, 1, 2], 2, [1, 2, 8, 9])];
  expect((await drafter.propose(wants)).drafts).toEqual([[], [8, 9]]);
});

/** Answers of one engine to the same prompt with many seeds. */
async function answers(seeds: number, drafter: Drafter | undefined, maxTokens = 3) {
  const executor = createTestExecutor({ vocab: 4, maxStepTokens: 64, blocks: 64 });
  const clock = createVirtualClock();
  const pause = (): Promise<void> => Promise.resolve();
  const engine = createEngine({ executor, clock, pause, ...(drafter === undefined ? {} : { drafter }) });
  const all = await Promise.all(
    Array.from({ length: seeds }, async (_, seed) => {
      const tokens: number[] = [];
      let finish: FinishEvent | undefined;
      const request = { prompts: [[1, 2, 1, 2]], maxTokens, sampling: { temperature: 1 }, seed };
      for await (const event of engine.submit(request)) {
        if (event.kind === 'finish') finish = event;
        else tokens.push(...event.tokens.map(({ token }) => token));
      }
      return { tokens, finish };
    }),
  );
  return { all, counts: engine.counts };
}

const draftModel = (noise: number): Drafter =>
  createModelDrafter({ executor: createTestExecutor({ vocab: 4, noise, blocks: 512, maxStepTokens: 64 }), vocab: 4 });

describe('drafts', () => {
  it('leave the distribution of answers as the model has it', async () => {
    // The distribution of the second and third token, by the model itself.
    const executor = createTestExecutor({ vocab: 4 });
    const next = async (tokens: readonly number[]): Promise<number[]> => {
      const item = { sequence: 0, tokens: Int32Array.from(tokens), start: 0, wantLogits: 1 };
      const [[logits]] = await executor.execute({ items: [{ ...item, blockTable: Int32Array.of(0, 1, 2) }] });
      const weights = [...logits].map(Math.exp);
      const total = weights.reduce((a, b) => a + b);
      return weights.map((w) => w / total);
    };
    const expected = new Map<string, number>();
    const prompt = [1, 2, 1, 2];
    for (const [a, pa] of (await next(prompt)).entries()) {
      for (const [b, pb] of (await next([...prompt, a])).entries()) {
        for (const [c, pc] of (await next([...prompt, a, b])).entries()) expected.set(`${[a, b, c]}`, pa * pb * pc);
      }
    }
    const seeds = 3000;
    const { all, counts } = await answers(seeds, draftModel(1));
    // Neither always right nor always wrong, or nothing would be tested.
    expect(counts.acceptedTokens / counts.draftedTokens).toBeGreaterThan(0.2);
    expect(counts.acceptedTokens / counts.draftedTokens).toBeLessThan(0.95);
    const seen = new Map<string, number>();
    for (const { tokens } of all) seen.set(`${tokens}`, (seen.get(`${tokens}`) ?? 0) + 1);
    // Chi-square over the answers that are expected five times or more, the rest as one.
    let chi = 0;
    let classes = 0;
    let [restSeen, restExpected] = [0, 0];
    for (const [key, p] of expected) {
      const [observed, mean] = [seen.get(key) ?? 0, p * seeds];
      if (mean < 5) {
        restSeen += observed;
        restExpected += mean;
        continue;
      }
      chi += (observed - mean) ** 2 / mean;
      classes++;
    }
    chi += (restSeen - restExpected) ** 2 / Math.max(restExpected, 1);
    // Mean k, variance 2k: four deviations above it have a chance below one in a thousand.
    expect(classes).toBeGreaterThan(10);
    expect(chi).toBeLessThan(classes + 4 * Math.sqrt(2 * classes));
  });

  it('change no token, and save steps', async () => {
    const plain = await answers(40, undefined, 20);
    for (const drafter of [createNgramDrafter(), draftModel(0.3)]) {
      const drafted = await answers(40, drafter, 20);
      expect(drafted.all.map((a) => a.tokens)).toEqual(plain.all.map((a) => a.tokens));
      const sum = (key: 'drafted' | 'accepted'): number => drafted.all.reduce((n, a) => n + (a.finish?.[key] ?? 0), 0);
      expect([sum('drafted'), sum('accepted')]).toEqual([drafted.counts.draftedTokens, drafted.counts.acceptedTokens]);
      expect(drafted.counts.acceptedTokens).toBeGreaterThan(0);
      expect(drafted.counts.steps).toBeLessThan(plain.counts.steps);
    }
  });

  it('of a draft model equal to the model are all accepted', async () => {
    const { counts } = await answers(10, draftModel(0), 16);
    expect(counts.acceptedTokens).toBe(counts.draftedTokens);
    // The first token has none before it; then each step verifies four and adds one.
    expect(counts.draftedTokens).toBe(10 * 12);
  });

  it('of a model are priced, catch up after rejections, and give way where memory ends', async () => {
    const stepModel = { basis: 'test', step: () => ({ time: seconds(1), energy: joules(2) }) };
    const executor = createTestExecutor({ vocab: 4, blocks: 3, maxStepTokens: 3 });
    const drafter = createModelDrafter({ executor, vocab: 4, stepModel });
    const first = await drafter.propose([want([1, 2, 3, 1], 2), { ...want([1, 1, 1], 1), sequence: 1 }]);
    // Seven tokens in chunks of three, then one guess.
    expect(first.drafts.map((d) => d.length)).toEqual([2, 1]);
    expect(first.time).toBe(executor.steps);
    expect(first.energy).toBe(2 * executor.steps);
    const fresh = createModelDrafter({ executor: createTestExecutor({ vocab: 4 }), vocab: 4 });
    const longer = [1, 2, 3, 1, (first.drafts[0][0] + 1) % 4];
    const again = await drafter.propose([want(longer, 2)]);
    expect(again.drafts).toEqual((await fresh.propose([want(longer, 2)])).drafts);
    expect((await drafter.propose([{ ...want([1, 1, 1, 1], 1), sequence: 2 }])).drafts).toEqual([[]]);
    drafter.forget(0);
    expect((await drafter.propose([{ ...want([1, 1, 1], 1), sequence: 2 }])).drafts[0].length).toBe(1);
    expect(() => createModelDrafter({ executor, vocab: 5 })).toThrow('DRAFT_VOCABULARY');
  });

  it('are drawn with the numbers that the answer will be drawn with', () => {
    fc.assert(
      fc.property(fc.integer(), fc.array(fc.nat({ max: 5 }), { maxLength: 10 }), (seed, looks) => {
        const rng = createRng(seed);
        const draws = createDraws(createRng(seed));
        for (const look of looks) {
          const ahead = draws.peek(look);
          expect(draws.peek(look)).toBe(ahead);
          expect(draws.uniform()).toBe(rng.uniform());
          if (look > 0) expect(draws.peek(look - 1)).toBe(ahead);
        }
      }),
    );
  });
});

import { getEventListeners } from 'node:events';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createVirtualClock, IngotError, joules, seconds } from '../core/index.ts';
import { e2e, itl, ttft } from '../protocol/index.ts';
import { createEngine, type Engine, type EngineOptions } from './engine.ts';
import type { EngineRequest, FinishEvent, TokenEvent } from './engine-request.ts';
import type { StepModel } from './step-model.ts';
import { schedulers, type SchedulerName } from './scheduler/index.ts';
import { createModelDrafter, createNgramDrafter, type Drafter } from './speculation/index.ts';
import { createTestExecutor, type TestExecutorOptions } from './testing/test-executor.ts';

const immediately = (): Promise<void> => Promise.resolve();

/** An engine whose steps take a second each on the server and 1 ms + 1 µs per token on the wafer. */
function createTestEngine(executorOptions: TestExecutorOptions = {}, engineOptions: Partial<EngineOptions> = {}) {
  const clock = createVirtualClock(seconds(1000));
  const stepModel: StepModel = {
    basis: 'test',
    step: ({ items }) => ({
      time: seconds(1e-3 + 1e-6 * items.reduce((sum, item) => sum + item.tokens, 0)),
      energy: joules(2),
    }),
  };
  const executor = createTestExecutor({
    ...executorOptions,
    async onStep(batch) {
      await executorOptions.onStep?.(batch);
      clock.advanceTo(seconds(clock.now() + 1));
    },
  });
  return {
    engine: createEngine({ executor, clock, stepModel, pause: immediately, ...engineOptions }),
    executor,
    clock,
  };
}

const request = (prompt: readonly number[], over: Partial<EngineRequest> = {}): EngineRequest => ({
  prompts: [prompt],
  sampling: { temperature: 1 },
  seed: 1,
  maxTokens: 6,
  ...over,
});

interface Outcome {
  readonly tokens: number[][];
  readonly text: string[];
  readonly finished: FinishEvent[];
}

async function collect(events: AsyncIterable<TokenEvent>): Promise<Outcome> {
  const outcome: Outcome = { tokens: [], text: [], finished: [] };
  for await (const event of events) {
    if (event.kind === 'finish') outcome.finished[event.choice] = event;
    else if (event.kind === 'tokens') {
      (outcome.tokens[event.choice] ??= []).push(...event.tokens.map((token) => token.token));
      outcome.text[event.choice] = (outcome.text[event.choice] ?? '') + event.text;
    }
  }
  return outcome;
}

const codeOf = async (work: () => Promise<unknown>): Promise<string> => {
  try {
    await work();
    return 'no error';
  } catch (error) {
    return error instanceof IngotError ? error.code : String(error);
  }
};

const idle = (engine: Engine): void => {
  const { waiting, running, blocksUsed } = engine.counts;
  expect({ waiting, running, blocksUsed }).toEqual({ waiting: 0, running: 0, blocksUsed: 0 });
};

const requests = fc.record({
  arrives: fc.integer({ min: 0, max: 20 }),
  leavesAfter: fc.option(fc.integer({ min: 0, max: 10 }), { nil: undefined, freq: 3 }),
  prompt: fc.array(fc.integer({ min: 0, max: 15 }), { minLength: 1, maxLength: 20 }),
  choices: fc.integer({ min: 1, max: 3 }),
  maxTokens: fc.integer({ min: 1, max: 8 }),
  seed: fc.integer(),
  eos: fc.constantFrom([], [3], [1, 2]),
  sampling: fc.constantFrom({ temperature: 0 }, { temperature: 1 }, { temperature: 1, topK: 4, topP: 0.9 }),
  priority: fc.integer({ min: -1, max: 1 }),
  tenant: fc.constantFrom('a', 'b'),
});

const drafters: Readonly<Record<string, () => Drafter | undefined>> = {
  none: () => undefined,
  ngram: () => createNgramDrafter(),
  // A draft that is often right, with less memory than it would like.
  model: () => createModelDrafter({ executor: createTestExecutor({ noise: 0.5, blocks: 16 }), vocab: 16 }),
};

describe('engine', () => {
  it('gives a request the same tokens alone and in any company, preempted, from the prefix cache and drafted', async () => {
    const seen = { preemptions: 0, cachedTokens: 0, acceptedTokens: 0 };
    await fc.assert(
      fc.asyncProperty(
        fc.array(requests, { minLength: 2, maxLength: 8 }),
        fc.record({ blocks: fc.integer({ min: 7, max: 40 }), maxStepTokens: fc.integer({ min: 1, max: 16 }) }),
        fc.record({
          chunk: fc.integer({ min: 1, max: 16 }),
          scheduler: fc.constantFrom(...(Object.keys(schedulers) as SchedulerName[])),
          prefixCache: fc.boolean(),
          drafter: fc.constantFrom(...Object.keys(drafters)),
        }),
        async (list, machine, { chunk, scheduler, prefixCache, drafter: drafterName }) => {
          const drafter = drafters[drafterName]();
          const alone = list.map((wanted) =>
            collect(createTestEngine().engine.submit({ ...wanted, prompts: [wanted.prompt] })),
          );
          const arrivals: { readonly at: number; readonly arrive: () => void }[] = [];
          const departures: { readonly at: number; readonly leave: () => void }[] = [];
          let step = 0;
          const { engine } = createTestEngine(
            {
              ...machine,
              onStep: () => {
                step++;
                for (const { at, arrive } of arrivals) if (at === step) arrive();
                for (const { at, leave } of departures) if (at === step) leave();
              },
            },
            {
              chunkSize: Math.min(chunk, machine.maxStepTokens),
              scheduler,
              prefixCache,
              ...(drafter === undefined ? {} : { drafter }),
            },
          );
          // Keeps steps coming until all have arrived.
          const pacemaker = (): Promise<unknown> => collect(engine.submit(request([0], { maxTokens: 22 })));
          const inCompany = list.map(
            (wanted) =>
              new Promise<Outcome | 'left'>((resolve, reject) => {
                const aborter = new AbortController();
                const arrive = (): void => {
                  const events = engine.submit({ ...wanted, prompts: [wanted.prompt] }, aborter.signal);
                  collect(events).then(resolve, (error: unknown) =>
                    aborter.signal.aborted ? resolve('left') : reject(error as Error),
                  );
                };
                if (wanted.leavesAfter !== undefined) {
                  departures.push({ at: wanted.arrives + wanted.leavesAfter, leave: () => aborter.abort() });
                }
                if (wanted.arrives === 0) arrive();
                else arrivals.push({ at: wanted.arrives, arrive });
              }),
          );
          await pacemaker();
          // Drafts may have brought it to its end early.
          for (const { at, arrive } of arrivals) if (at > step) arrive();
          step = Infinity;
          for (const [i, outcome] of (await Promise.all(inCompany)).entries()) {
            if (outcome === 'left') continue;
            expect(outcome.tokens).toEqual((await alone[i]).tokens);
            expect(outcome.finished.map((f) => f.reason)).toEqual((await alone[i]).finished.map((f) => f.reason));
          }
          idle(engine);
          for (const key of Object.keys(seen) as (keyof typeof seen)[]) seen[key] += engine.counts[key];
        },
      ),
      { numRuns: 120, seed: 1 },
    );
    // Or the law would say nothing of them.
    for (const count of Object.values(seen)) expect(count).toBeGreaterThan(0);
  });

  it('times every answer in order, on both clocks', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(requests, { minLength: 1, maxLength: 6 }), async (list) => {
        const { engine } = createTestEngine({ maxStepTokens: 5 });
        const outcomes = await Promise.all(
          list.map((wanted) => collect(engine.submit({ ...wanted, prompts: [wanted.prompt] }))),
        );
        for (const { finished } of outcomes) {
          for (const { timeline, wafer, generated } of finished) {
            for (const times of [timeline, wafer]) {
              if (times === undefined) throw new Error('no wafer times');
              const order = [times.sent, times.queued, times.started, ...times.tokens, times.done] as number[];
              expect(order).toEqual([...order].sort((a, b) => a - b));
              expect(times.tokens.length).toBe(generated);
              const sum = itl(times).reduce((a, b) => a + b, 0);
              expect((ttft(times) as number) + sum).toBeCloseTo(e2e(times) as number, 9);
            }
          }
        }
        const total = Math.max(...outcomes.flatMap((o) => o.finished.map((f) => f.wafer?.done as number)));
        expect(total).toBeCloseTo(engine.counts.waferSeconds, 9);
        expect(engine.counts.waferJoules).toBe(2 * engine.counts.steps);
      }),
      { numRuns: 40 },
    );
  });

  it('charges its requests all of the wafer, those that leave and those whose step fails included', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ wanted: requests, leaves: fc.option(fc.integer({ min: 1, max: 12 })) }), {
          minLength: 1,
          maxLength: 6,
        }),
        fc.array(fc.integer({ min: 1, max: 20 }), { maxLength: 3 }),
        fc.boolean(),
        async (list, failing, drafts) => {
          let step = 0;
          const leaving = new Map<number, AbortController[]>();
          const { engine } = createTestEngine(
            {
              maxStepTokens: 6,
              onStep: async () => {
                step++;
                for (const controller of leaving.get(step) ?? []) controller.abort();
                await immediately();
                if (failing.includes(step)) throw new Error('broken');
              },
            },
            drafts ? { drafter: createNgramDrafter(), draftTokens: 2 } : {},
          );
          const paid = { seconds: 0, joules: 0 };
          const shown = { seconds: 0, steps: 0 };
          engine.watchSteps(({ wafer }) => {
            shown.seconds += wafer.to - wafer.from;
            shown.steps++;
          });
          await Promise.allSettled(
            list.map(({ wanted, leaves }) => {
              const controller = new AbortController();
              if (leaves !== null) leaving.set(leaves, [...(leaving.get(leaves) ?? []), controller]);
              const onEnd: EngineRequest['onEnd'] = ({ waferSeconds, waferJoules }) => {
                paid.seconds += waferSeconds;
                paid.joules += waferJoules;
              };
              return collect(engine.submit({ ...wanted, prompts: [wanted.prompt], onEnd }, controller.signal));
            }),
          );
          // Readers that left do not wait for the end of their step.
          await engine.close();
          const { waferSeconds, waferJoules, steps } = engine.counts;
          expect(paid.seconds).toBeCloseTo(waferSeconds, 12);
          expect(paid.joules).toBeCloseTo(waferJoules, 9);
          expect(shown.seconds).toBeCloseTo(waferSeconds, 12);
          expect([shown.steps, waferJoules]).toEqual([steps, 2 * steps]);
          expect(steps).toBe(step);
          idle(engine);
        },
      ),
      { numRuns: 80 },
    );
  });

  it('advances the wafer by the step model, chunk by chunk', async () => {
    const { engine } = createTestEngine({ maxStepTokens: 4 });
    const { finished } = await collect(engine.submit(request([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], { maxTokens: 3 })));
    const { timeline, wafer } = finished[0];
    // Prompt of 10 in chunks of 4, 4 and 2, then two decodes.
    const steps = [4, 4, 2, 1, 1].map((tokens) => 1e-3 + 1e-6 * tokens);
    const until = (n: number): number => steps.slice(0, n).reduce((a, b) => a + b, 0);
    expect(wafer?.tokens.map((t) => t.toFixed(9))).toEqual([3, 4, 5].map((n) => until(n).toFixed(9)));
    expect(timeline).toEqual({
      pointOfView: 'server',
      sent: 1000,
      queued: 1000,
      started: 1000,
      tokens: [1003, 1004, 1005],
      done: 1005,
    });
  });

  it('lets a request that comes during a step wait for its end on the wafer too', async () => {
    let late: Promise<Outcome> | undefined;
    const { engine } = createTestEngine({
      onStep: () => {
        late ??= collect(engine.submit(request([5], { maxTokens: 1 })));
      },
    });
    await collect(engine.submit(request([1, 2], { maxTokens: 2 })));
    const { wafer } = (await (late as Promise<Outcome>)).finished[0];
    expect([wafer?.queued, wafer?.started]).toEqual([0, 1e-3 + 2e-6]);
  });

  it('ends at eos, at a stop string across tokens, and at max tokens', async () => {
    const decoder = () => ({ push: (token: number) => 'abcdefghijklmnop'[token], flush: () => '' });
    const { engine } = createTestEngine();
    const free = await collect(engine.submit(request([1], { maxTokens: 12, decoder })));
    expect(free.finished[0].reason).toBe('length');
    expect(free.tokens[0].length).toBe(12);

    const text = free.text[0];
    const cut = text.slice(5, 8);
    const at = text.indexOf(cut);
    const stopped = await collect(engine.submit(request([1], { maxTokens: 12, decoder, stop: ['zz', cut] })));
    expect(stopped.text[0]).toBe(text.slice(0, at));
    expect(stopped.finished[0]).toMatchObject({ reason: 'stop', generated: at + 3 });

    const eos = free.tokens[0][6];
    const first = free.tokens[0].indexOf(eos);
    const ended = await collect(engine.submit(request([1], { maxTokens: 12, decoder, eos: [eos] })));
    expect(ended.text[0] ?? '').toBe(text.slice(0, first));
    expect(ended.finished[0]).toMatchObject({ reason: 'stop', generated: first + 1 });
  });

  it('reports log probabilities when asked, and only then', async () => {
    const { engine } = createTestEngine();
    const reports = [];
    for await (const event of engine.submit(request([1], { logprobs: 2 }))) {
      if (event.kind === 'tokens') reports.push(...event.tokens);
    }
    expect(reports.length).toBe(6);
    for (const { logprob, top } of reports) {
      expect(top?.length).toBe(2);
      expect(logprob).toBeLessThanOrEqual(top?.[0].logprob ?? -Infinity);
    }
    for await (const event of engine.submit(request([1]))) {
      if (event.kind === 'tokens') expect(Object.keys(event.tokens[0])).toEqual(['token']);
    }
  });

  it('frees blocks at once when a client aborts, leaves its loop, or goes while it waits', async () => {
    const aborter = new AbortController();
    let usedAfterAbort = -1;
    const { engine, executor } = createTestEngine({
      blocks: 16,
      onStep: () => {
        if (executor.steps !== 3) return;
        aborter.abort();
        usedAfterAbort = engine.counts.blocksUsed;
      },
    });
    const long = request([1, 2, 3], { maxTokens: 60 });
    const running = codeOf(() => collect(engine.submit(long, aborter.signal)));
    const waiting = new AbortController();
    const queued = codeOf(() => collect(engine.submit(long, waiting.signal)));
    waiting.abort();
    expect([await queued, await running]).toEqual(['REQUEST_CANCELLED', 'REQUEST_CANCELLED']);
    expect(usedAfterAbort).toBe(0);
    expect(executor.steps).toBe(3);
    // The step that was running when the client left gives it no token.
    expect(engine.counts.generatedTokens).toBe(2);

    for await (const event of engine.submit(long)) {
      expect(event.kind).toBe('tokens');
      break;
    }
    idle(engine);
    expect(await codeOf(() => collect(engine.submit(long, AbortSignal.abort())))).toBe('REQUEST_CANCELLED');
    const kept = new AbortController();
    expect((await collect(engine.submit(request([1]), kept.signal))).tokens[0].length).toBe(6);
    // A signal may outlive many requests.
    expect(getEventListeners(kept.signal, 'abort')).toEqual([]);
  });

  it('lets a client leave at any moment between two steps without a word to the others', async () => {
    const drafter = createModelDrafter({ executor: createTestExecutor({ noise: 0.3 }), vocab: 16 });
    for (const options of [{}, { drafter: createNgramDrafter() }, { drafter }]) {
      for (let moment = 0; moment < 25; moment++) {
        const { engine } = createTestEngine({}, options);
        const staying = collect(engine.submit(request([1, 2, 3], { maxTokens: 12 })));
        const leaving = engine.submit(request([1, 2, 4], { maxTokens: 12 }));
        await leaving.ready();
        for (let passed = 0; passed < moment; passed++) await Promise.resolve();
        leaving.leave();
        expect((await staying).finished[0].generated).toBe(12);
        idle(engine);
      }
    }
  });

  it('ends the requests of a failed step with an error and serves the next', async () => {
    const { engine, executor } = createTestEngine({
      onStep: () => {
        if (executor.steps === 2) throw new Error('lost a worker');
      },
    });
    const outcomes = [[1], [2]].map((prompt) => codeOf(() => collect(engine.submit(request(prompt)))));
    expect(await Promise.all(outcomes)).toEqual(['EXECUTOR_FAILED', 'EXECUTOR_FAILED']);
    idle(engine);
    expect((await collect(engine.submit(request([1])))).tokens[0].length).toBe(6);
  });

  it('ends only the request whose logits are broken', async () => {
    const { engine } = createTestEngine({
      edit: (logits, tokens) => {
        if (tokens[0] === 9 && tokens.length === 3) logits[0] = NaN;
      },
    });
    const broken = codeOf(() => collect(engine.submit(request([9], { choices: 2 }))));
    const whole = collect(engine.submit(request([1])));
    expect(await broken).toBe('LOGITS_INVALID');
    expect((await whole).tokens[0].length).toBe(6);
    idle(engine);
  });

  it('refuses up front what can never run', async () => {
    const { engine } = createTestEngine({ maxContext: 20, blocks: 4, blockTokens: 4 }, { maxWaiting: 2 });
    const codes = async (over: Partial<EngineRequest>): Promise<string> =>
      codeOf(() => collect(engine.submit({ ...request([1]), ...over })));
    expect(engine.maxContext).toBe(16);
    expect(await codes({ prompts: [[]] })).toBe('PROMPT_EMPTY');
    expect(await codes({ prompts: [[16]] })).toBe('TOKEN_OUT_OF_RANGE');
    expect(await codes({ prompts: [[-1]] })).toBe('TOKEN_OUT_OF_RANGE');
    expect(await codes({ prompts: [[1]], maxTokens: 16 })).toBe('CONTEXT_OVERFLOW');
    expect(await codes({ prompts: [Array<number>(16).fill(1)], maxTokens: undefined })).toBe('CONTEXT_OVERFLOW');
    expect(await codes({ maxTokens: 0 })).toBe('REQUEST_INVALID');
    expect(await codes({ stop: ['x'] })).toBe('REQUEST_INVALID');
    expect(await codes({ choices: 3 })).toBe('ENGINE_BUSY');
    // Exactly what the context holds is accepted.
    expect((await collect(engine.submit(request([1], { maxTokens: 15 })))).tokens[0].length).toBe(15);
    expect((await collect(engine.submit(request([1], { maxTokens: undefined })))).tokens[0].length).toBe(15);
  });

  it('does nothing while idle, and ends everything when closed', async () => {
    let pauses = 0;
    const { engine, executor } = createTestEngine(
      {},
      {
        pause: () => {
          pauses++;
          return new Promise((resolve) => setImmediate(resolve));
        },
      },
    );
    await collect(engine.submit(request([1])));
    await new Promise((resolve) => setImmediate(resolve));
    const [steps, rested] = [executor.steps, pauses];
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect([executor.steps, pauses]).toEqual([steps, rested]);

    const cut = codeOf(() => collect(engine.submit(request([1], { maxTokens: 50 }))));
    await engine.close();
    expect(await cut).toBe('ENGINE_CLOSED');
    expect(await codeOf(async () => engine.submit(request([1])))).toBe('ENGINE_CLOSED');
    idle(engine);
  });

  it('counts each prompt token once, as computed or as found, and finds what ended before', async () => {
    const { engine } = createTestEngine();
    const prompt = Array.from({ length: 18 }, (_, i) => i % 7);
    const first = await collect(engine.submit(request(prompt)));
    const again = await collect(engine.submit(request(prompt, { choices: 2 })));
    expect(again.tokens[0]).toEqual(first.tokens[0]);
    expect(first.finished[0].cached).toBe(0);
    // Four whole blocks of four; the second choice is not told again.
    expect(again.finished.map((f) => f.cached)).toEqual([16, 0]);
    expect(engine.counts).toMatchObject({ promptTokens: 54, cachedTokens: 32, preemptions: 0 });
    // And the answer too, by who goes on from it.
    const dialogue = [...prompt, ...first.tokens[0], 1, 2, 3];
    expect((await collect(engine.submit(request(dialogue)))).finished[0].cached).toBe(20);
    expect((await collect(engine.submit(request(prompt, { cacheSalt: 'x' })))).finished[0].cached).toBe(0);
    idle(engine);
  });

  it('computes a prompt once for all of its choices', async () => {
    const { engine } = createTestEngine();
    const prompt = Array.from({ length: 18 }, (_, i) => i % 7);
    const { tokens, finished } = await collect(engine.submit(request(prompt, { choices: 5 })));
    expect(new Set(tokens.map(String)).size).toBe(5);
    expect(finished[0].cached).toBe(0);
    // The prompt, what of it is in no whole block for the others, and the answers but their last tokens.
    expect(engine.counts.computedTokens).toBe(18 + 4 * 2 + 5 * 5);
  });

  it('preempts the last in the order, and goes on where it was', async () => {
    const { engine } = createTestEngine({ blocks: 12 });
    const outcomes = await Promise.all([1, 2, 3].map((t) => collect(engine.submit(request([t], { maxTokens: 40 })))));
    expect(engine.counts.preemptions).toBeGreaterThan(0);
    const ends = outcomes.map(({ finished }) => finished[0].timeline.done as number);
    expect(ends).toEqual([...ends].sort((a, b) => a - b));
    for (const { finished } of outcomes) expect(finished[0].generated).toBe(40);
    // Tokens are computed again only where their blocks were needed.
    expect(engine.counts.computedTokens).toBeGreaterThan(3 * 40);
    expect(engine.counts.computedTokens).toBeLessThan(4 * 40);
    idle(engine);
  });

  it('ends a request at its deadline, running or waiting, and gives its blocks back', async () => {
    const { engine } = createTestEngine({}, { maxRunning: 1 });
    let tokens = 0;
    const late = codeOf(async () => {
      for await (const event of engine.submit(request([1], { maxTokens: 60, deadline: seconds(1010) }))) {
        tokens += Number(event.kind === 'tokens');
      }
    });
    const never = codeOf(() => collect(engine.submit(request([2], { deadline: seconds(1005) }))));
    const fine = collect(engine.submit(request([3], { deadline: seconds(2000) })));
    expect(await Promise.all([late, never])).toEqual(['DEADLINE_EXCEEDED', 'DEADLINE_EXCEEDED']);
    expect(tokens).toBe(10);
    expect((await fine).tokens[0].length).toBe(6);
    idle(engine);
  });

  it('refuses who would wait too long, by how long answers take', async () => {
    const { engine } = createTestEngine({}, { maxRunning: 2 });
    // Six steps of a second each, two at a time.
    await Promise.all([1, 2].map((t) => collect(engine.submit(request([t])))));
    expect(engine.expectedQueueTime()).toBe(0);
    const running = [1, 2, 3, 4].map((t) => collect(engine.submit(request([t]))));
    await new Promise((resolve) => setImmediate(resolve));
    await Promise.all(running.slice(0, 2));
    expect(engine.expectedQueueTime()).toBe(0);
    await Promise.all(running);

    const { engine: busy } = createTestEngine(
      {
        onStep: (): void => {
          if (busy.counts.steps !== 7) return;
          // Two run, two wait: a third waits for three ends, one every three seconds.
          expect(busy.expectedQueueTime()).toBeCloseTo(9, 9);
          expect(() => busy.submit(request([9], { maxQueueTime: seconds(8) }))).toThrow('QUEUE_TOO_LONG');
          extra.push(collect(busy.submit(request([9], { maxQueueTime: seconds(10) }))));
        },
      },
      { maxRunning: 2 },
    );
    const extra: Promise<Outcome>[] = [];
    await Promise.all([1, 2].map((t) => collect(busy.submit(request([t])))));
    await Promise.all([1, 2, 3, 4].map((t) => collect(busy.submit(request([t])))));
    expect((await extra[0]).tokens[0].length).toBe(6);
  });

  it('refuses options that no step could honour', () => {
    const executor = createTestExecutor({ maxStepTokens: 4 });
    const clock = createVirtualClock();
    for (const options of [{ chunkSize: 5 }, { maxRunning: 0 }, { chunkSize: 1.5 }]) {
      expect(() => createEngine({ executor, clock, ...options })).toThrow('ENGINE_OPTIONS_INVALID');
    }
  });
});

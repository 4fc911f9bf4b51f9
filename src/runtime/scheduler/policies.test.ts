// What each scheduler adds to the laws of all.

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { joules, seconds } from '../../core/index.ts';
import { createKvBlocks } from '../kv.ts';
import { advance, appendToken, createSequence, tokensLeft, type Sequence, type Standing } from '../sequence.ts';
import type { StepModel } from '../step-model.ts';
import { createScheduler } from './continuous.ts';
import { schedulers, type PolicyContext, type SchedulerName } from './index.ts';
import { LEVEL_SECONDS } from './priority.ts';

const limits = { maxStepTokens: 64, chunkSize: 64, maxRunning: 1 };

function createBench(name: SchedulerName, over: Partial<typeof limits> = {}, context: Partial<PolicyContext> = {}) {
  const kv = createKvBlocks(256, 4);
  const clock = { now: 0 };
  const scheduler = createScheduler<Sequence>({
    kv,
    limits: { ...limits, ...over },
    policy: schedulers[name],
    context: { now: () => seconds(clock.now), ...context },
    prefixCache: false,
  });
  let id = 0;
  const add = (standing: Partial<Standing>, prompt = 1, maxTokens = 2): Sequence => {
    const sequence = createSequence(id++, new Int32Array(prompt), maxTokens, {
      arrived: seconds(clock.now),
      ...standing,
    });
    scheduler.add(sequence);
    return sequence;
  };
  /** @returns who ended */
  const step = (): Sequence[] => {
    const ended: Sequence[] = [];
    for (const { sequence, tokens } of scheduler.schedule()) {
      advance(kv, sequence, tokens, false);
      if (tokensLeft(sequence) > 0) continue;
      appendToken(sequence, 0);
      if (sequence.length === sequence.promptTokens + sequence.maxTokens) ended.push(sequence);
    }
    for (const sequence of ended) scheduler.remove(sequence);
    return ended;
  };
  const order = (steps: number): Sequence[] => Array.from({ length: steps }, step).flat();
  return { scheduler, clock, add, step, order };
}

describe('priority', () => {
  it('goes by levels, and by arrival within one', () => {
    const { add, order } = createBench('priority');
    const [a, b, c, d] = [0, 1, -1, 0].map((priority) => add({ priority }));
    expect(order(8)).toEqual([c, a, d, b]);
  });

  it('lets a level be made up for by waiting', () => {
    const { add, order, clock } = createBench('priority');
    const old = add({ priority: 1 });
    clock.now = LEVEL_SECONDS + 1;
    const young = add({ priority: 0 });
    expect(order(4)).toEqual([old, young]);
  });

  it('preempts the least urgent first', () => {
    const { add, scheduler, step } = createBench('priority', { maxRunning: 8 });
    // 256 blocks of four tokens: three that grow to 400 do not fit.
    const [low, high, middle] = [2, -2, 0].map((priority) => add({ priority }, 200, 200));
    while (scheduler.preemptions === 0) step();
    expect([low, high, middle].map((s) => s.blockTable.length > 0)).toEqual([false, true, true]);
  });
});

describe('fair', () => {
  it('serves tenants by weight, however many requests each sends', () => {
    const { add, step } = createBench('fair');
    for (let i = 0; i < 400; i++) add({ tenant: 'large', weight: 3 }, 10, 4);
    for (let i = 0; i < 100; i++) add({ tenant: 'small' }, 10, 4);
    const served = { large: 0, small: 0 };
    // Five requests of four steps each time round.
    for (let i = 0; i < 4 * 200; i++) for (const { tenant } of step()) served[tenant as 'large' | 'small']++;
    expect(served.large / served.small).toBeGreaterThan(2.8);
    expect(served.large / served.small).toBeLessThan(3.2);
  });

  it('shares the tokens of tenants that always wait by their weights, whatever the sizes of their requests', () => {
    const tenant = fc.record({
      weight: fc.constantFrom(0.5, 1, 2, 5),
      prompt: fc.integer({ min: 1, max: 60 }),
      answer: fc.integer({ min: 1, max: 20 }),
      queued: fc.integer({ min: 2, max: 6 }),
    });
    fc.assert(
      fc.property(fc.array(tenant, { minLength: 2, maxLength: 5 }), (tenants) => {
        const { add, step } = createBench('fair');
        const come = (i: number): void => {
          const { weight, prompt, answer } = tenants[i];
          add({ tenant: String(i), weight }, prompt, answer);
        };
        for (const [i, { queued }] of tenants.entries()) for (let k = 0; k < queued; k++) come(i);
        const served = tenants.map(() => 0);
        let apart = -Infinity;
        for (let steps = 0; steps < 1500; steps++) {
          for (const { tenant: name, promptTokens, maxTokens } of step()) {
            served[Number(name)] += promptTokens + maxTokens;
            come(Number(name));
          }
          // Start-time fair queueing: no two are apart by more than a request of each (theorem 1 of Goyal, Vin, Cheng).
          const request = tenants.map(({ weight, prompt, answer }) => (prompt + answer) / weight);
          const done = tenants.map(({ weight }, i) => served[i] / weight);
          const ahead = Math.max(...done.map((normal, i) => normal - request[i]));
          apart = Math.max(apart, ahead - Math.min(...done.map((normal, i) => normal + request[i])));
        }
        expect(apart).toBeLessThanOrEqual(1e-6);
      }),
      { numRuns: 25 },
    );
  });

  it('goes by a weight that was changed, from the next request on', () => {
    const { add, step } = createBench('fair');
    const served = { a: 0, b: 0 };
    const serve = (weight: number): number => {
      for (let i = 0; i < 100; i++) {
        add({ tenant: 'a', weight }, 10, 4);
        add({ tenant: 'b' }, 10, 4);
      }
      Object.assign(served, { a: 0, b: 0 });
      for (let i = 0; i < 4 * 100; i++) for (const { tenant } of step()) served[tenant as 'a' | 'b']++;
      const share = served.a / served.b;
      while (step().length > 0 || served.a + served.b < 200)
        for (const { tenant } of step()) served[tenant as 'a' | 'b']++;
      return share;
    };
    expect(serve(1)).toBeCloseTo(1, 1);
    expect(serve(4)).toBeGreaterThan(3.5);
  });

  it('lets a newcomer in at once, and nobody save up', () => {
    const { add, order } = createBench('fair');
    const first = Array.from({ length: 20 }, () => add({ tenant: 'busy' }));
    order(10);
    const late = add({ tenant: 'late' });
    const ended = order(8);
    expect(ended.indexOf(late)).toBeGreaterThanOrEqual(0);
    expect(ended.indexOf(late)).toBeLessThanOrEqual(2);
    expect(first.filter((s) => ended.includes(s)).length).toBeGreaterThan(0);
  });
});

describe('slo', () => {
  /** A token takes a millisecond. */
  const stepModel: StepModel = {
    basis: 'test',
    step: ({ items }) => ({
      time: seconds(1e-3 * items.reduce((sum, { tokens }) => sum + tokens, 0)),
      energy: joules(0),
    }),
  };
  const targets = (ttft: number, tpot: number) => ({ targets: { ttft: seconds(ttft), tpot: seconds(tpot) } });

  it('prefills the earliest deadline first', () => {
    const { add, order } = createBench('slo');
    const [slow, quick] = [add(targets(2, 1)), add(targets(0.1, 1))];
    expect(order(4)).toEqual([quick, slow]);
  });

  it('cuts a chunk so that no decode misses its next token, and no further', () => {
    const { add, scheduler, step, clock } = createBench('slo', { maxRunning: 4 }, { stepModel });
    // First token due at 20 ms, then one every 10 ms.
    const reader = add(targets(0.02, 0.01), 1, 50);
    step();
    clock.now = 0.0095;
    const long = add(targets(1, 1), 200, 1);
    const share = (): number => scheduler.schedule().find(({ sequence }) => sequence === long)?.tokens ?? 0;
    // The next is due at 30 ms: 20 of the 20.5 ms left are for the reader's token and 19 of the prompt.
    expect(share()).toBe(19);
    clock.now = 0.0245;
    expect(share()).toBe(4);
    clock.now = 0.05;
    // Lost already: the prompt goes on all the same.
    expect(share()).toBe(1);
    clock.now = 0.0095;
    expect(scheduler.schedule().find(({ sequence }) => sequence === reader)?.tokens).toBe(1);
    scheduler.remove(reader);
    expect(share()).toBe(64);
  });
});

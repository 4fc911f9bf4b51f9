// The laws of every scheduler. They drive it alone, with sequences that "compute" by counting, on so few blocks that it
// has to preempt, and with prompts alike enough that blocks are shared.

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seconds } from '../../core/index.ts';
import { createKvBlocks, type KvBlocks } from '../kv.ts';
import {
  advance as computed,
  appendToken,
  createSequence,
  generated,
  tokensLeft,
  type Sequence,
  type Standing,
} from '../sequence.ts';
import { createScheduler } from './continuous.ts';
import type { PolicyFactory, Scheduler, SchedulerLimits } from './scheduler.ts';

interface Arrival {
  readonly step: number;
  readonly prompt: readonly number[];
  readonly maxTokens: number;
  /** Tokens after which the model ends it by itself. */
  readonly endsAfter: number;
  readonly priority: number;
  readonly tenant: string;
  readonly weight: number;
  readonly ttft: number;
  /** The client leaves this many steps after it came. */
  readonly leavesAfter?: number;
}

interface Machine extends SchedulerLimits {
  readonly blocks: number;
  readonly blockTokens: number;
}

const machines = fc
  .record({
    blocks: fc.integer({ min: 12, max: 36 }),
    blockTokens: fc.constantFrom(1, 1, 2, 4),
    maxStepTokens: fc.integer({ min: 1, max: 24 }),
    chunkSize: fc.integer({ min: 1, max: 24 }),
    maxRunning: fc.integer({ min: 1, max: 24 }),
  })
  .map((m): Machine => ({ ...m, maxRunning: Math.min(m.maxRunning, m.maxStepTokens) }));

/** Prompt and answer fit the smallest machine above. */
const arrivals = fc.array(
  fc.record(
    {
      step: fc.oneof(fc.integer({ min: 0, max: 4 }), fc.integer({ min: 0, max: 40 })),
      prompt: fc.array(fc.integer({ min: 0, max: 1 }), { minLength: 1, maxLength: 4 }),
      maxTokens: fc.integer({ min: 1, max: 8 }),
      endsAfter: fc.integer({ min: 1, max: 12 }),
      priority: fc.integer({ min: -2, max: 2 }),
      tenant: fc.constantFrom('a', 'b', 'c'),
      weight: fc.constantFrom(0.01, 1, 1, 3, 100),
      ttft: fc.constantFrom(0, 0.05, 1),
      leavesAfter: fc.integer({ min: 0, max: 20 }),
    },
    { requiredKeys: ['step', 'prompt', 'maxTokens', 'endsAfter', 'priority', 'tenant', 'weight', 'ttft'] },
  ),
  { maxLength: 30 },
);

/** Seconds of a step. */
const STEP = 0.01;

/** A scheduler, its blocks, and a clock that stands where the test has set it. */
function createBench<S extends Sequence>(policy: PolicyFactory, machine: Machine, prefixCache: boolean) {
  const kv = createKvBlocks(machine.blocks, machine.blockTokens);
  const clock = { now: 0 };
  const scheduler = createScheduler<S>({
    kv,
    limits: machine,
    policy,
    context: { now: () => seconds(clock.now) },
    prefixCache,
  });
  return { kv, clock, scheduler };
}

/** One step: check what was scheduled, advance it, end what is finished. Returns the finished. */
function advance<S extends Sequence>(
  scheduler: Scheduler<S>,
  kv: KvBlocks,
  limits: SchedulerLimits,
  prefixCache: boolean,
  ends: (sequence: S) => boolean,
): S[] {
  const items = scheduler.schedule();
  if (scheduler.waiting + scheduler.running > 0) expect(items.length).toBeGreaterThan(0);
  expect(items.reduce((sum, item) => sum + item.tokens, 0)).toBeLessThanOrEqual(limits.maxStepTokens);
  expect(new Set(items.map((item) => item.sequence)).size).toBe(items.length);
  const prefill = items.filter((item) => tokensLeft(item.sequence) > 1);
  expect(prefill.reduce((sum, item) => sum + item.tokens, 0)).toBeLessThanOrEqual(limits.chunkSize);
  for (const { sequence, tokens } of items) {
    expect(tokens).toBeGreaterThan(0);
    expect(tokens).toBeLessThanOrEqual(tokensLeft(sequence));
    expect(sequence.blockTable.length * kv.blockTokens).toBeGreaterThanOrEqual(sequence.computed + tokens);
    const first = Math.floor(sequence.computed / kv.blockTokens);
    const last = Math.floor((sequence.computed + tokens - 1) / kv.blockTokens);
    // Nobody else owns, or could find, what this step writes.
    for (let i = first; i <= last; i++) expect(kv.isWritable(sequence.blockTable[i])).toBe(true);
  }
  const finished: S[] = [];
  for (const { sequence, tokens } of items) {
    computed(kv, sequence, tokens, prefixCache);
    if (tokensLeft(sequence) > 0) continue;
    appendToken(sequence, sequence.length % 2);
    if (ends(sequence)) finished.push(sequence);
  }
  for (const sequence of finished) scheduler.remove(sequence);
  return finished;
}

const ownedBlocks = (live: Iterable<Sequence>): number => {
  const blocks = new Set<number>();
  for (const { blockTable } of live) for (const block of blockTable) blocks.add(block);
  return blocks.size;
};

export function schedulerLaws(name: string, policy: PolicyFactory): void {
  describe(`scheduler ${name}`, () => {
    it('ends every request, keeps the budget, conserves blocks and never writes shared ones', () => {
      let preemptions = 0;
      let found = 0;
      fc.assert(
        fc.property(machines, arrivals, fc.boolean(), (machine, list, prefixCache) => {
          type Arriving = Sequence & { readonly arrival: Arrival };
          const { kv, clock, scheduler } = createBench<Arriving>(policy, machine, prefixCache);
          const pending = list.map((arrival, id): Arriving => {
            const { step, priority, tenant, weight, ttft, prompt, maxTokens } = arrival;
            const targets = { ttft: seconds(ttft), tpot: seconds(STEP) };
            const standing = { arrived: seconds(step * STEP), priority, tenant, weight, targets };
            return { ...createSequence(id, Int32Array.from(prompt), maxTokens, standing), arrival };
          });
          const live = new Set<Arriving>();
          // The first in the order gets a token further in every step, and at worst the others begin anew for it.
          const work = list.reduce((sum, { prompt, maxTokens }) => sum + prompt.length + maxTokens, 0);
          for (let step = 0; step <= 40 + 4 * work; step++) {
            clock.now = step * STEP;
            for (const sequence of pending) {
              if (sequence.arrival.step === step) {
                live.add(sequence);
                scheduler.add(sequence);
              }
              const { leavesAfter } = sequence.arrival;
              if (live.has(sequence) && leavesAfter !== undefined && step >= sequence.arrival.step + leavesAfter) {
                scheduler.remove(sequence);
                live.delete(sequence);
                expect(sequence.blockTable.length).toBe(0);
                expect(kv.used).toBe(ownedBlocks(live));
              }
            }
            expect(scheduler.waiting + scheduler.running).toBe(live.size);
            const finished = advance(
              scheduler,
              kv,
              machine,
              prefixCache,
              (s) => generated(s) === Math.min(s.maxTokens, s.arrival.endsAfter),
            );
            for (const sequence of finished) live.delete(sequence);
            expect(kv.used).toBe(ownedBlocks(live));
            if (live.size === 0 && step > 40) break;
          }
          expect(live.size).toBe(0);
          expect([scheduler.waiting, scheduler.running, kv.used]).toEqual([0, 0, 0]);
          expect(kv.canAllocate(machine.blocks)).toBe(true);
          preemptions += scheduler.preemptions;
          for (const sequence of pending) found += sequence.found ?? 0;
        }),
        { numRuns: 150, seed: 1 },
      );
      // Or the law would say nothing of either.
      expect(preemptions).toBeGreaterThan(0);
      expect(found).toBeGreaterThan(0);
    });

    it('starves nobody: a large, least urgent request ends although smaller, more urgent ones keep coming', () => {
      fc.assert(
        fc.property(machines, fc.integer({ min: 1, max: 4 }), (machine, perStep) => {
          const { kv, clock, scheduler } = createBench<Sequence>(policy, machine, true);
          let id = 0;
          const arriving = (standing: Partial<Standing>): Partial<Standing> => ({
            arrived: seconds(clock.now),
            ...standing,
          });
          // Tenants without end, too.
          const small = (): Sequence =>
            createSequence(id++, new Int32Array(1), 2, arriving({ priority: -1, tenant: `tenant ${id % 7}` }));
          for (let i = 0; i < machine.maxRunning; i++) scheduler.add(small());
          advance(scheduler, kv, machine, true, () => false);
          const capacity = machine.blocks * machine.blockTokens;
          const targets = { ttft: seconds(1), tpot: seconds(1) };
          const standing = arriving({ priority: 1, tenant: 'victim', targets });
          const victim = createSequence(id++, new Int32Array(capacity - 4), 5, standing);
          scheduler.add(victim);
          let ended = false;
          // A step lasts a second here, so that two levels and a promised second are soon waited off.
          const bound = 30 + 8 * (30 * perStep + machine.maxRunning) + capacity;
          for (let step = 0; step < bound && !ended; step++) {
            clock.now += 1;
            for (let i = 0; i < perStep; i++) scheduler.add(small());
            ended = advance(scheduler, kv, machine, true, (s) => generated(s) === s.maxTokens).includes(victim);
          }
          expect(ended).toBe(true);
        }),
        { numRuns: 30 },
      );
    });

    it('never stops a decode for a prefill', () => {
      const limits = { maxStepTokens: 4, chunkSize: 4, maxRunning: 4 };
      const { kv, scheduler } = createBench<Sequence>(policy, { ...limits, blocks: 64, blockTokens: 4 }, true);
      const reader = createSequence(0, new Int32Array(1), 20);
      scheduler.add(reader);
      advance(scheduler, kv, limits, true, () => false);
      scheduler.add(createSequence(1, new Int32Array(40), 1));
      for (let step = 0; step < 10; step++) {
        const items = scheduler.schedule();
        expect(items.find((item) => item.sequence === reader)?.tokens).toBe(1);
        // And the prefill takes all that is left.
        expect(items.reduce((sum, item) => sum + item.tokens, 0)).toBe(4);
        for (const { sequence, tokens } of items) computed(kv, sequence, tokens, true);
        appendToken(reader, 0);
      }
    });
  });
}

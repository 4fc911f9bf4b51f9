// The laws of every scheduler. They drive it alone, with sequences that "compute" by counting.

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createKvBlocks, type KvBlocks } from '../kv.ts';
import { createSequence, prefillLeft, type Sequence } from '../sequence.ts';
import type { Scheduler, SchedulerFactory, SchedulerLimits } from './scheduler.ts';

interface Arrival {
  readonly step: number;
  readonly prompt: number;
  readonly maxTokens: number;
  /** Tokens after which the model ends it by itself. */
  readonly endsAfter: number;
  /** The client leaves this many steps after it came. */
  readonly leavesAfter?: number;
}

interface Machine extends SchedulerLimits {
  readonly blocks: number;
  readonly blockTokens: number;
}

const machines = fc
  .record({
    blocks: fc.integer({ min: 8, max: 64 }),
    blockTokens: fc.constantFrom(1, 4, 16),
    maxStepTokens: fc.integer({ min: 1, max: 24 }),
    chunkSize: fc.integer({ min: 1, max: 24 }),
    maxRunning: fc.integer({ min: 1, max: 24 }),
  })
  .map((m): Machine => ({ ...m, maxRunning: Math.min(m.maxRunning, m.maxStepTokens) }));

/** Prompt and answer fit the smallest machine above. */
const arrivals = fc.array(
  fc.record(
    {
      step: fc.integer({ min: 0, max: 40 }),
      prompt: fc.integer({ min: 1, max: 5 }),
      maxTokens: fc.integer({ min: 1, max: 4 }),
      endsAfter: fc.integer({ min: 1, max: 8 }),
      leavesAfter: fc.integer({ min: 0, max: 20 }),
    },
    { requiredKeys: ['step', 'prompt', 'maxTokens', 'endsAfter'] },
  ),
  { maxLength: 30 },
);

/** One step: check what was scheduled, advance it, end what is finished. Returns the finished. */
function advance<S extends Sequence>(
  scheduler: Scheduler<S>,
  kv: KvBlocks,
  limits: SchedulerLimits,
  ends: (sequence: S) => boolean,
): S[] {
  const items = scheduler.schedule();
  if (scheduler.waiting + scheduler.running > 0) expect(items.length).toBeGreaterThan(0);
  expect(items.reduce((sum, item) => sum + item.tokens, 0)).toBeLessThanOrEqual(limits.maxStepTokens);
  expect(new Set(items.map((item) => item.sequence)).size).toBe(items.length);
  const owned = items.flatMap((item) => [...item.sequence.blockTable]);
  expect(new Set(owned).size).toBe(owned.length);
  expect(owned.length).toBeLessThanOrEqual(kv.used);
  const prefill = items.filter((item) => prefillLeft(item.sequence) > 0);
  expect(prefill.reduce((sum, item) => sum + item.tokens, 0)).toBeLessThanOrEqual(limits.chunkSize);

  const finished: S[] = [];
  for (const { sequence, tokens } of items) {
    expect(tokens).toBeGreaterThan(0);
    expect(tokens).toBeLessThanOrEqual(Math.max(1, prefillLeft(sequence)));
    sequence.computed += tokens;
    expect(sequence.blockTable.length * kv.blockTokens).toBeGreaterThanOrEqual(sequence.computed);
    if (sequence.computed < sequence.prompt.length) continue;
    sequence.generated++;
    if (ends(sequence)) finished.push(sequence);
  }
  for (const sequence of finished) scheduler.remove(sequence);
  return finished;
}

export function schedulerLaws(name: string, create: SchedulerFactory): void {
  describe(`scheduler ${name}`, () => {
    it('ends every request, keeps the budget and conserves blocks, whoever comes and leaves', () => {
      fc.assert(
        fc.property(machines, arrivals, (machine, list) => {
          const kv = createKvBlocks(machine.blocks, machine.blockTokens);
          const scheduler = create<Sequence & { readonly arrival: Arrival }>(kv, machine);
          const pending = list.map((arrival, id) => ({
            ...createSequence(id, new Int32Array(arrival.prompt), arrival.maxTokens),
            arrival,
          }));
          const live = new Set<(typeof pending)[number]>();
          // One token a step is the least progress there can be.
          const work = list.reduce((sum, { prompt, maxTokens }) => sum + prompt + maxTokens, 0);
          for (let step = 0; step <= 40 + work; step++) {
            for (const sequence of pending) {
              if (sequence.arrival.step === step) {
                live.add(sequence);
                scheduler.add(sequence);
              }
              const { leavesAfter } = sequence.arrival;
              if (live.has(sequence) && leavesAfter !== undefined && step >= sequence.arrival.step + leavesAfter) {
                const before = kv.used;
                const held = sequence.blockTable.length;
                scheduler.remove(sequence);
                expect(kv.used).toBe(before - held);
                live.delete(sequence);
              }
            }
            expect(scheduler.waiting + scheduler.running).toBe(live.size);
            const finished = advance(
              scheduler,
              kv,
              machine,
              (s) => s.generated === Math.min(s.maxTokens, s.arrival.endsAfter),
            );
            for (const sequence of finished) live.delete(sequence);
            expect(kv.used).toBe([...live].reduce((sum, s) => sum + s.blockTable.length, 0));
          }
          expect(live.size).toBe(0);
          expect([scheduler.waiting, scheduler.running, kv.used]).toEqual([0, 0, 0]);
        }),
      );
    });

    it('starves nobody: a large request ends although smaller ones keep coming', () => {
      fc.assert(
        fc.property(machines, fc.integer({ min: 1, max: 4 }), (machine, perStep) => {
          const kv = createKvBlocks(machine.blocks, machine.blockTokens);
          const scheduler = create(kv, machine);
          let id = 0;
          const small = (): Sequence => createSequence(id++, new Int32Array(1), 2);
          for (let i = 0; i < machine.maxRunning; i++) scheduler.add(small());
          advance(scheduler, kv, machine, () => false);
          const capacity = machine.blocks * machine.blockTokens;
          const victim = createSequence(id++, new Int32Array(capacity - 4), 5);
          scheduler.add(victim);
          // Work before it, and its own, at one token a step.
          const bound = machine.maxRunning * 3 + capacity + 1;
          let ended = false;
          for (let step = 0; step < bound && !ended; step++) {
            for (let i = 0; i < perStep; i++) scheduler.add(small());
            ended = advance(scheduler, kv, machine, (s) => s.generated === s.maxTokens).includes(victim);
          }
          expect(ended).toBe(true);
        }),
        { numRuns: 50 },
      );
    });

    it('never stops a decode for a prefill', () => {
      const kv = createKvBlocks(64, 4);
      const scheduler = create(kv, { maxStepTokens: 4, chunkSize: 4, maxRunning: 4 });
      const reader = createSequence(0, new Int32Array(1), 20);
      scheduler.add(reader);
      advance(scheduler, kv, { maxStepTokens: 4, chunkSize: 4, maxRunning: 4 }, () => false);
      scheduler.add(createSequence(1, new Int32Array(40), 1));
      for (let step = 0; step < 10; step++) {
        const items = scheduler.schedule();
        expect(items.find((item) => item.sequence === reader)?.tokens).toBe(1);
        // And the prefill takes all that is left.
        expect(items.reduce((sum, item) => sum + item.tokens, 0)).toBe(4);
        for (const { sequence, tokens } of items) sequence.computed += tokens;
        reader.generated++;
      }
    });
  });
}

// Continuous batching with chunked prefill, prefix cache and preemption; the policy says in which order.
//
// A sequence is admitted when blocks for the tokens that it has are free, and one more for each that runs; blocks for
// its answer come as the answer grows. When none is left, the last in the order gives all of its own back and waits
// until it is admitted again; what they held is mostly found again in the prefix cache, and computed again where not.

import { assert } from '../../core/index.ts';
import { admit, release, reserve, tokensLeft, type Sequence } from '../sequence.ts';
import { createRankedQueue } from './ranked.ts';
import type { Scheduler, SchedulerOptions, StepItem } from './scheduler.ts';

export function createScheduler<S extends Sequence>(options: SchedulerOptions): Scheduler<S> {
  const { kv, limits, prefixCache } = options;
  const policy = options.policy<S>(options.context);
  const waiting = createRankedQueue<S>();
  const running = createRankedQueue<S>();
  let preemptions = 0;
  /** The first in the queue did not fit, and `kv.freed` then. */
  let refused: { readonly sequence: S; readonly freed: number } | undefined;

  function preempt(): void {
    const victim = running.items[running.items.length - 1];
    running.remove(victim);
    release(kv, victim);
    waiting.add(victim);
    preemptions++;
  }

  /** A token for those that decode, who have room for one more. Whoever has none left is no longer running. */
  function decode(): StepItem<S>[] {
    const items: StepItem<S>[] = [];
    for (let i = 0; i < running.items.length; i++) {
      const sequence = running.items[i];
      if (tokensLeft(sequence) > 1) continue;
      while (!reserve(kv, sequence, sequence.length) && running.items[i] === sequence) preempt();
      if (running.items[i] === sequence) items.push({ sequence, tokens: 1, cached: sequence.computed });
    }
    return items;
  }

  /** Another choice of the same prompt is at it: a step or two later its blocks can be shared. */
  function isBeingComputed({ tokens, length }: S): boolean {
    const whole = Math.floor((length - 1) / kv.blockTokens);
    return whole > 0 && running.items.some((other) => other.tokens === tokens && other.sealed < whole);
  }

  /** Strictly in order: letting a small request pass a large one could keep the large one waiting for ever. */
  function admitWaiting(): void {
    while (waiting.items.length > 0 && running.items.length < limits.maxRunning) {
      const [sequence] = waiting.items;
      if (refused?.sequence === sequence && refused.freed === kv.freed) return;
      if (prefixCache && isBeingComputed(sequence)) return;
      const isFirst = sequence.found === undefined;
      if (!admit(kv, sequence, prefixCache, running.items.length)) {
        refused = { sequence, freed: kv.freed };
        return;
      }
      waiting.remove(sequence);
      running.add(sequence);
      if (isFirst) policy.admitted?.(sequence);
    }
  }

  return {
    get waiting() {
      return waiting.items.length;
    },
    get running() {
      return running.items.length;
    },
    get preemptions() {
      return preemptions;
    },
    add(sequence) {
      sequence.rank = policy.rank(sequence);
      waiting.add(sequence);
    },
    remove(sequence) {
      if (running.remove(sequence)) release(kv, sequence);
      else assert(waiting.remove(sequence), 'a sequence waits or runs until it is removed');
      policy.ended?.(sequence);
    },
    schedule() {
      const before = preemptions;
      const items = decode();
      // What was preempted a moment ago would only be in the way again.
      if (preemptions === before) admitWaiting();
      // At most maxRunning ≤ maxStepTokens sequences run, so where any prefills, a token of the budget is left for it.
      let budget = Math.min(limits.chunkSize, limits.maxStepTokens - items.length);
      if (items.length === running.items.length) return items;
      const decoding = items.map(({ sequence }) => sequence);
      budget = policy.prefillTokens?.(decoding, budget) ?? budget;
      const scheduled = new Set(decoding);
      for (const sequence of running.items) {
        if (budget === 0) break;
        if (scheduled.has(sequence)) continue;
        const tokens = Math.min(tokensLeft(sequence), budget, sequence.mostStepTokens ?? budget);
        items.push({ sequence, tokens, cached: sequence.computed });
        budget -= tokens;
      }
      return items;
    },
  };
}

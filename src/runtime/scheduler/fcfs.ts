// First come, first served, with continuous batching and chunked prefill.
//
// A sequence is admitted when blocks for its longest possible answer are free, and keeps them to its end.
// So it can neither deadlock nor be preempted: no stream stalls half-way, no token is computed twice, and
// an answer does not depend on how far memory ran out. The price: answers that end early have held blocks that they
// never wrote, and fewer sequences run at once than with preemption when clients leave max_tokens open.

import { cachedAtMost, NO_BLOCKS, prefillLeft, type Sequence } from '../sequence.ts';
import type { KvBlocks } from '../kv.ts';
import type { Scheduler, SchedulerLimits, StepItem } from './scheduler.ts';

export function createFcfsScheduler<S extends Sequence>(kv: KvBlocks, limits: SchedulerLimits): Scheduler<S> {
  // Sets keep the order of arrival and remove in constant time.
  const waiting = new Set<S>();
  const running = new Set<S>();

  // Strictly in order: letting a small request pass a large one could keep the large one waiting for ever.
  const admit = (): void => {
    for (const sequence of waiting) {
      const blocks = kv.blocksFor(cachedAtMost(sequence));
      if (running.size >= limits.maxRunning || !kv.canAllocate(blocks)) return;
      sequence.blockTable = kv.allocate(blocks);
      waiting.delete(sequence);
      running.add(sequence);
    }
  };

  return {
    get waiting() {
      return waiting.size;
    },
    get running() {
      return running.size;
    },
    add(sequence) {
      waiting.add(sequence);
    },
    remove(sequence) {
      if (!running.delete(sequence)) {
        waiting.delete(sequence);
        return;
      }
      kv.free(sequence.blockTable);
      sequence.blockTable = NO_BLOCKS;
    },
    schedule() {
      admit();
      const items: StepItem<S>[] = [];
      // Decodes first: each is one token and somebody is reading along. At most maxRunning ≤ maxStepTokens
      // sequences run, so where any prefills, at least one token of the budget is left for it.
      for (const sequence of running) if (prefillLeft(sequence) === 0) items.push({ sequence, tokens: 1 });
      let budget = Math.min(limits.chunkSize, limits.maxStepTokens - items.length);
      for (const sequence of running) {
        if (budget === 0) break;
        const tokens = Math.min(prefillLeft(sequence), budget);
        if (tokens > 0) items.push({ sequence, tokens });
        budget -= tokens;
      }
      return items;
    },
  };
}

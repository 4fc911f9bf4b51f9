// Where the cycles of a run went. Every wavelet in a FIFO and every thread of a CE carries the cost of the
// chain of events that led to it: cycles on links, on ramps, executing, and starting tasks. A CE step
// continues the chain of whichever of its causes came last (its thread, its own previous action, a wavelet).
// What a chain's time exceeds its costs by was spent waiting: for a contended link, for room, for another
// thread. At the end, the chain of the last CE action is the run's critical path, and its parts add up to the
// cycles exactly.

import {
  headSlot,
  lastPoppedReadyAt,
  lastPoppedSlot,
  lastPushedSlot,
  operandFabricIn,
  operandFabricOut,
} from '../../wafer/machine/index.ts';
import type { MachineState } from '../../wafer/machine/index.ts';
import type { Observer } from './observer.ts';
import type { Timing } from './timing.ts';

/** Cycles on the critical path; the parts add up to the run's cycles. */
export interface Breakdown {
  /** Executing instructions and vector elements, start-ups included. */
  readonly compute: number;
  readonly link: number;
  readonly ramp: number;
  /** From activation to the first instruction of a task. */
  readonly task: number;
  /** Waiting for a link, for room in a buffer, or for another thread. */
  readonly stall: number;
}

const parts = 4;
const [link, ramp, compute, task] = [0, 1, 2, 3];

export interface CriticalPath extends Observer {
  breakdown(cycles: number): Breakdown;
}

export function createCriticalPath(m: MachineState, timing: Timing): CriticalPath {
  const { pes, fifos, channelRoute, down, queueFirst, outputFirst, outputChannel } = m.resolved;
  const slots = m.slotMask + 1;
  // Chains, in one array: one per FIFO slot, then one per CE, then one per thread, then the last one.
  const firstCe = fifos * slots;
  const firstThread = firstCe + pes;
  const last = firstThread + pes * m.threads;
  const cost = new Int32Array((last + 1) * parts);
  /** When a CE's and a thread's chain ended. */
  const endOf = new Int32Array(last + 1);
  let cause = last;
  /** PE of the last chain. Of several that end together the one of the last PE counts, in whatever order they come. */
  let lastPe = -1;

  const copy = (from: number, to: number): void => {
    if (from === to) return;
    // One by one: a call of copyWithin costs more than four elements.
    const a = from * parts;
    const b = to * parts;
    cost[b] = cost[a];
    cost[b + 1] = cost[a + 1];
    cost[b + 2] = cost[a + 2];
    cost[b + 3] = cost[a + 3];
  };
  const slotOf = (fifo: number, slot: number): number => fifo * slots + slot;
  /** The later of two chains; the first on a tie. */
  const later = (a: number, b: number): number => (endOf[b] > endOf[a] ? b : a);
  const finish = (pe: number, at: number): void => {
    endOf[firstCe + pe] = at;
    if (at > endOf[last] || (at === endOf[last] && pe >= lastPe)) {
      copy(firstCe + pe, last);
      endOf[last] = at;
      lastPe = pe;
    }
  };
  const thread = (pe: number, t: number): number => firstThread + pe * m.threads + t;

  return {
    anyOrder: true,
    moved(channel, out) {
      const from = slotOf(channel, lastPoppedSlot(m, channel));
      const route = channelRoute[channel];
      for (let rest = out & 31; rest !== 0; rest &= rest - 1) {
        const port = 31 - Math.clz32(rest & -rest);
        const fifo = down[route * 5 + port];
        const to = slotOf(fifo, lastPushedSlot(m, fifo));
        copy(from, to);
        if (port < 4) cost[to * parts + link] += timing.hop;
        else cost[to * parts + ramp] += timing.ramp;
      }
    },
    started(pe, queue) {
      const main = thread(pe, 0);
      const own = later(firstCe + pe, main);
      const byWavelet = queue >= 0 && lastPoppedReadyAt(m, queue) > endOf[own];
      copy(byWavelet ? slotOf(queue, lastPoppedSlot(m, queue)) : own, main);
      cost[main * parts + task] += timing.taskStart;
      endOf[main] = m.now + timing.taskStart;
    },
    issued(pe, begun, cycles) {
      const ce = firstCe + pe;
      const main = thread(pe, 0);
      copy(later(main, ce), ce);
      if (begun !== undefined) {
        const running = thread(pe, begun.thread);
        copy(ce, running);
        cost[running * parts + compute] += timing.vectorStartup;
        endOf[running] = m.now + timing.vectorStartup;
      }
      cost[ce * parts + compute] += cycles;
      finish(pe, m.now + cycles);
      if (begun === undefined || begun.thread !== 0) {
        copy(ce, main);
        endOf[main] = endOf[ce];
      }
    },
    stepping(pe, t, v) {
      cause = later(thread(pe, t), firstCe + pe);
      let latest = endOf[cause];
      for (const o of [v.a, v.b, v.c]) {
        if (o.kind !== operandFabricIn) continue;
        const fifo = queueFirst[pe] + o.queue;
        const { slot, ready } = headSlot(m, fifo);
        if (ready <= latest) continue;
        latest = ready;
        cause = slotOf(fifo, slot);
      }
    },
    stepped(pe, t, v, cycles) {
      const ce = firstCe + pe;
      copy(cause, ce);
      cost[ce * parts + compute] += cycles;
      finish(pe, m.now + cycles);
      copy(ce, thread(pe, t));
      endOf[thread(pe, t)] = endOf[ce];
      if (v.dst.kind !== operandFabricOut) return;
      const fifo = outputChannel[outputFirst[pe] + v.dst.queue];
      const to = slotOf(fifo, lastPushedSlot(m, fifo));
      copy(ce, to);
      cost[to * parts + ramp] += timing.ramp;
    },
    breakdown(cycles) {
      const at = last * parts;
      const known = cost[at + compute] + cost[at + link] + cost[at + ramp] + cost[at + task];
      return {
        compute: cost[at + compute],
        link: cost[at + link],
        ramp: cost[at + ramp],
        task: cost[at + task],
        stall: cycles - known,
      };
    },
  };
}

// When CEs execute: one instruction or one vector step a cycle, threads in turn. Shared by the engines that go
// from cycle to cycle; what an instruction does is in wafer/machine, how wavelets travel in the engine.
//
// A CE whose main thread works on its own registers and SRAM, with no microthread begun, can be disturbed by
// nothing: tasks start only when the main thread is idle, and wavelets wait in queues. Its instructions are
// then done ahead of the other PEs, each with `now` set to its own cycle, up to the next one that touches the
// fabric (`runAhead`). `stepByStep` leaves that out; a law says that nothing differs.

import {
  canIssue,
  canRunAlone,
  canStep,
  flow,
  isAlone,
  isMainIdle,
  issue,
  operandFabricIn,
  operandFabricOut,
  operandMemory,
  runBlock,
  runVector,
  startTask,
  startedNone,
  step,
} from '../../../wafer/machine/index.ts';
import type { MachineState, VectorCode } from '../../../wafer/machine/index.ts';
import { createTimedBlocks, createVectorTimes, issueCycles, lanesOf, stepCycles, type Timing } from '../timing.ts';
import { createWakeRing, type WakeRing } from '../wake.ts';
import type { Counts, EngineOptions } from './engine.ts';

/** What a CE does to the fabric around it, in cycle `now` of the machine state. */
export interface FabricSide {
  /** The CE put a wavelet into a channel of its router, which is ready there at `ready`. */
  sent(pe: number, channel: number, ready: number): void;
  /** The CE took the head of an input queue. */
  taken(pe: number, queue: number): void;
  /** The CE turned a switch of its router. */
  switched(pe: number): void;
}

export interface Ces {
  readonly ring: WakeRing;
  readonly busy: Int32Array;
  /** First cycle after everything that CEs did so far. */
  readonly end: number;
  /** Let one CE do what it can in this cycle; the number of things done. */
  visit(pe: number): number;
  /** Read what visits of the next of a list will read first, so that memory is asked for all of it at once. */
  fetch(list: Int32Array, from: number, to: number): void;
}

/** Cycles that a CE may be ahead of the others: a loop that never ends must not keep the engine from ending it. */
const horizon = 1024;

export function createCes(
  m: MachineState,
  timing: Timing,
  { observer, stepByStep }: EngineOptions,
  counts: Counts,
  fabric: FabricSide,
): Ces {
  const goesAhead = stepByStep !== true && (observer === undefined || observer.anyOrder === true);
  /** `flow` does a wavelet at once. */
  const flows = stepByStep !== true && observer === undefined && timing.fp16Lanes >= 2;
  const { pes, roleOf, queueFirst, outputFirst, outputChannel } = m.resolved;
  const { ramp: rampCycles, vectorStartup, taskStart } = timing;
  const threads = m.threads;
  const ring = createWakeRing(pes);
  const wake = ring.wake;
  const nextThread = new Uint8Array(pes);
  const freeAt = new Int32Array(pes);
  const mainReady = new Int32Array(pes);
  const threadReady = new Int32Array(pes * threads);
  const busy = new Int32Array(pes);
  const timeOf = createVectorTimes(m, timing);
  const blockAt = createTimedBlocks(m, timing);
  /** What went wrong on PEs that were ahead, to be told when the others are there too. */
  const failures = new Map<number, unknown>();
  let end = 0;
  let fetched = 0;

  for (let pe = 0; pe < pes; pe++) if (roleOf[pe] >= 0) wake(pe, 0);

  function visit(pe: number): number {
    const now = m.now;
    if (freeAt[pe] > now) {
      wake(pe, freeAt[pe]);
      return 0;
    }
    if (failures.size > 0 && failures.has(pe)) throw failures.get(pe);
    if (threads === 1) {
      const v = m.vector[pe];
      if (v !== undefined && flows && v.flows) return goOn(pe, v);
    }
    let started = 0;
    if (isMainIdle(m, pe) && mainReady[pe] <= now) {
      const how = startTask(m, pe);
      if (how !== startedNone) {
        started = 1;
        counts.tasks++;
        mainReady[pe] = now + taskStart;
        if (now + taskStart > end) end = now + taskStart;
        wake(pe, now + Math.max(taskStart, 1));
        observer?.started(pe, how);
        if (how >= 0) {
          fabric.taken(pe, how);
          // Taking the wavelet is this CE's action of the cycle.
          wake(pe, now + 1);
          return started;
        }
      }
    }
    if (goesAhead && m.pc[pe] >= 0) {
      const v = m.vector[pe * threads];
      if ((v === undefined || v.perWavelet === 0) && isAlone(m, pe) && runAhead(pe)) return started + 1;
    }
    let next = nextThread[pe] < threads ? nextThread[pe] : 0;
    for (let n = 0; n < threads; n++) {
      const thread = next;
      next = next + 1 === threads ? 0 : next + 1;
      const cycles = advance(pe, thread);
      if (cycles === 0) continue;
      nextThread[pe] = next;
      freeAt[pe] = now + cycles;
      busy[pe] += cycles;
      if (now + cycles > end) end = now + cycles;
      wake(pe, now + cycles);
      return started + 1;
    }
    // Nothing to execute now: come back when a start-up ends; the fabric wakes the rest.
    for (let t = pe * threads; t < (pe + 1) * threads; t++)
      if (m.vector[t] !== undefined && threadReady[t] > now) wake(pe, threadReady[t]);
    if (mainReady[pe] > now) wake(pe, mainReady[pe]);
    return started;
  }

  /** A CE without microthreads, in the middle of an instruction that flows: nothing else can happen there. */
  function goOn(pe: number, v: VectorCode): number {
    const now = m.now;
    if (threadReady[pe] > now) {
      wake(pe, threadReady[pe]);
      return 0;
    }
    const cycles = flowOnce(pe, 0, v);
    if (cycles === 0) return 0;
    freeAt[pe] = now + cycles;
    busy[pe] += cycles;
    if (now + cycles > end) end = now + cycles;
    wake(pe, now + cycles);
    return 1;
  }

  /** A step of an instruction that flows; its cycles, 0 when it has to wait. */
  function flowOnce(pe: number, thread: number, v: VectorCode): number {
    const t = pe * threads + thread;
    const left = m.total[t] - m.done[t];
    const cycles = stepCycles(m, pe, v, m.done[t], left < v.perWavelet ? left : v.perWavelet, timing);
    const outReady = m.now + cycles + rampCycles;
    if (flow(m, pe, thread, v, outReady) === 0) return 0;
    counts.vectorSteps++;
    if (v.takes >= 0) fabric.taken(pe, queueFirst[pe] + v.takes);
    if (v.dst.kind === operandFabricOut) fabric.sent(pe, outputChannel[outputFirst[pe] + v.dst.queue], outReady);
    return cycles;
  }

  /** Do what the main thread of an undisturbed CE does next on its own; false when it has to wait now. */
  function runAhead(pe: number): boolean {
    const now = m.now;
    const t = pe * threads;
    const until = now + horizon;
    let at = now;
    try {
      while (at < until) {
        const v = m.vector[t];
        const block = v === undefined && observer === undefined ? blockAt(pe) : undefined;
        if (block !== undefined) {
          const begin = Math.max(at, mainReady[pe]);
          runBlock(m, pe, block);
          counts.instructions += block.code.length;
          counts.vectorSteps += block.steps;
          busy[pe] += block.busy;
          at = begin + block.cycles;
          continue;
        }
        if (v === undefined ? !canRunAlone(m, pe) : v.perWavelet > 0 || v.hasFifo) break;
        m.now = Math.max(at, v === undefined ? mainReady[pe] : threadReady[t]);
        const cycles = v === undefined ? advance(pe, 0) : finishVector(pe, v);
        busy[pe] += cycles;
        at = m.now + cycles;
      }
    } catch (error) {
      if (m.now === now) throw error;
      failures.set(pe, error);
      at = m.now;
    }
    m.now = now;
    if (at === now) return false;
    nextThread[pe] = 1;
    freeAt[pe] = at;
    if (at > end) end = at;
    wake(pe, m.vector[t] === undefined ? at : Math.max(at, threadReady[t]));
    return true;
  }

  /** All remaining steps of the main thread's vector instruction, which works in memory only; their cycles. */
  function finishVector(pe: number, v: VectorCode): number {
    const { cycles, steps } = timeOf(pe, v);
    observer?.stepping(pe, 0, v);
    runVector(m, pe, v);
    observer?.stepped(pe, 0, v, cycles);
    counts.vectorSteps += steps;
    return cycles;
  }

  /** One instruction or vector step of a thread; its cycles, 0 when it has to wait. */
  function advance(pe: number, thread: number): number {
    const now = m.now;
    const t = pe * threads + thread;
    const v = m.vector[t];
    if (v === undefined) {
      if (thread !== 0 || !canIssue(m, pe) || mainReady[pe] > now) return 0;
      const code = issue(m, pe);
      if (code === undefined) return 0;
      counts.instructions++;
      const cycles = issueCycles(code, timing);
      observer?.issued(pe, code.kind === 'vector' ? code : undefined, cycles);
      if (code.kind === 'vector') threadReady[pe * threads + code.thread] = now + vectorStartup;
      if (code.kind === 'switch') fabric.switched(pe);
      return cycles;
    }
    if (threadReady[t] > now) return 0;
    if (flows && v.flows) return flowOnce(pe, thread, v);
    const count = canStep(m, pe, thread, v, lanesOf(timing, v));
    if (count === 0) return 0;
    const cycles = stepCycles(m, pe, v, m.done[t], count, timing);
    const outReady = now + cycles + rampCycles;
    observer?.stepping(pe, thread, v);
    step(m, pe, thread, v, count, outReady);
    observer?.stepped(pe, thread, v, cycles);
    counts.vectorSteps++;
    if (v.perWavelet > 0) {
      if (v.a.kind === operandFabricIn) fabric.taken(pe, queueFirst[pe] + v.a.queue);
      if (v.b.kind === operandFabricIn) fabric.taken(pe, queueFirst[pe] + v.b.queue);
      if (v.c.kind === operandFabricIn) fabric.taken(pe, queueFirst[pe] + v.c.queue);
      if (v.dst.kind === operandFabricOut) fabric.sent(pe, outputChannel[outputFirst[pe] + v.dst.queue], outReady);
    }
    return cycles;
  }

  function fetch(list: Int32Array, from: number, to: number): void {
    for (let i = from; i < to; i++) {
      const pe = list[i];
      const v = m.vector[pe * threads];
      if (v === undefined || !v.flows) continue;
      const { takes, held, dst } = v;
      if (takes >= 0) fetched ^= m.fifo[(queueFirst[pe] + takes) * m.record];
      if (dst.kind === operandFabricOut) fetched ^= m.fifo[outputChannel[outputFirst[pe] + dst.queue] * m.record];
      if (held.kind === operandMemory) fetched ^= m.u16[(m.memoryFirst[pe] + held.address) >> 1];
    }
  }

  return {
    fetch,
    ring,
    busy,
    get end() {
      return end;
    },
    visit,
  };
}

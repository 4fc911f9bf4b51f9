// The plain timed engine, the definition of timing: five-port routers with one FIFO per input and color,
// and CEs that execute one instruction or one vector step a cycle. It decides when a rule of wafer/machine
// is applied; what the rule does is not here.
//
// Within a cycle every router looks, then every CE; no decision reads what another decided in that cycle
// (see state.ts), so the order among PEs is free. `order` lets a test shuffle it.
//
// A CE whose main thread works on its own registers and SRAM, with no microthread begun, can be disturbed by
// nothing: tasks start only when the main thread is idle, and wavelets wait in queues. Its instructions are
// then done ahead of the other PEs, each with `now` set to its own cycle, up to the next one that touches the
// fabric (`runAhead`). `stepByStep` leaves that out; a law says that nothing differs.

import {
  contended,
  canIssue,
  canRunAlone,
  canStep,
  cannotMove,
  forward,
  isMainIdle,
  isAlone,
  hasMadeRoom,
  holdsMore,
  madeRoom,
  ports,
  wasControl,
  turnSwitches,
  issue,
  runVector,
  headReadyAt,
  operandFabricIn,
  operandFabricOut,
  startTask,
  startedNone,
  step,
} from '../../wafer/machine/index.ts';
import type { MachineState, VectorCode } from '../../wafer/machine/index.ts';
import type { Observer } from './observer.ts';
import { createVectorTimes, issueCycles, lanesOf, stepCycles } from './timing.ts';
import type { Timing } from './timing.ts';
import { createWakeRing } from './wake.ts';

/** What the engine counts as it goes. */
export interface Counts {
  /** Link traversals between routers. */
  hops: number;
  /** Crossings from a router into a CE. */
  delivered: number;
  /** Instructions issued and vector steps done, over all CEs. */
  instructions: number;
  vectorSteps: number;
  tasks: number;
  /** Times that a wavelet lost its link to another color, in cycles. */
  contended: number;
}

export interface Engine {
  /** The cycle last executed; -1 before the first. */
  readonly cycle: number;
  /** First cycle after everything that was done so far. */
  readonly end: number;
  readonly counts: Counts;
  /** Cycles in which each CE executed something. */
  readonly busy: Int32Array;
  /** Wavelets that left each router over links. */
  readonly load: Int32Array;
  /** Execute the next cycle in which anything can happen; the number of things done. Call while `scheduled`. */
  tick(): number;
  /** Something may still happen. When false, all is done or deadlocked. */
  readonly scheduled: boolean;
}

/** Sums of periods are rounded; less than this many cycles is nothing. */
const sliver = 1e-6;

/** Cycles that a CE may be ahead of the others: a loop that never ends must not keep the engine from ending it. */
const horizon = 1024;

export interface EngineOptions {
  readonly order?: Order | undefined;
  readonly observer?: Observer | undefined;
  /** Never do a CE's work ahead of the others. Slower, the same cycles, counts and values. */
  readonly stepByStep?: boolean | undefined;
}

/** Called for every list of PEs of a cycle before it is worked through; may reorder it. */
export type Order = (pes: Int32Array) => void;

export function createEngine(m: MachineState, timing: Timing, options: EngineOptions = {}): Engine {
  const { order, observer } = options;
  const goesAhead = options.stepByStep !== true && (observer === undefined || observer.anyOrder === true);
  const { pes, width, channelFirst, channelPort, channels, roleOf, queueFirst } = m.resolved;
  const { hop, ramp: rampCycles, linkPeriod, vectorStartup, taskStart } = timing;
  const threads = m.threads;
  const routers = createWakeRing(pes);
  const ces = createWakeRing(pes);
  const wakeRouter = routers.wake;
  const wakeCe = ces.wake;
  /** Channel with first choice, relative to the PE's first. */
  const favoured = new Uint8Array(pes);
  /** When each link has carried its last wavelet; only for links slower than one a cycle. */
  const linkFree = linkPeriod > 1 ? new Float64Array(4 * pes) : undefined;
  const nextThread = new Uint8Array(pes);
  const freeAt = new Int32Array(pes);
  const mainReady = new Int32Array(pes);
  const threadReady = new Int32Array(pes * threads);
  const busy = new Int32Array(pes);
  const load = new Int32Array(pes);
  const beyond = [-width, 1, width, -1];
  const counts: Counts = { hops: 0, delivered: 0, instructions: 0, vectorSteps: 0, tasks: 0, contended: 0 };
  const timeOf = createVectorTimes(m, timing);
  /** What went wrong on PEs that were ahead, to be told when the others are there too. */
  const failures = new Map<number, unknown>();
  let cycle = -1;
  let end = 0;

  for (let pe = 0; pe < pes; pe++) if (roleOf[pe] >= 0) wakeCe(pe, 0);

  /** A FIFO is no longer full: whoever writes it may go on in the next cycle. */
  function mayWrite(fifo: number, pe: number): void {
    if (fifo >= channels) wakeRouter(pe, m.now + 1);
    else if (channelPort[fifo] === 4) wakeCe(pe, m.now + 1);
    else wakeRouter(pe + beyond[channelPort[fifo]], m.now + 1);
  }

  /** The CE took a wavelet. */
  function taken(queue: number, pe: number): void {
    if (hasMadeRoom(m, queue)) mayWrite(queue, pe);
  }

  /** Links that cannot begin another wavelet within this cycle. */
  function takenLinks(free: Float64Array, pe: number, now: number): number {
    let mask = 0;
    for (let port = 0; port < 4; port++) if (free[4 * pe + port] > now + 1 - sliver) mask |= 1 << port;
    return mask;
  }

  function occupy(free: Float64Array, pe: number, links: number, now: number): void {
    for (let port = 0; port < 4; port++)
      if ((links >>> port) & 1) free[4 * pe + port] = Math.max(free[4 * pe + port], now) + linkPeriod;
  }

  function visitRouter(pe: number): number {
    const first = channelFirst[pe];
    const inputs = channelFirst[pe + 1] - first;
    const now = m.now;
    let used = linkFree === undefined ? 0 : takenLinks(linkFree, pe, now);
    let denied = -1;
    let done = 0;
    let next = favoured[pe];
    for (let n = 0; n < inputs; n++) {
      const channel = first + next;
      const self = next;
      next = next + 1 === inputs ? 0 : next + 1;
      const out = forward(m, channel, used, now + hop, now + rampCycles);
      if (out === cannotMove) {
        const ready = headReadyAt(m, channel);
        if (ready > now) wakeRouter(pe, ready);
        continue;
      }
      if (out === contended) {
        counts.contended++;
        if (denied < 0) denied = self;
        continue;
      }
      done++;
      const links = out & ports;
      used |= links;
      observer?.moved(channel, links);
      for (let rest = links & 15; rest !== 0; rest &= rest - 1) {
        wakeRouter(pe + beyond[31 - Math.clz32(rest & -rest)], now + hop);
        counts.hops++;
        load[pe]++;
      }
      if (linkFree !== undefined) occupy(linkFree, pe, links, now);
      if (links >= 16) {
        wakeCe(pe, now + rampCycles);
        counts.delivered++;
      }
      if ((out & madeRoom) !== 0) mayWrite(channel, pe);
      // More to send, or a switch that may open for another input of the color.
      if ((out & (holdsMore | wasControl)) !== 0) wakeRouter(pe, now + 1);
    }
    if (denied >= 0) {
      // The first that lost goes first in the next cycle: two take turns, and nobody starves.
      favoured[pe] = denied;
      wakeRouter(pe, now + 1);
    }
    return done;
  }

  function visitCe(pe: number): number {
    const now = m.now;
    if (freeAt[pe] > now) {
      wakeCe(pe, freeAt[pe]);
      return 0;
    }
    if (failures.size > 0 && failures.has(pe)) throw failures.get(pe);
    let started = 0;
    if (isMainIdle(m, pe) && mainReady[pe] <= now) {
      const how = startTask(m, pe);
      if (how !== startedNone) {
        started = 1;
        counts.tasks++;
        mainReady[pe] = now + taskStart;
        if (now + taskStart > end) end = now + taskStart;
        wakeCe(pe, now + Math.max(taskStart, 1));
        observer?.started(pe, how);
        if (how >= 0) {
          taken(how, pe);
          // Taking the wavelet is this CE's action of the cycle.
          wakeCe(pe, now + 1);
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
      wakeCe(pe, now + cycles);
      return started + 1;
    }
    // Nothing to execute now: come back when a start-up ends; the fabric wakes the rest.
    for (let t = pe * threads; t < (pe + 1) * threads; t++)
      if (m.vector[t] !== undefined && threadReady[t] > now) wakeCe(pe, threadReady[t]);
    if (mainReady[pe] > now) wakeCe(pe, mainReady[pe]);
    return started;
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
    wakeCe(pe, m.vector[t] === undefined ? at : Math.max(at, threadReady[t]));
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
      if (code.kind === 'switch') wakeRouter(pe, now + 1);
      return cycles;
    }
    if (threadReady[t] > now) return 0;
    const count = canStep(m, pe, thread, v, lanesOf(timing, v));
    if (count === 0) return 0;
    const cycles = stepCycles(m, pe, v, m.done[t], count, timing);
    const outReady = now + cycles + rampCycles;
    observer?.stepping(pe, thread, v);
    step(m, pe, thread, v, count, outReady);
    observer?.stepped(pe, thread, v, cycles);
    counts.vectorSteps++;
    if (v.perWavelet > 0) {
      if (v.a.kind === operandFabricIn) taken(queueFirst[pe] + v.a.queue, pe);
      if (v.b.kind === operandFabricIn) taken(queueFirst[pe] + v.b.queue, pe);
      if (v.c.kind === operandFabricIn) taken(queueFirst[pe] + v.c.queue, pe);
      if (v.dst.kind === operandFabricOut) wakeRouter(pe, outReady);
    }
    return cycles;
  }

  return {
    get cycle() {
      return cycle;
    },
    get end() {
      return end;
    },
    counts,
    busy,
    load,
    get scheduled() {
      return routers.pending() + ces.pending() > 0;
    },
    tick() {
      for (let at = cycle + 1; routers.pending() + ces.pending() > 0; at++) {
        const routersDue = routers.take(at);
        const cesDue = ces.take(at);
        if (routersDue + cesDue === 0) continue;
        cycle = at;
        m.now = at;
        const routerList = routers.taken();
        const ceList = ces.taken();
        order?.(routerList.subarray(0, routersDue));
        order?.(ceList.subarray(0, cesDue));
        let progress = 0;
        for (let i = 0; i < routersDue; i++) {
          const pe = routerList[i];
          progress += visitRouter(pe);
        }
        if (progress > 0 && at + 1 > end) end = at + 1;
        for (let i = 0; i < cesDue; i++) {
          const pe = ceList[i];
          progress += visitCe(pe);
        }
        turnSwitches(m);
        return progress;
      }
      return 0;
    },
  };
}

// The engine of streams. A CE that executes one thing at a time does the same in the same order whatever the
// others do, and all that the fabric does to it is to set the cycle in which a wavelet is there and the one in which
// there is room. So there is no clock here: each CE goes on as long as these cycles are known, a whole vector
// operation at once, and waits for others to make more of them known. Rules of wavelets: pipes.ts, trees.ts.
//
// That holds while no two colors want one output of a router in one cycle, which is looked at when the run is over:
// where they do, the run is given up, and another engine makes it.

import {
  advance,
  apply,
  flowThrough,
  issue,
  operandFabricIn,
  operandFabricOut,
  peName,
  runBlock,
  runVector,
  startTask,
  startedNone,
} from '../../../wafer/machine/index.ts';
import type { MachineState, ResolvedProgram, VectorCode } from '../../../wafer/machine/index.ts';
import { IngotError } from '../../../core/index.ts';
import { createTimedBlocks, createVectorTimes, depthsOf, issueCycles, lanesOf, stepCycles } from '../timing.ts';
import type { Timing } from '../timing.ts';
import { Refusal, createCounts, type Engine, type EngineKind } from './engine.ts';
import { unknown } from './pipes.ts';
import { createStreamFabric } from './stream-fabric.ts';
import { turnedColors } from './wire-map.ts';

/** Instructions and vector operations that a CE does at once; then others have their turn, so that a run can be ended. */
const patience = 4096;
/** CEs that one tick lets go on. */
const turns = 4096;

export const streams: EngineKind = {
  id: 'streams',
  about: 'whole vector operations at once, for CEs that do one thing at a time and routes that stay',
  certain: false,
  usesFifos: false,
  refuses: (resolved, timing, { observer, order, stepByStep }) =>
    observer !== undefined || order !== undefined || stepByStep === true
      ? 'it has no clock, so nothing can be watched (trace, heat map, critical path) or shuffled'
      : timing.linkPeriod > 1
        ? 'links of this wafer carry less than one wavelet a cycle'
        : (refusesRoutes(resolved) ?? refusesCode(resolved)),
  create: createStreams,
};

function refusesRoutes(resolved: ResolvedProgram): string | undefined {
  const { program } = resolved;
  const turned = turnedColors(resolved);
  for (const { color, positions, filter } of program.routes) {
    if (positions.length > 1 || (turned >>> color) & 1) return `color ${color} is switched`;
    if (filter !== undefined) return `color ${color} is filtered`;
    if (positions[0].rx.length > 1) return `color ${color} has several inputs at a router`;
  }
  return undefined;
}

function refusesCode({ roles }: ResolvedProgram): string | undefined {
  for (const { name, tasks, code, fifos } of roles) {
    const task = tasks.find(({ kind }) => kind !== 'local');
    if (task !== undefined) return `role "${name}" has a task that wavelets start, "${task.name}"`;
    if (fifos > 0) return `role "${name}" has a FIFO in memory`;
    // Told before memory is taken, as every run would come to it.
    if (code.some((each, i) => each.kind === 'vector' && each.thread > 0 && code[i + 1].kind !== 'end'))
      return `role "${name}" executes instructions beside a vector instruction`;
    for (const each of code)
      if (each.kind === 'vector') {
        const queues = [each.a, each.b, each.c]
          .filter(({ kind }) => kind === operandFabricIn)
          .map(({ queue }) => queue);
        if (new Set(queues).size < queues.length) return `role "${name}" takes one color twice in an instruction`;
      }
  }
  return undefined;
}

function createStreams(m: MachineState, timing: Timing): Engine {
  const { pes, width, roleOf, queueFirst, outputFirst, channels, roles } = m.resolved;
  const { ramp: rampCycles, vectorStartup, taskStart } = timing;
  const threads = m.threads;
  const counts = createCounts();
  const busy = new Int32Array(pes);
  const links = new Int32Array(4 * pes);
  /** When the CE's last action is over. */
  const freeAt = new Int32Array(pes);
  const mainReady = new Int32Array(pes);
  const threadReady = new Int32Array(pes * threads);
  const timeOf = createVectorTimes(m, timing);
  const blockAt = createTimedBlocks(m, timing);
  const microthreads = roles.map((role) => role.threads > 1);
  /** CEs that may go on, the one woken last first: what it needs is at hand. */
  const stack = new Int32Array(pes);
  const isListed = new Uint8Array(pes);
  let height = 0;
  let end = 0;
  /** `flowThrough` does a wavelet at once. */
  const flowsWhole = timing.fp16Lanes >= 2;

  const wake = (pe: number): void => {
    if (isListed[pe] !== 0) return;
    isListed[pe] = 1;
    stack[height++] = pe;
  };
  const fabric = createStreamFabric(m.resolved, depthsOf(timing), timing, wake);
  for (let pe = 0; pe < pes; pe++) if (roleOf[pe] >= 0) wake(pe);

  const took = (pe: number, at: number, cycles: number): void => {
    freeAt[pe] = at + cycles;
    busy[pe] += cycles;
    if (at + cycles > end) end = at + cycles;
  };

  const refuse = (pe: number, reason: string): never => {
    throw new Refusal(`${peName(pe, width)} ${reason}`);
  };

  /** The microthread that has begun something, or 0. */
  function microthread(pe: number): number {
    let found = 0;
    for (let thread = 1; thread < threads; thread++) {
      if (m.vector[pe * threads + thread] === undefined) continue;
      if (found > 0) refuse(pe, 'executes two vector instructions beside one another');
      found = thread;
    }
    return found;
  }

  /** Let one CE go on until it waits or has ended. */
  function run(pe: number): void {
    const main = pe * threads;
    const hasMicrothreads = microthreads[roleOf[pe]];
    for (let n = 0; n < patience; n++) {
      const thread = hasMicrothreads ? microthread(pe) : 0;
      if (m.pc[pe] < 0) {
        if (thread > 0) {
          if ((m.pending[pe] & ~m.blocked[pe]) !== 0) refuse(pe, 'starts a task beside a vector instruction');
          if (!stream(pe, thread, m.vector[main + thread] as VectorCode)) return;
          continue;
        }
        m.now = Math.max(freeAt[pe], mainReady[pe]);
        if (startTask(m, pe) === startedNone) return;
        counts.tasks++;
        mainReady[pe] = m.now + taskStart;
        if (mainReady[pe] > end) end = mainReady[pe];
        continue;
      }
      if (thread > 0) refuse(pe, 'executes instructions beside a vector instruction');
      const v = m.vector[main];
      const block = v === undefined ? blockAt(pe) : undefined;
      if (block !== undefined) {
        const begin = Math.max(freeAt[pe], mainReady[pe]);
        runBlock(m, pe, block);
        counts.instructions += block.code.length;
        counts.vectorSteps += block.steps;
        busy[pe] += block.busy;
        freeAt[pe] = begin + block.cycles;
        if (freeAt[pe] > end) end = freeAt[pe];
      } else if (v === undefined) {
        m.now = Math.max(freeAt[pe], mainReady[pe]);
        const code = issue(m, pe);
        if (code === undefined) return;
        counts.instructions++;
        if (code.kind === 'vector') threadReady[main + code.thread] = m.now + vectorStartup;
        took(pe, m.now, issueCycles(code, timing));
      } else if (v.perWavelet > 0) {
        if (!stream(pe, 0, v)) return;
      } else {
        m.now = Math.max(freeAt[pe], threadReady[main]);
        const { cycles, steps } = timeOf(pe, v);
        runVector(m, pe, v);
        counts.vectorSteps += steps;
        took(pe, m.now, cycles);
      }
    }
    wake(pe);
  }

  /** A vector instruction on the fabric, as far as its wavelets are known; whether it came to its end. */
  function stream(pe: number, thread: number, v: VectorCode): boolean {
    const t = pe * threads + thread;
    const queues = queueFirst[pe] - channels;
    const inA = v.a.kind === operandFabricIn ? queues + v.a.queue : -1;
    const inB = v.b.kind === operandFabricIn ? queues + v.b.queue : -1;
    const inC = v.c.kind === operandFabricIn ? queues + v.c.queue : -1;
    const out = v.dst.kind === operandFabricOut ? outputFirst[pe] + v.dst.queue : -1;
    const lanes = Math.min(lanesOf(timing, v), v.perWavelet);
    const first = freeAt[pe] > threadReady[t] ? freeAt[pe] : threadReady[t];
    const isQuick = v.memoryReads === 0 || (v.memoryReads === 1 && (lanes === 1 || v.sideBySide));
    let at = first;
    let worked = 0;
    const total = m.total[t];
    const begun = m.done[t];
    let done = begun;
    while (done < total) {
      let begin = at;
      if (out >= 0) {
        const room = fabric.room(out);
        if (room === unknown) break;
        if (room > begin) begin = room;
      }
      if (inA >= 0) {
        const there = fabric.arrival(inA);
        if (there === unknown) break;
        if (there > begin) begin = there;
      }
      if (inB >= 0) {
        const there = fabric.arrival(inB);
        if (there === unknown) break;
        if (there > begin) begin = there;
      }
      if (inC >= 0) {
        const there = fabric.arrival(inC);
        if (there === unknown) break;
        if (there > begin) begin = there;
      }
      const left = total - done;
      const count = left < lanes ? left : lanes;
      const cycles = isQuick ? 1 : stepCycles(m, pe, v, done, count, timing);
      const a = inA >= 0 ? fabric.take(inA, begin) : 0;
      const b = inB >= 0 ? fabric.take(inB, begin) : 0;
      const c = inC >= 0 ? fabric.take(inC, begin) : 0;
      // One that flows takes from one queue at most.
      const bits =
        flowsWhole && v.flows ? flowThrough(m, pe, v, done, count, a | b) : apply(m, pe, v, done, count, a, b, c);
      at = begin + cycles;
      if (out >= 0) fabric.put(out, bits, at + rampCycles);
      worked += cycles;
      counts.vectorSteps++;
      done += count;
    }
    if (done === begun) return false;
    freeAt[pe] = at;
    busy[pe] += worked;
    if (at > end) end = at;
    return advance(m, pe, thread, v, done - begun);
  }

  return {
    // As with a clock, the last cycle in which somebody looks is the one after the last action.
    get cycle() {
      return end;
    },
    get end() {
      return end;
    },
    counts,
    busy,
    links,
    get scheduled() {
      return height > 0;
    },
    tick() {
      let turn = 0;
      try {
        for (; turn < turns && height > 0; turn++) {
          const pe = stack[--height];
          isListed[pe] = 0;
          run(pe);
        }
      } catch (error) {
        // Which of several faults comes first, only an engine with a clock can tell.
        if (error instanceof IngotError) throw new Refusal(`it fails: ${error.message}`);
        throw error;
      }
      return turn;
    },
    finish() {
      for (let pe = 0; pe < pes; pe++)
        if (roleOf[pe] >= 0 && (m.pc[pe] >= 0 || m.pending[pe] !== 0 || microthread(pe) > 0))
          refuse(pe, 'waits for what never comes, or for others that wait for one another');
      fabric.finish(counts, links);
    },
  };
}

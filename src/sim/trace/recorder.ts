// What happened on some PEs, and when: tasks, vector instructions, and how full their links were.

import { dtypeCode, isMainIdle, opCode, operandNone, pesOf, vectorOf } from '../../wafer/machine/index.ts';
import type { MachineState, Operand, PeSet, TaskCode, VectorCode } from '../../wafer/machine/index.ts';
import type { Observer, Timing } from '../cycle/index.ts';

/** A viewer opens some hundred MB; an event takes about 120 B of JSON. */
export const MAX_TRACE_EVENTS = 1_000_000;

/** Cycles over which the load of a link is averaged. */
export const LINK_WINDOW = 32;

export interface RecorderOptions {
  readonly region: PeSet;
  /** Also record the load of the links that leave these PEs. */
  readonly links?: boolean;
  /** Default `MAX_TRACE_EVENTS`. */
  readonly maxEvents?: number;
}

/** A task or a vector instruction of the program; events point to it. */
export interface TraceName {
  readonly name: string;
  readonly category: 'task' | 'vector';
  /** Vector instructions: destination and sources. */
  readonly operands?: string;
}

export interface TraceEvent {
  /** PE as y * width + x. */
  readonly pe: number;
  /** 0 is the main thread, t + 1 microthread t. */
  readonly thread: number;
  readonly start: number;
  readonly cycles: number;
  readonly what: TraceName;
  readonly elements: number;
}

/** Wavelets per cycle that left a PE by each port (N, E, S, W), over `LINK_WINDOW` cycles from `start` on. */
export interface LinkSample {
  readonly pe: number;
  readonly start: number;
  readonly loads: readonly [number, number, number, number];
}

export interface Recorder extends Observer {
  /** Events that are over, in order of start; of two with one start the longer first. */
  events(): Iterable<TraceEvent>;
  /** In order of start. */
  samples(): Iterable<LinkSample>;
  readonly size: number;
  /** Cycle at which the limit was reached: all that ended earlier is recorded. */
  readonly cutAt: number | undefined;
}

// A conversion is a mov between two types: the code does not tell them apart.
const opNames = new Map<number, string>(
  Object.entries(opCode).flatMap(([name, code]) => (name === 'convert' ? [] : [[code, name]])),
);
const dtypeNames = new Map<number, string>(Object.entries(dtypeCode).map(([name, code]) => [code, name]));

export function createRecorder(m: MachineState, timing: Timing, options: RecorderOptions): Recorder {
  const { pes, width, roles, roleOf, fifoPe } = m.resolved;
  const { region, links = false, maxEvents = MAX_TRACE_EVENTS } = options;
  const traced = new Uint8Array(pes);
  for (const pe of pesOf(region, width)) traced[pe] = 1;

  const fields = 6;
  let log = new Int32Array(fields * 4096);
  let events = 0;
  const samples: LinkSample[] = [];
  let cutAt: number | undefined;
  const names: TraceName[] = [];
  const numberOf = new Map<TaskCode | VectorCode, number>();
  /** By PE * threads + thread: start of its vector instruction. By PE: start of its task. */
  const vectorStart = new Int32Array(pes * m.threads);
  const taskStart = new Int32Array(pes).fill(-1);
  const window = links ? new Int32Array(pes).fill(-1) : new Int32Array(0);
  const taken = new Int32Array(links ? pes * 4 : 0);

  const hasRoom = (): boolean => {
    if (events + samples.length < maxEvents) return true;
    cutAt ??= m.now;
    return false;
  };
  const record = (pe: number, thread: number, start: number, end: number, name: number, elements: number): void => {
    if (!hasRoom()) return;
    if ((events + 1) * fields > log.length) {
      const longer = new Int32Array(log.length * 2);
      longer.set(log);
      log = longer;
    }
    log.set([start, end - start, pe, thread, name, elements], events * fields);
    events++;
  };
  const named = (code: TaskCode | VectorCode, describe: () => TraceName): number => {
    let number = numberOf.get(code);
    if (number === undefined) {
      number = names.push(describe()) - 1;
      numberOf.set(code, number);
    }
    return number;
  };
  const endTask = (pe: number, end: number): void => {
    if (taskStart[pe] < 0 || !isMainIdle(m, pe)) return;
    const task = roles[roleOf[pe]].tasks[m.lastTask[pe]];
    const name = named(task, () => ({ name: `task ${task.name}`, category: 'task' }));
    record(pe, 0, taskStart[pe], end, name, 0);
    taskStart[pe] = -1;
  };
  /** The window that ended, and the emptiness behind it. */
  const sample = (pe: number, next: number): void => {
    const ended = window[pe];
    if (ended >= 0 && hasRoom()) {
      const load = (port: number): number => taken[4 * pe + port] / LINK_WINDOW;
      samples.push({ pe, start: ended * LINK_WINDOW, loads: [load(0), load(1), load(2), load(3)] });
      if (next > ended + 1 && hasRoom()) samples.push({ pe, start: (ended + 1) * LINK_WINDOW, loads: [0, 0, 0, 0] });
    }
    taken.fill(0, 4 * pe, 4 * pe + 4);
    window[pe] = next;
  };

  return {
    moved(channel, out) {
      const pe = fifoPe[channel];
      if (!links || traced[pe] === 0) return;
      const now = Math.floor(m.now / LINK_WINDOW);
      if (now !== window[pe]) sample(pe, now);
      for (let port = 0; port < 4; port++) taken[4 * pe + port] += (out >>> port) & 1;
    },
    started(pe) {
      if (traced[pe] === 0) return;
      taskStart[pe] = m.now;
      endTask(pe, m.now + timing.taskStart);
    },
    issued(pe, begun, cycles) {
      if (traced[pe] === 0) return;
      if (begun !== undefined) vectorStart[pe * m.threads + begun.thread] = m.now;
      endTask(pe, m.now + cycles);
    },
    stepping() {},
    stepped(pe, thread, v, cycles) {
      if (traced[pe] === 0) return;
      const t = pe * m.threads + thread;
      if (vectorOf(m, pe, thread) === undefined)
        record(
          pe,
          thread,
          vectorStart[t],
          m.now + cycles,
          named(v, () => vectorName(v)),
          m.total[t],
        );
      endTask(pe, m.now + cycles);
    },
    *events() {
      const order = Uint32Array.from({ length: events }, (_, i) => i * fields).sort(
        (a, b) => log[a] - log[b] || log[b + 1] - log[a + 1] || log[a + 2] - log[b + 2] || a - b,
      );
      for (const at of order) {
        const [start, cycles, pe, thread, name, elements] = log.subarray(at, at + fields);
        yield { pe, thread, start, cycles, what: names[name], elements };
      }
    },
    samples() {
      for (let pe = 0; pe < window.length; pe++) if (window[pe] >= 0) sample(pe, Infinity);
      return samples.sort((a, b) => a.start - b.start || a.pe - b.pe);
    },
    get size() {
      return events + samples.length;
    },
    get cutAt() {
      return cutAt;
    },
  };
}

function vectorName(v: VectorCode): TraceName {
  const text = (o: Operand): string => (o.name === '' ? 'scalar' : o.name);
  const sources = [v.a, v.b, v.c].filter((o) => o.kind !== operandNone).map(text);
  return {
    name:
      v.op === opCode.convert && v.a.dtype !== v.dtype
        ? `convert ${dtypeNames.get(v.a.dtype)} to ${dtypeNames.get(v.dtype)}`
        : `${opNames.get(v.op)} ${dtypeNames.get(v.dtype)}`,
    category: 'vector',
    operands: `${text(v.dst)} <- ${sources.join(', ')}`,
  };
}

// Run a PE-level program on a wafer to its last cycle.

import { IngotError, cycles, fail, type Cycles } from '../../core/index.ts';
import type { Wafer } from '../../spec/index.ts';
import { createState, findDeadlock, loadImages, readObject, resolveProgram } from '../../wafer/machine/index.ts';
import type {
  MachineProgram,
  MachineState,
  MemoryImage,
  MemoryReader,
  ResolvedProgram,
} from '../../wafer/machine/index.ts';
import { createCriticalPath, type Breakdown, type CriticalPath } from './critical-path.ts';
import { Refusal, engines, refused } from './engine/index.ts';
import type { Counts, Engine, EngineKind, EngineOptions, Order } from './engine/index.ts';
import { together, type Observer } from './observer.ts';
import { depthsOf, timingOf, type Timing } from './timing.ts';

/** An engine by its id, or the fastest that takes the program. */
export type EngineChoice = 'auto' | (typeof engines)[number]['id'];

export interface SimulateOptions {
  /** Iterated once by each engine that is begun; that is more than one only where it can be iterated again. */
  readonly inputs?: Iterable<MemoryImage>;
  /** Default `auto`. */
  readonly engine?: EngineChoice;
  /** Give up after this many cycles. Default 10^9. */
  readonly maxCycles?: number;
  /** Called about every `progressEvery` cycles (default 10,000) with the current one. */
  readonly onProgress?: (cycle: number) => void;
  readonly progressEvery?: number;
  /** Reorder the PEs visited in a cycle; results never depend on it. */
  readonly order?: Order;
  /** Never do a CE's work ahead of the others: the plain schedule, with the same results. */
  readonly stepByStep?: boolean;
  /** Follow the critical path (costs time and memory; the plain engine). */
  readonly explain?: boolean;
  /** Watches the run; given the machine before its first cycle. */
  readonly observe?: (m: MachineState) => readonly Observer[];
}

export interface Simulation extends MemoryReader {
  /** Id of the engine that ran. */
  readonly engine: string;
  /** From the first task's activation to the end of the last action. */
  readonly cycles: Cycles;
  readonly counts: Readonly<Counts>;
  /** Where the cycles went, when asked to explain. */
  readonly breakdown?: Breakdown;
  /** Per PE, row by row: cycles in which its CE executed. */
  readonly busy: Int32Array;
  /** Per PE, row by row: wavelets that its router sent to neighbours. */
  readonly load: Int32Array;
  /** Wavelets that left PE p by port d (N, E, S, W), at 4 p + d: cycles in which the link was taken. */
  readonly links: Int32Array;
}

/**
 * @throws IngotError as `verify` finds, DEADLOCK (naming PEs and colors) when nothing can move before all is
 *   done, RUN_TOO_LONG, WAFER_TIMING, ENGINE_REFUSED when the engine asked for does not take the program,
 *   ENGINE_UNKNOWN
 */
export function simulate(program: MachineProgram, wafer: Wafer, options: SimulateOptions = {}): Simulation {
  const timing = timingOf(wafer);
  const choice = options.engine ?? 'auto';
  const wanted = choice === 'auto' ? engines : engines.filter(({ id }) => id === choice);
  if (wanted.length === 0)
    fail({
      code: 'ENGINE_UNKNOWN',
      message: `no engine is named "${choice}"`,
      expected: ['auto', ...engines.map(({ id }) => id)].join(', '),
    });
  const resolved = resolveProgram(program, wafer);
  const inputs: unknown = options.inputs?.[Symbol.iterator]();
  const isRepeatable = inputs === undefined || inputs !== options.inputs;
  let reason = '';
  let machine: Machine | undefined;
  for (const kind of wanted) {
    if (choice === 'auto' && !kind.certain && !isRepeatable) continue;
    // What can be told from the program alone is told before memory is taken.
    const early = kind.refuses(resolved, timing, { ...engineOptions(options), observer: someObserver(options) });
    if (early !== undefined) {
      reason = early;
      continue;
    }
    if (machine === undefined || machine.hasFifos !== kind.usesFifos)
      machine = createMachine(resolved, timing, kind.usesFifos, options);
    const late = kind.refuses(resolved, timing, { ...engineOptions(options), observer: machine.observer });
    if (late !== undefined) {
      reason = late;
      continue;
    }
    const run = runOn(kind, machine, timing, options);
    if (typeof run !== 'string') return run;
    reason = run;
    machine = undefined;
  }
  throw new IngotError(refused(choice, reason));
}

/** A machine before its first cycle, and who watches it. */
interface Machine {
  readonly m: MachineState;
  readonly hasFifos: boolean;
  readonly path: CriticalPath | undefined;
  readonly observer: Observer | undefined;
}

function createMachine(
  resolved: ResolvedProgram,
  timing: Timing,
  hasFifos: boolean,
  { explain, observe }: SimulateOptions,
): Machine {
  const m = createState(resolved, hasFifos ? depthsOf(timing) : undefined);
  const path = explain === true ? createCriticalPath(m, timing) : undefined;
  const observer = together([...(path === undefined ? [] : [path]), ...(observe?.(m) ?? [])]);
  return { m, hasFifos, path, observer };
}

/** The run, or why this engine gave it up. */
function runOn(kind: EngineKind, machine: Machine, timing: Timing, options: SimulateOptions): Simulation | string {
  const { m, path, observer } = machine;
  loadImages(m, options.inputs ?? []);
  const engine = kind.create(m, timing, { ...engineOptions(options), observer });
  try {
    drive(engine, options);
    engine.finish?.();
  } catch (error) {
    if (error instanceof Refusal) return error.message;
    throw error;
  }
  const deadlock = kind.usesFifos ? findDeadlock(m) : undefined;
  if (deadlock !== undefined) throw new IngotError(deadlock);
  const { links, busy } = engine;
  return {
    engine: kind.id,
    cycles: cycles(engine.end),
    counts: engine.counts,
    ...(path === undefined ? {} : { breakdown: path.breakdown(engine.end) }),
    busy,
    load: busy.map((_, pe) => links[4 * pe] + links[4 * pe + 1] + links[4 * pe + 2] + links[4 * pe + 3]),
    links,
    read: (x, y, object) => readObject(m, y * m.resolved.width + x, object),
  };
}

const engineOptions = ({ order, stepByStep }: SimulateOptions): EngineOptions => ({ order, stepByStep });

/** Stands for the watchers that a machine will have: the critical path watches every move. */
const someObserver = ({ explain, observe }: SimulateOptions): Observer | undefined =>
  explain !== true && observe === undefined
    ? undefined
    : { started() {}, issued() {}, stepping() {}, stepped() {}, ...(explain === true && { moved() {} }) };

function drive(engine: Engine, options: SimulateOptions): void {
  const maxCycles = options.maxCycles ?? 1e9;
  const every = options.progressEvery ?? 10_000;
  let reported = 0;
  while (engine.scheduled) {
    engine.tick();
    if (engine.cycle > maxCycles)
      fail({ code: 'RUN_TOO_LONG', message: `still running after ${maxCycles} cycles`, suggestion: 'raise maxCycles' });
    if (options.onProgress !== undefined && engine.cycle - reported >= every) {
      reported = engine.cycle;
      options.onProgress(engine.cycle);
    }
  }
}

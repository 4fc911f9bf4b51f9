// Run a PE-level program on a wafer to its last cycle.

import { IngotError, cycles, fail } from '../../core/index.ts';
import type { Cycles } from '../../core/index.ts';
import type { Wafer } from '../../spec/index.ts';
import { createState, findDeadlock, loadImages, readObject, resolveProgram } from '../../wafer/machine/index.ts';
import type { MachineProgram, MachineState, MemoryImage, MemoryReader } from '../../wafer/machine/index.ts';
import { createCriticalPath } from './critical-path.ts';
import type { Breakdown } from './critical-path.ts';
import { createEngine } from './engine.ts';
import type { Counts, Order } from './engine.ts';
import { together } from './observer.ts';
import type { Observer } from './observer.ts';
import { depthsOf, timingOf } from './timing.ts';

export interface SimulateOptions {
  readonly inputs?: Iterable<MemoryImage>;
  /** Give up after this many cycles. Default 10^9. */
  readonly maxCycles?: number;
  /** Called about every `progressEvery` cycles (default 10,000) with the current one. */
  readonly onProgress?: (cycle: number) => void;
  readonly progressEvery?: number;
  /** Reorder the PEs visited in a cycle; results never depend on it. */
  readonly order?: Order;
  /** Never do a CE's work ahead of the others: the plain schedule, with the same results. */
  readonly stepByStep?: boolean;
  /** Follow the critical path (costs time and memory). */
  readonly explain?: boolean;
  /** Watches the run; given the machine before its first cycle. */
  readonly observe?: (m: MachineState) => readonly Observer[];
}

export interface Simulation extends MemoryReader {
  /** From the first task's activation to the end of the last action. */
  readonly cycles: Cycles;
  readonly counts: Readonly<Counts>;
  /** Where the cycles went, when asked to explain. */
  readonly breakdown?: Breakdown;
  /** Per PE, row by row: cycles in which its CE executed. */
  readonly busy: Int32Array;
  /** Per PE, row by row: wavelets that its router sent to neighbours. */
  readonly load: Int32Array;
}

/**
 * @throws IngotError as `verify` finds, DEADLOCK (naming PEs and colors) when nothing can move before all is
 *   done, RUN_TOO_LONG, WAFER_TIMING
 */
export function simulate(program: MachineProgram, wafer: Wafer, options: SimulateOptions = {}): Simulation {
  const timing = timingOf(wafer);
  const m = createState(resolveProgram(program, wafer), depthsOf(timing));
  loadImages(m, options.inputs ?? []);
  const path = options.explain === true ? createCriticalPath(m, timing) : undefined;
  const watchers = [...(path === undefined ? [] : [path]), ...(options.observe?.(m) ?? [])];
  const engine = createEngine(m, timing, {
    order: options.order,
    observer: together(watchers),
    stepByStep: options.stepByStep,
  });
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
  const deadlock = findDeadlock(m);
  if (deadlock !== undefined) throw new IngotError(deadlock);
  return {
    cycles: cycles(engine.end),
    counts: engine.counts,
    ...(path === undefined ? {} : { breakdown: path.breakdown(engine.end) }),
    busy: engine.busy,
    load: engine.load,
    read: (x, y, object) => readObject(m, y * m.resolved.width + x, object),
  };
}

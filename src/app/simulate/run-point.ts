// One point, from its numbers to a report; on whatever thread calls it.

import { closeSync, openSync, writeFileSync } from 'node:fs';

import { fail, formatCount } from '../../core/index.ts';
import { findWafer, resolveWafer, type Wafer } from '../../spec/index.ts';
import {
  chromeTrace,
  createActivity,
  createRecorder,
  priceSequence,
  simulate,
  timingOf,
  type Activity,
  type Recorder,
  type Simulation,
} from '../../sim/index.ts';
import { sramOf, type MachineProgram } from '../../wafer/machine/index.ts';
import type { PerPe, Point, PointOutcome, PointReport, Wanted } from './point.ts';
import { publishedMatches } from './published.ts';
import { findTarget, type Prepared, type Target } from './target.ts';

/** Between two calls for progress, about: PEs times cycles. */
const PROGRESS_WORK = 200_000;

export interface Hooks {
  /** Before the first cycle: the cycles of the closed form. */
  readonly begun?: (expectedCycles: number) => void;
  readonly at?: (cycle: number) => void;
}

/**
 * @throws IngotError KERNEL_UNKNOWN, WAFER_UNKNOWN, what `lower` and `simulate` refuse (verify,
 *   DEADLOCK), TRACE_UNWRITABLE
 */
export function runPoint(point: Point, wanted: Wanted, hooks: Hooks = {}): PointOutcome {
  const target = findTarget(point.kernel);
  const wafer = resolveWafer(findWafer(point.wafer));
  // A file that cannot be written is told before the work, not after.
  const file = wanted.trace === undefined ? undefined : openTrace(wanted.trace.file);
  try {
    const started = performance.now();
    const prepared = target.prepare(point, wafer);
    const closedForm = priceSequence(prepared.phases, wafer);
    hooks.begun?.(closedForm);
    const { run, activity, recorder } = simulatePrepared(prepared, wafer, wanted, hooks);
    const wallSeconds = (performance.now() - started) / 1000;
    const trace =
      file === undefined || recorder === undefined || wanted.trace === undefined
        ? undefined
        : { file: wanted.trace.file, ...writeTrace(file, recorder, point) };
    const report: PointReport = {
      ...facts(target, point, wafer, prepared.program),
      chosen: prepared.chosen,
      cycles: run.cycles,
      closedForm,
      published: publishedMatches(point, run.cycles),
      breakdown: run.breakdown,
      counts: run.counts,
      utilisation: utilisationOf(run),
      values: prepared.check(run),
      engine: run.engine,
      wallSeconds,
      trace,
    };
    return { report, ...(activity === undefined ? {} : { perPe: perPeOf(run, activity) }) };
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

function simulatePrepared(prepared: Prepared, wafer: Wafer, { engine, breakdown, perPe, trace }: Wanted, hooks: Hooks) {
  const timing = timingOf(wafer);
  let activity: Activity | undefined;
  let recorder: Recorder | undefined;
  const pes = prepared.program.width * prepared.program.height;
  const run = simulate(prepared.program, wafer, {
    // A new pass over the inputs for every engine that is begun.
    inputs: { [Symbol.iterator]: () => prepared.inputs()[Symbol.iterator]() },
    engine,
    explain: breakdown,
    ...((perPe || trace !== undefined) && {
      observe: (m) => {
        if (perPe) activity = createActivity(m, timing);
        if (trace !== undefined) recorder = createRecorder(m, timing, trace);
        return [activity, recorder].filter((watcher) => watcher !== undefined);
      },
    }),
    onProgress: hooks.at,
    progressEvery: Math.max(1, Math.round(PROGRESS_WORK / pes)),
  });
  return { run, activity: activity as Activity | undefined, recorder: recorder as Recorder | undefined };
}

function facts(target: Target, point: Point, wafer: Wafer, program: MachineProgram) {
  const { width, height, type, seed, sizes, reduce, algorithm, switches } = point;
  const { hop, ramp, vectorStartup, taskStart } = wafer;
  const fullest = Object.values(program.roles)
    .map((role) => sramOf(role, wafer.id))
    .reduce((most, sram) => (sram.objects + sram.code > most.objects + most.code ? sram : most), {
      objects: 0,
      code: 0,
    });
  return {
    kernel: target.id,
    about: target.about,
    standing: 'simulated',
    wafer: { id: wafer.id, name: wafer.name },
    mesh: { width, height },
    pes: width * height,
    type,
    sizes,
    reduce,
    algorithm,
    switches,
    seed,
    colors: {
      used: new Set(program.routes.map((rule) => rule.color)).size,
      usable: wafer.colors - wafer.reservedColors,
    },
    sram: { ...fullest, capacity: wafer.sramPerPe },
    constants: { hop, ramp, vectorStartup, taskStart },
  } as const;
}

const most = (values: Int32Array): number => values.reduce((largest, n) => Math.max(largest, n), 0);

function utilisationOf({ cycles, busy, counts, links }: Simulation): PointReport['utilisation'] {
  const share = (n: number, of: number): number => (n === 0 ? 0 : n / of);
  const linksUsed = links.reduce((n, wavelets) => n + (wavelets > 0 ? 1 : 0), 0);
  return {
    ce: share(
      busy.reduce((sum, n) => sum + n, 0),
      busy.length * cycles,
    ),
    busiestCe: share(most(busy), cycles),
    link: share(counts.hops, linksUsed * cycles),
    fullestLink: share(most(links), cycles),
    linksUsed,
  };
}

function perPeOf({ busy, links }: Simulation, { held }: Activity): PerPe {
  return {
    busy,
    stalled: held.map((cycles, pe) => cycles - busy[pe]),
    link: busy.map((_, pe) => most(links.subarray(4 * pe, 4 * pe + 4))),
  };
}

function openTrace(file: string): number {
  try {
    return openSync(file, 'w');
  } catch (error) {
    return fail({
      code: 'TRACE_UNWRITABLE',
      message: 'the trace cannot be written',
      where: file,
      found: (error as NodeJS.ErrnoException).code ?? String(error),
      suggestion: 'choose a file in a folder that exists',
    });
  }
}

/** Text is written in pieces of about this many characters. */
const PIECE = 1 << 16;

function writeTrace(file: number, recorder: Recorder, point: Point): { events: number; cutAt?: number } {
  const title = `${point.kernel} on ${point.width} x ${point.height} PEs of ${point.wafer}, ${formatCount(recorder.size)} events`;
  let text = '';
  for (const part of chromeTrace(recorder, { title, width: point.width })) {
    text += part;
    if (text.length < PIECE) continue;
    writeFileSync(file, text);
    text = '';
  }
  writeFileSync(file, text);
  return { events: recorder.size, cutAt: recorder.cutAt };
}

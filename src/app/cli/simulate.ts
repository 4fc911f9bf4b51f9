import { existsSync, rmSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { extname } from 'node:path';

import { Option } from 'commander';

import { formatCount, formatSi } from '../../core/index.ts';
import { MAX_TRACE_EVENTS, engines } from '../../sim/index.ts';
import { wafers } from '../../spec/index.ts';
import type { VectorType } from '../../wafer/index.ts';
import type { Point, PointReport, Wanted } from '../simulate/point.ts';
import { simulatePoints } from '../simulate/simulate-points.ts';
import { targets } from '../simulate/target.ts';
import { addExamples, choiceOption, jsonOption, meshOption, printJson, UsageError, wholeOption } from './command.ts';
import type { CliCommand, Mesh } from './command.ts';
import type { Io } from './io.ts';
import { pictureFile, writePicture } from './picture-file.ts';
import { createProgress } from './progress.ts';
import { drawHeatMap, paintHeatMap } from './report/heat-map.ts';
import { renderSimulation, renderSweep, renderTargets } from './report/simulation-text.ts';
import {
  MAX_POINTS,
  parseRegion,
  parseSweep,
  pointsOf,
  regionOn,
  type Region,
  type Sweep,
} from './simulation-options.ts';

interface SimulateOptions {
  readonly list?: boolean;
  readonly mesh: Mesh;
  readonly reduce?: string;
  readonly algorithm?: string;
  readonly type: VectorType;
  readonly wafer: string;
  readonly seed: number;
  readonly breakdown: boolean;
  readonly engine: string;
  readonly trace?: string;
  readonly tracePes?: Region;
  readonly traceLinks?: boolean;
  readonly heatmap?: string;
  readonly sweep?: readonly Sweep[];
  readonly json?: boolean;
}

/** More tracks than this are hard to read; the person may ask for more. */
const TRACED_PES = 64;
/** Shorter simulations show no progress. */
const QUIET_MS = 1000;
const INTERRUPTED = 130;

/** Sizes that targets take. */
const sizeOptions = {
  words: 'collectives: values that each PE contributes',
  group: 'PEs per group, where there are groups',
  m: 'gemm: rows',
  k: 'gemv, gemm: length that is summed over; top-k: how many',
  n: 'length of the outcome of kernels',
  heads: 'attention, decode-layer: heads',
  'kv-heads': 'decode-layer: heads of keys and values',
  'head-dim': 'attention, decode-layer: width of a head',
  cached: 'attention: positions in the cache',
  hidden: 'decode-layer: width of the model',
  ffn: 'decode-layer: width of the MLP',
  context: 'decode-layer: positions of the sequence',
  window: 'decode-layer: positions seen at most',
  experts: 'decode-layer: experts in place of the MLP',
  'active-experts': 'decode-layer: experts that the token passes',
};
const largest = (size: string): number => Math.max(...Object.values(targets).map(({ sizes }) => sizes[size]?.max ?? 0));

export const simulate: CliCommand<SimulateOptions> = {
  declare(command) {
    command
      .description(
        'Run a collective or a kernel on the mesh cycle by cycle, values included: cycles beside the closed form, where ' +
          'they went, what was used, and whether the values are right.',
      )
      .argument('[kernel]', 'what to run: a name from --list')
      .option('--list', 'list collectives and kernels with the sizes that they take')
      .addOption(meshOption('--mesh <WxH>', 'PEs').default({ width: 16, height: 16 }, '16x16'));
    for (const [size, about] of Object.entries(sizeOptions))
      command.addOption(wholeOption(`--${size} <N>`, about, 1, largest(size)));
    command
      .option('--append', 'decode-layer: the token enters the cache, balanced by shifts')
      .option('--gelu', 'glu, decode-layer: GELU (tanh form) instead of SiLU')
      .option('--head-norms', 'decode-layer: queries and keys normed head by head, as in Qwen3')
      .option('--softcap', 'decode-layer: scores have a soft cap, as in Gemma 2')
      .option('--sinks', 'decode-layer: heads have sinks, as in gpt-oss')
      .option('--reduce <collective>', 'kernels: what sums over PEs, see --list')
      .option('--algorithm <name>', 'reduce, all-reduce: by which algorithm, or auto for the cheapest, see --list')
      .addOption(choiceOption('--type <type>', 'of all values', ['fp16', 'fp32']).default('fp32', 'fp32'))
      .addOption(new Option('--wafer <id>', `wafer: ${Object.keys(wafers).join(', ')}`).default('wse2', 'wse2'))
      .addOption(wholeOption('--seed <N>', 'draw other input values', 0, 2 ** 32 - 1).default(1))
      .addOption(
        new Option(
          '--sweep <name=a,b,...>',
          `simulate every value of mesh, type, reduce, algorithm or a size, in parallel; may be given again, up to ${formatCount(MAX_POINTS)} points`,
        ).argParser((text: string, before: readonly Sweep[] | undefined) => [
          ...(before ?? []),
          parseSweep('--sweep', text),
        ]),
      )
      .addOption(
        new Option(
          '--trace <file>',
          'write a trace that Perfetto (ui.perfetto.dev) opens; 1 us in it is 1 cycle; ends after ' +
            `${formatCount(MAX_TRACE_EVENTS)} events`,
        ).conflicts('sweep'),
      )
      .addOption(
        new Option(
          '--trace-pes <region>',
          `PEs in the trace: the first N (beyond a row: whole rows), or WxH+X+Y (default: ${TRACED_PES})`,
        ).argParser((text) => parseRegion('--trace-pes', text)),
      )
      .option('--trace-links', 'add the load of the links to the trace')
      .addOption(
        new Option('--heatmap <file>', 'draw busy, stalled and link load of each PE: .svg, or .png without text')
          .argParser(pictureFile('a heat map', ['.svg', '.png']))
          .conflicts('sweep'),
      )
      .option('--no-breakdown', 'do not follow the critical path: up to twice as fast, and any engine may run')
      .addOption(
        choiceOption('--engine <id>', 'how cycles are found, with the same outcome; auto: the fastest that can', [
          'auto',
          ...engines.map(({ id }) => id),
        ]).default('auto', 'auto'),
      )
      .addOption(jsonOption());
    addExamples(command, [
      ['what can be run', 'ingot simulate --list'],
      ['a published measurement', 'ingot simulate chain --mesh 512x1 --words 4096'],
      ['the fastest way to sum over a mesh', 'ingot simulate all-reduce --mesh 32x32 --words 64'],
      ['look at it', 'ingot simulate gemv --mesh 32x32 --trace gemv.json --heatmap gemv.svg'],
      ['how it scales', 'ingot simulate two-level --sweep mesh=64x1,128x1,256x1'],
    ]);
  },

  async run(io, options, [kernel]) {
    if (options.list === true) {
      if (options.json === true) printJson(io, listDocument());
      else io.out(renderTargets(io.paint));
      return 0;
    }
    if (kernel === undefined)
      throw new UsageError({
        code: 'ARGUMENT_MISSING',
        message: 'ingot simulate needs the name of a collective or kernel',
        expected: `one of ${Object.keys(targets).join(', ')}`,
        suggestion: 'see ingot simulate --list',
      });
    const points = pointsOf(
      kernel,
      {
        ...options,
        sizes: Object.fromEntries(given<number>(options, Object.keys(sizeOptions))),
        switches: given<true>(options, switchNames).map(([name]) => name),
      },
      options.sweep ?? [],
    );
    const wanted = wantedOf(options);
    const outcomes = await simulateAll(io, points, wanted);
    if (outcomes === undefined) return INTERRUPTED;
    const reports = outcomes.map(({ report }) => report);
    const [{ report, perPe }] = outcomes;
    const { heatmap } = options;
    if (heatmap !== undefined && perPe !== undefined)
      writePicture(heatmap, extname(heatmap) === '.svg' ? drawHeatMap(report, perPe) : paintHeatMap(report, perPe));

    if (options.json === true) printJson(io, options.sweep === undefined ? report : { points: reports });
    else if (options.sweep === undefined) io.out(renderSimulation(report, io.paint));
    else
      io.out(
        renderSweep(
          reports,
          options.sweep.map(({ name }) => name).filter((name) => name !== 'mesh'),
        ),
      );
    tellFiles(io, options, report);
    if (wanted.breakdown && points.some(({ width, height }) => width * height >= MANY_PES))
      io.err('followed the critical path; without it (--no-breakdown) a faster engine does\n');
    return reports.every(({ values }) => values.correct === values.checked) ? 0 : 1;
  },
};

const listDocument = () => ({
  kernels: Object.values(targets).map(
    ({ id, kind, about, sizes, reduces = [], algorithms = [], switches = {}, types }) => ({
      id,
      kind,
      about,
      reduces,
      algorithms,
      switches,
      types,
      sizes: Object.fromEntries(
        Object.entries(sizes).map(([name, size]) => [name, { about: size.about, max: size.max }]),
      ),
    }),
  ),
});

/** Of options by name, those that were given. The command line writes `head-dim` what is here `headDim`. */
function given<T>(options: object, names: readonly string[]): [name: string, value: T][] {
  const values = options as Readonly<Record<string, T | undefined>>;
  return names.flatMap((name): [string, T][] => {
    const value = values[name.replace(/-[a-z]/g, ([, letter]) => letter.toUpperCase())];
    return value === undefined ? [] : [[name, value]];
  });
}

const switchNames = [...new Set(Object.values(targets).flatMap(({ switches = {} }) => Object.keys(switches)))];

function wantedOf({ engine, breakdown, heatmap, trace, tracePes, traceLinks, mesh }: SimulateOptions): Wanted {
  if (trace === undefined && (tracePes !== undefined || traceLinks === true))
    throw new UsageError({
      code: 'OPTION_UNUSED',
      message: 'nothing is traced',
      where: tracePes === undefined ? '--trace-links' : '--trace-pes',
      suggestion: 'say with --trace FILE where the trace is to be written',
    });
  return {
    engine,
    // Who asks for an engine that sees no single hops does without what follows them.
    breakdown: breakdown && (engine === 'auto' || engine === 'plain'),
    perPe: heatmap !== undefined,
    ...(trace === undefined
      ? {}
      : { trace: { file: trace, region: regionOn(tracePes ?? TRACED_PES, mesh), links: traceLinks === true } }),
  };
}

async function simulateAll(io: Io, points: readonly Point[], wanted: Wanted) {
  const started = performance.now();
  const signal = io.interrupt();
  let text = '';
  const progress = createProgress(io, 'simulating', { quietMs: QUIET_MS, text: () => text });
  try {
    return await simulatePoints(points, wanted, {
      threads: availableParallelism(),
      signal,
      onProgress: ({ done, cycles, share }) => {
        const perSecond = (cycles / (performance.now() - started)) * 1000;
        const of = points.length === 1 ? '' : `${done} of ${points.length} points, `;
        text = `simulating  ${of}cycle ${formatCount(cycles)}, ${perSecond < 1 ? perSecond.toFixed(2) : formatSi(perSecond, '').trim()} cycles/s`;
        progress.update(share, 1);
      },
    });
  } finally {
    progress.end();
    if (signal.aborted && wanted.trace !== undefined) removePart(wanted.trace.file);
  }
}

/** From here on it matters to a person that only the plain engine follows the critical path. */
const MANY_PES = 16_384;

/** Half a trace opens nowhere. Devices and pipes stay. */
function removePart(file: string): void {
  if (existsSync(file) && statSync(file).isFile()) rmSync(file);
}

function tellFiles(io: Io, { heatmap }: SimulateOptions, { trace }: PointReport): void {
  if (trace !== undefined) {
    io.err(`trace of ${formatCount(trace.events)} events written to ${trace.file}; open it at ui.perfetto.dev\n`);
    if (trace.cutAt !== undefined)
      io.err(
        `the trace ends in cycle ${formatCount(trace.cutAt)}, at the limit of ${formatCount(MAX_TRACE_EVENTS)} events; ` +
          `--trace-pes with fewer PEs reaches further\n`,
      );
  }
  if (heatmap !== undefined) io.err(`heat map written to ${heatmap}\n`);
}

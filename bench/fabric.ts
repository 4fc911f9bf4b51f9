// Speed and peak memory of the cycle engines: simulated link moves per second of CPU time, one core.
//
//   node bench/fabric.ts [--largest EDGE] [--rounds N] [--engines plain,routes,streams] [--save | --compare]
//
// Each point runs in a process of its own, so that its peak memory is its own, after half a second of runs in which code
// is compiled. Engines take turns within a round; medians over rounds. CPU time, as the machine may be
// shared. `set-up` is what comes before the first cycle (verify, routes, state, inputs), `run` all after it. --save writes
// fabric-baseline.json; --compare prints the change against it.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { formatCount, median, renderTable } from '../src/core/index.ts';
import { depthsOf, engines, timingOf } from '../src/sim/cycle/index.ts';
import { createState, loadImages, readObject, resolveProgram } from '../src/wafer/machine/index.ts';
import type { MachineProgram, MemoryImage } from '../src/wafer/machine/index.ts';
import { chain, snake, streams, wafer } from './fabric-programs.ts';

const { values: options } = parseArgs({
  options: {
    largest: { type: 'string', default: '948' },
    rounds: { type: 'string', default: '3' },
    engines: { type: 'string', default: engines.map(({ id }) => id).join(',') },
    save: { type: 'boolean', default: false },
    compare: { type: 'boolean', default: false },
    /** One point, in this process. */
    point: { type: 'string' },
  },
});
const baselineFile = resolve(import.meta.dirname, 'fabric-baseline.json');

interface Point {
  readonly pattern: 'streams' | 'chain' | 'snake';
  readonly engine: string;
  readonly width: number;
  readonly height: number;
  readonly words: number;
}

interface Outcome {
  readonly cycles: number;
  readonly hops: number;
  readonly moves: number;
  readonly setUp: number;
  readonly run: number;
  readonly wall: number;
  readonly peakBytes: number;
}

const programs = { streams, chain, snake };

/** One number per PE to add up; streams send a constant. */
function* inputsOf({ pattern, words }: Point, { width, height }: MachineProgram): Generator<MemoryImage> {
  if (pattern === 'streams') return;
  const values = new Float32Array(words).fill(1);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) yield { x, y, object: 'x', values };
}

function measure(point: Point): Outcome {
  const kind = engines.find(({ id }) => id === point.engine);
  if (kind === undefined) throw new Error(`no engine ${point.engine}`);
  const program = programs[point.pattern](point.width, point.height, point.words);
  const timing = timingOf(wafer);
  const started = performance.now();
  const cpu = process.cpuUsage();
  const resolved = resolveProgram(program, wafer);
  const refusal = kind.refuses(resolved, timing, {});
  if (refusal !== undefined) throw new Error(refusal);
  const m = createState(resolved, kind.usesFifos ? depthsOf(timing) : undefined);
  loadImages(m, inputsOf(point, program));
  const engine = kind.create(m, timing, {});
  const ready = process.cpuUsage(cpu);
  while (engine.scheduled) engine.tick();
  engine.finish?.();
  const all = process.cpuUsage(cpu);
  const wall = (performance.now() - started) / 1e3;
  check(point, (pe) => readObject(m, pe, 'x')[0]);
  const { hops, delivered, vectorSteps } = engine.counts;
  const setUp = (ready.user + ready.system) / 1e6;
  return {
    cycles: engine.end,
    hops,
    moves: hops + delivered + vectorSteps,
    setUp,
    run: (all.user + all.system) / 1e6 - setUp,
    wall,
    peakBytes: process.resourceUsage().maxRSS * 1024,
  };
}

/** A figure of a wrong run would be worth nothing. */
function check({ pattern, width, height }: Point, sumAt: (pe: number) => number): void {
  if (pattern === 'streams') return;
  const expected = pattern === 'chain' ? width : width * height;
  if (sumAt(0) !== expected) throw new Error(`${pattern} gave ${sumAt(0)}, not ${expected}`);
}

/** From this many PEs on, a smaller run is done before, to be compiled; below, the same one. */
const largeMesh = 512 * 512;
/** CPU seconds of runs before the one that counts. */
const warmUp = 0.5;

if (options.point !== undefined) {
  const point = JSON.parse(options.point) as Point;
  const first = point.width * point.height < largeMesh ? point : { ...point, width: 64, height: 64, words: 64 };
  for (let spent = 0; spent < warmUp; ) {
    const { setUp, run } = measure(first);
    spent += setUp + run;
  }
  process.stdout.write(JSON.stringify(measure(point)));
  process.exit(0);
}

const chosen = options.engines.split(',');
const edges = [8, 16, 32, 64, 128, 256, 512].filter((edge) => edge <= Number(options.largest));
const meshes = [
  ...edges.map((edge) => [edge, edge] as const),
  ...(Number(options.largest) >= 948 ? [[750, 994] as const, [948, 948] as const] : []),
];
const wordsFor = (pes: number): number => Math.max(64, Math.min(4000, Math.round(2_000_000 / pes)));
const points: Point[] = [
  ...(['streams', 'chain'] as const).flatMap((pattern) =>
    meshes.flatMap(([width, height]) =>
      chosen.map((engine) => ({ pattern, engine, width, height, words: wordsFor(width * height) })),
    ),
  ),
  // What a reduction of few values over the whole wafer takes.
  ...(Number(options.largest) >= 948 && chosen.includes('streams')
    ? (['chain', 'snake'] as const).map((pattern) => ({
        pattern,
        engine: 'streams',
        width: 750,
        height: 994,
        words: 8,
      }))
    : []),
];

const outcomes: Outcome[][] = points.map(() => []);
for (let round = 0; round < Number(options.rounds); round++)
  points.forEach((point, i) => {
    const text = execFileSync(process.execPath, [import.meta.filename, '--point', JSON.stringify(point)], {
      encoding: 'utf8',
      maxBuffer: 1 << 20,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    outcomes[i].push(JSON.parse(text) as Outcome);
    process.stderr.write(`\r${round * points.length + i + 1} of ${points.length * Number(options.rounds)}  `);
  });
process.stderr.write(`\nload of the machine at the end: ${loadavg()[0].toFixed(1)} on ${cpus().length} cores\n`);

interface Row extends Outcome {
  readonly point: Point;
  readonly name: string;
  readonly rate: number;
}
const rows = points.map((point, i): Row => {
  const of = (key: keyof Outcome): number => median(outcomes[i].map((outcome) => outcome[key]));
  const [hops, run] = [of('hops'), of('run')];
  return {
    point,
    name: `${point.pattern} ${point.width}x${point.height} of ${point.words} by ${point.engine}`,
    cycles: of('cycles'),
    hops,
    moves: of('moves'),
    setUp: of('setUp'),
    run,
    wall: of('wall'),
    peakBytes: of('peakBytes'),
    rate: hops / run / 1e6,
  };
});

interface Baseline {
  readonly machine: string;
  readonly node: string;
  /** M link moves a second. */
  readonly rows: Readonly<Record<string, number>>;
}
const baseline = existsSync(baselineFile) ? (JSON.parse(readFileSync(baselineFile, 'utf8')) as Baseline) : undefined;
const change = ({ name, rate }: Row): string => {
  const before = baseline?.rows[name];
  return before === undefined ? '' : `${rate >= before ? '+' : ''}${((rate / before - 1) * 100).toFixed(0)} %`;
};
process.stdout.write(
  `${renderTable<Row>(
    [
      { heading: 'pattern', text: ({ point }) => point.pattern },
      { heading: 'mesh', text: ({ point }) => `${point.width}x${point.height}`, align: 'right' },
      { heading: 'words', text: ({ point }) => formatCount(point.words), align: 'right' },
      { heading: 'engine', text: ({ point }) => point.engine },
      { heading: 'cycles', text: (r) => formatCount(r.cycles), align: 'right' },
      { heading: 'M hops', text: (r) => (r.hops / 1e6).toFixed(1), align: 'right' },
      { heading: 'set-up s', text: (r) => r.setUp.toFixed(2), align: 'right' },
      { heading: 'run s', text: (r) => r.run.toFixed(2), align: 'right' },
      { heading: 'wall s', text: (r) => r.wall.toFixed(2), align: 'right' },
      { heading: 'peak MB', text: (r) => (r.peakBytes / 1e6).toFixed(0), align: 'right' },
      { heading: 'M hops/s', text: (r) => r.rate.toFixed(1), align: 'right' },
      { heading: 'M moves, steps/s', text: (r) => (r.moves / r.run / 1e6).toFixed(1), align: 'right' },
      ...(options.compare ? [{ heading: 'change', text: change, align: 'right' as const }] : []),
    ],
    rows,
  )}\n`,
);
if (options.save) {
  const saved: Baseline = {
    machine: cpus()[0]?.model ?? 'unknown',
    node: process.version,
    rows: Object.fromEntries(rows.map(({ name, rate }) => [name, Number(rate.toPrecision(3))])),
  };
  writeFileSync(baselineFile, `${JSON.stringify(saved, undefined, 2)}\n`);
}

// CPU seconds and peak memory of one decode layer, simulated cycle by cycle from its inputs to its checked values: what
// `ingot simulate decode-layer --no-breakdown` does. Shapes are row D01's (10 channels and 10 positions a PE).
//
//   node bench/decode-layer.ts [--edges 100,200,420]
//
// Each point runs in a process of its own. CPU time, as the machine may be shared.

import { execFileSync } from 'node:child_process';
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { runPoint } from '../src/app/simulate/run-point.ts';
import { formatCount, renderTable } from '../src/core/index.ts';

const { values: options } = parseArgs({
  options: {
    edges: { type: 'string', default: '100,200' },
    /** One point, in this process. */
    point: { type: 'string' },
  },
});

interface Outcome {
  readonly edge: number;
  readonly cycles: number;
  readonly instructions: number;
  readonly hops: number;
  readonly cpu: number;
  readonly wall: number;
  readonly peakBytes: number;
}

function measure(edge: number): Outcome {
  const started = performance.now();
  const { report } = runPoint(
    {
      kernel: 'decode-layer',
      width: edge,
      height: edge,
      type: 'fp16',
      wafer: 'wse2',
      seed: 1,
      sizes: {
        hidden: 10 * edge,
        ffn: 35 * edge,
        context: 10 * edge,
        heads: 1,
        'kv-heads': 1,
        'head-dim': 10 * edge,
        // As published for 420 rows of PEs: 20 groups.
        group: Math.round(edge / 20),
      },
    },
    { engine: 'auto', breakdown: false, perPe: false },
  );
  const { values, counts, cycles } = report;
  if (values.correct !== values.checked) throw new Error(`${values.checked - values.correct} wrong values`);
  const { user, system } = process.cpuUsage();
  return {
    edge,
    cycles,
    instructions: counts.instructions,
    hops: counts.hops,
    cpu: (user + system) / 1e6,
    wall: (performance.now() - started) / 1e3,
    peakBytes: process.resourceUsage().maxRSS * 1024,
  };
}

if (options.point !== undefined) {
  process.stdout.write(JSON.stringify(measure(Number(options.point))));
  process.exit(0);
}
const rows = options.edges
  .split(',')
  .map((edge) =>
    JSON.parse(execFileSync(process.execPath, [import.meta.filename, '--point', edge], { encoding: 'utf8' })),
  );
process.stderr.write(`load of the machine at the end: ${loadavg()[0].toFixed(1)}\n`);
process.stdout.write(
  `${renderTable<Outcome>(
    [
      { heading: 'mesh', text: ({ edge }) => `${edge}x${edge}`, align: 'right' },
      { heading: 'cycles', text: ({ cycles }) => formatCount(cycles), align: 'right' },
      { heading: 'M instructions', text: ({ instructions }) => (instructions / 1e6).toFixed(1), align: 'right' },
      { heading: 'M hops', text: ({ hops }) => (hops / 1e6).toFixed(1), align: 'right' },
      { heading: 'CPU s', text: ({ cpu }) => cpu.toFixed(1), align: 'right' },
      { heading: 'wall s', text: ({ wall }) => wall.toFixed(1), align: 'right' },
      { heading: 'peak MB', text: ({ peakBytes }) => (peakBytes / 1e6).toFixed(0), align: 'right' },
    ],
    rows,
  )}\n`,
);

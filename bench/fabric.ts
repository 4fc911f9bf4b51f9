// Speed of the plain cycle engine: simulated link hops per second of CPU time on one core.
//   node bench/fabric.ts [largest mesh edge, default 256] [wafer]
// With `wafer`, also a chain reduce of 8 words on every row of the whole 750 x 994 program rectangle.
// Two patterns on square meshes. `streams`: every row sends eastwards and every column southwards across the
// whole mesh, so nearly all work is routers. `chain`: every row reduces to its first PE, so each hop also
// crosses two ramps and an add. CPU time, not wall time: the machine may be shared.
import { createRng, formatCount, renderTable } from '../src/core/index.ts';
import { findWafer, resolveWafer } from '../src/spec/index.ts';
import { simulate } from '../src/sim/cycle/index.ts';
import { collectives } from '../src/wafer/index.ts';
import type { MachineProgram, PeSet, Role } from '../src/wafer/machine/index.ts';

const wafer = resolveWafer(findWafer('wse2'));
const largest = Number(process.argv[2] ?? 256);

const end = (send: readonly number[], take: readonly number[], words: number): Role => ({
  memory: [],
  inputs: take.map((color, queue) => ({ queue, color })),
  outputs: send.map((color, queue) => ({ queue, color })),
  dsds: Object.fromEntries([
    ...send.map((color) => [`out${color}`, { kind: 'fabricOut', color, length: words }] as const),
    ...take.map((color) => [`in${color}`, { kind: 'fabricIn', color, length: words }] as const),
    ...take.map(
      (color) =>
        [`sum${color}`, { kind: 'memory', object: 'sum', extents: [words], strides: [0], offset: color }] as const,
    ),
  ]),
  tasks: [
    {
      name: 'main',
      kind: 'local',
      id: 8,
      code: [
        ...send.map(
          (color) =>
            ({
              kind: 'vector',
              op: 'mov',
              dtype: 'fp32',
              dst: `out${color}`,
              src: [1],
              async: { thread: color },
            }) as const,
        ),
        ...take.map(
          (color) =>
            ({
              kind: 'vector',
              op: 'add',
              dtype: 'fp32',
              dst: `sum${color}`,
              src: [`sum${color}`, `in${color}`],
              async: { thread: 2 + color },
            }) as const,
        ),
      ],
    },
  ],
  start: ['main'],
  ...(take.length > 0 ? { memory: [{ name: 'sum', dtype: 'fp32', length: 2, address: 0 }] as const } : {}),
});

/** Color 0 along rows, color 1 along columns. */
function streams(n: number, words: number): MachineProgram {
  const set = (x: number, y: number, width: number, height: number): PeSet => ({ x, y, width, height });
  const tile = (on: PeSet, role: string) => ({ on, role });
  return {
    format: 'ingot-machine',
    version: 1,
    target: wafer.id,
    width: n,
    height: n,
    routes: [
      { on: set(0, 0, 1, n), color: 0, positions: [{ rx: ['R'], tx: ['E'] }] },
      { on: set(1, 0, n - 2, n), color: 0, positions: [{ rx: ['W'], tx: ['E'] }] },
      { on: set(n - 1, 0, 1, n), color: 0, positions: [{ rx: ['W'], tx: ['R'] }] },
      { on: set(0, 0, n, 1), color: 1, positions: [{ rx: ['R'], tx: ['S'] }] },
      { on: set(0, 1, n, n - 2), color: 1, positions: [{ rx: ['N'], tx: ['S'] }] },
      { on: set(0, n - 1, n, 1), color: 1, positions: [{ rx: ['N'], tx: ['R'] }] },
    ],
    roles: {
      northWest: end([0, 1], [], words),
      north: end([1], [], words),
      west: end([0], [], words),
      northEast: end([1], [0], words),
      southWest: end([0], [1], words),
      east: end([], [0], words),
      south: end([], [1], words),
      southEast: end([], [0, 1], words),
    },
    tiles: [
      tile(set(0, 0, 1, 1), 'northWest'),
      tile(set(1, 0, n - 2, 1), 'north'),
      tile(set(n - 1, 0, 1, 1), 'northEast'),
      tile(set(0, 1, 1, n - 2), 'west'),
      tile(set(n - 1, 1, 1, n - 2), 'east'),
      tile(set(0, n - 1, 1, 1), 'southWest'),
      tile(set(1, n - 1, n - 2, 1), 'south'),
      tile(set(n - 1, n - 1, 1, 1), 'southEast'),
    ],
  };
}

/** The chain reduce of one row, on every row. */
function chain(n: number, words: number, rows = n): MachineProgram {
  const row = collectives['chain'].lower({ parts: n, values: words, type: 'fp32', group: n }, wafer).program;
  const down = <T extends { readonly on: PeSet }>(item: T): T => ({ ...item, on: { ...item.on, height: rows } });
  return { ...row, height: rows, routes: row.routes.map(down), tiles: row.tiles.map(down) };
}

interface Row {
  readonly pattern: string;
  readonly n: number;
  readonly height: number;
  readonly cycles: number;
  readonly hops: number;
  readonly moves: number;
  readonly seconds: number;
}

function measure(pattern: string, program: MachineProgram): Row {
  const before = process.cpuUsage();
  const run = simulate(program, wafer);
  const used = process.cpuUsage(before);
  const { hops, delivered, vectorSteps } = run.counts;
  const seconds = (used.user + used.system) / 1e6;
  return {
    pattern,
    n: program.width,
    height: program.height,
    cycles: run.cycles,
    hops,
    moves: hops + delivered + vectorSteps,
    seconds,
  };
}

const rows: Row[] = [];
// Warm-up: the first run also compiles.
measure('streams', streams(16, 2000));
measure('chain', chain(16, 2000));
const rng = createRng(1);
for (let n = 8; n <= largest; n *= 2) {
  const words = Math.max(64, Math.min(4000, Math.round(2_000_000 / (n * n))));
  const patterns = [() => measure('streams', streams(n, words)), () => measure('chain', chain(n, words))];
  if (rng.uniform() < 0.5) patterns.reverse();
  for (const run of patterns) rows.push(run());
}
if (process.argv[3] === 'wafer') rows.push(measure('chain', chain(wafer.programWidth, 8, wafer.programHeight)));
console.log(
  renderTable<Row>(
    [
      { heading: 'pattern', text: (r) => r.pattern },
      { heading: 'mesh', text: (r) => `${r.n}x${r.height}`, align: 'right' },
      { heading: 'cycles', text: (r) => formatCount(r.cycles), align: 'right' },
      { heading: 'hops', text: (r) => formatCount(r.hops), align: 'right' },
      { heading: 'CPU s', text: (r) => r.seconds.toFixed(2), align: 'right' },
      { heading: 'M hops/s', text: (r) => (r.hops / r.seconds / 1e6).toFixed(2), align: 'right' },
      { heading: 'M moves and steps/s', text: (r) => (r.moves / r.seconds / 1e6).toFixed(2), align: 'right' },
    ],
    rows.sort((a, b) => (a.pattern === b.pattern ? a.n - b.n : a.pattern < b.pattern ? -1 : 1)),
  ),
);

// What the benchmark of the fabric runs. `streams`: every row sends eastwards and every column southwards across the
// whole mesh, so nearly all work is routers. `chain`: every row reduces to its first PE, so each hop also crosses two
// ramps and an add. `snake`: one chain through every PE of the mesh.

import { findWafer, resolveWafer } from '../src/spec/index.ts';
import type { Wafer } from '../src/spec/index.ts';
import { collectives } from '../src/wafer/index.ts';
import type { MachineProgram, PeSet, Port, Role, RouteRule, Tile } from '../src/wafer/machine/index.ts';

/** Of a WSE-2, but programs may be of any size: 948 x 948 stands for all PEs that it has. */
export const wafer: Wafer = { ...resolveWafer(findWafer('wse2')), programWidth: 1024, programHeight: 1024 };

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
      // One after another, taking first: corners have two transfers.
      code: [
        ...take.map(
          (color) =>
            ({
              kind: 'vector',
              op: 'add',
              dtype: 'fp32',
              dst: `sum${color}`,
              src: [`sum${color}`, `in${color}`],
            }) as const,
        ),
        ...send.map((color) => ({ kind: 'vector', op: 'mov', dtype: 'fp32', dst: `out${color}`, src: [1] }) as const),
      ],
    },
  ],
  start: ['main'],
  ...(take.length > 0 ? { memory: [{ name: 'sum', dtype: 'fp32', length: 2, address: 0 }] as const } : {}),
});

/** Color 0 along rows, color 1 along columns. */
export function streams(n: number, height: number, words: number): MachineProgram {
  const set = (x: number, y: number, width: number, height: number): PeSet => ({ x, y, width, height });
  const tile = (on: PeSet, role: string) => ({ on, role });
  return {
    format: 'ingot-machine',
    version: 1,
    target: wafer.id,
    width: n,
    height,
    routes: [
      { on: set(0, 0, 1, height), color: 0, positions: [{ rx: ['R'], tx: ['E'] }] },
      { on: set(1, 0, n - 2, height), color: 0, positions: [{ rx: ['W'], tx: ['E'] }] },
      { on: set(n - 1, 0, 1, height), color: 0, positions: [{ rx: ['W'], tx: ['R'] }] },
      { on: set(0, 0, n, 1), color: 1, positions: [{ rx: ['R'], tx: ['S'] }] },
      { on: set(0, 1, n, height - 2), color: 1, positions: [{ rx: ['N'], tx: ['S'] }] },
      { on: set(0, height - 1, n, 1), color: 1, positions: [{ rx: ['N'], tx: ['R'] }] },
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
      tile(set(0, 1, 1, height - 2), 'west'),
      tile(set(n - 1, 1, 1, height - 2), 'east'),
      tile(set(0, height - 1, 1, 1), 'southWest'),
      tile(set(1, height - 1, n - 2, 1), 'south'),
      tile(set(n - 1, height - 1, 1, 1), 'southEast'),
    ],
  };
}

/** The chain reduce of one row, on every row. */
export function chain(n: number, rows: number, words: number): MachineProgram {
  const row = collectives['chain'].lower({ parts: n, values: words, type: 'fp32', group: n }, wafer).program;
  const down = <T extends { readonly on: PeSet }>(item: T): T => ({ ...item, on: { ...item.on, height: rows } });
  return { ...row, height: rows, routes: row.routes.map(down), tiles: row.tiles.map(down) };
}

/** Row by row from the first PE, every second row backwards; the sum ends in the first PE. Both sizes are even. */
export function snake(width: number, height: number, words: number): MachineProgram {
  // The chain's ends and its two kinds of inner PEs: color 1 leads away from odd positions, color 0 from even ones.
  const [root, odd, even, tail] = ['root', 'odd', 'even', 'tail'];
  const four = collectives['chain'].lower({ parts: 4, values: words, type: 'fp32', group: 4 }, wafer).program;
  const roles = Object.fromEntries(
    [root, odd, even, tail].map((name, x) => [
      name,
      four.roles[(four.tiles.find(({ on }) => covers(on, x)) as Tile).role],
    ]),
  );
  const routes: RouteRule[] = [];
  const tiles: Tile[] = [];
  const place = (on: PeSet, role: string, from: Port | undefined, to: Port | undefined): void => {
    const color = role === odd || role === tail ? 1 : 0;
    if (to !== undefined) routes.push({ on, color, positions: [{ rx: ['R'], tx: [to] }] });
    if (from !== undefined) routes.push({ on, color: 1 - color, positions: [{ rx: [from], tx: ['R'] }] });
    tiles.push({ on, role });
  };
  const rows = (x: number, y: number, count: number, step: number): PeSet => ({
    x,
    y,
    width: count,
    height: (y < 2 ? height : height - 2) / 2 - (y === 1 && x === 0 && count === 1 ? 1 : 0),
    stepX: step,
    stepY: 2,
  });
  const inner = (width - 2) / 2;
  place({ x: 0, y: 0, width: 1, height: 1 }, root, 'E', undefined);
  place(rows(0, 2, 1, 1), even, 'E', 'N');
  place(rows(1, 0, inner, 2), odd, 'E', 'W');
  place(rows(2, 0, inner, 2), even, 'E', 'W');
  place(rows(width - 1, 0, 1, 1), odd, 'S', 'W');
  place(rows(width - 1, 1, 1, 1), even, 'W', 'N');
  place(rows(1, 1, inner, 2), even, 'W', 'E');
  place(rows(2, 1, inner, 2), odd, 'W', 'E');
  place(rows(0, 1, 1, 1), odd, 'S', 'E');
  place({ x: 0, y: height - 1, width: 1, height: 1 }, tail, undefined, 'E');
  return { format: 'ingot-machine', version: 1, target: wafer.id, width, height, routes, roles, tiles };
}

const covers = ({ x, width, stepX = 1 }: PeSet, at: number): boolean =>
  at >= x && (at - x) % stepX === 0 && (at - x) / stepX < width;

// Small programs for tests: a role from what matters, and straight lines of PEs.
import type { Rng } from '../../../core/index.ts';
import { findWafer, resolveWafer } from '../../../spec/index.ts';
import type { MachineProgram, Queue, Role, RouteRule, Task } from '../../../wafer/machine/index.ts';
import type { Order } from '../engine/index.ts';

export const wse2 = resolveWafer(findWafer('wse2'));

export const role = (parts: Partial<Role>): Role => ({
  memory: [],
  inputs: [],
  outputs: [],
  dsds: {},
  tasks: [],
  start: [],
  ...parts,
});

export const queues = (...colors: number[]): Queue[] => colors.map((color, queue) => ({ queue, color }));

/** A local task `main`, started at once. */
export const main = (...code: Task['code']): Pick<Role, 'tasks' | 'start'> => ({
  tasks: [{ name: 'main', kind: 'local', id: 8, code }],
  start: ['main'],
});

export const machine = (
  width: number,
  height: number,
  routes: readonly RouteRule[],
  placed: readonly (readonly [x: number, y: number, role: Role])[],
): MachineProgram => ({
  format: 'ingot-machine',
  version: 1,
  target: 'wse2',
  width,
  height,
  routes,
  roles: Object.fromEntries(placed.map(([x, y, body]) => [`at ${x} ${y}`, body])),
  tiles: placed.map(([x, y]) => ({ on: { x, y, width: 1, height: 1 }, role: `at ${x} ${y}` })),
});

/** Routes of one color eastwards along row `y` from `from` to `to`. */
export const eastward = (color: number, from: number, to: number, y = 0): RouteRule[] => [
  { on: { x: from, y, width: 1, height: 1 }, color, positions: [{ rx: ['R'], tx: ['E'] }] },
  ...(to - from > 1
    ? [
        {
          on: { x: from + 1, y, width: to - from - 1, height: 1 },
          color,
          positions: [{ rx: ['W'], tx: ['E'] }],
        } as const,
      ]
    : []),
  { on: { x: to, y, width: 1, height: 1 }, color, positions: [{ rx: ['W'], tx: ['R'] }] },
];

/** An order of visiting PEs that differs in every cycle. */
export const shuffle =
  (rng: Rng): Order =>
  (pes) => {
    for (let i = pes.length - 1; i > 0; i--) {
      const j = rng.u32() % (i + 1);
      [pes[i], pes[j]] = [pes[j], pes[i]];
    }
  };

/** Sends `length` fp32 words of `x` on `color`, the main thread waiting. */
export const sender = (color: number, length: number): Role =>
  role({
    memory: [{ name: 'x', dtype: 'fp32', length, address: 0 }],
    outputs: queues(color),
    dsds: {
      x: { kind: 'memory', object: 'x', extents: [length] },
      out: { kind: 'fabricOut', color, length },
    },
    ...main({ kind: 'vector', op: 'mov', dtype: 'fp32', dst: 'out', src: ['x'] }),
  });

/** Takes `length` fp32 words of `color` into `y`. */
export const receiver = (color: number, length: number): Role =>
  role({
    memory: [{ name: 'y', dtype: 'fp32', length, address: 0 }],
    inputs: queues(color),
    dsds: {
      y: { kind: 'memory', object: 'y', extents: [length] },
      in: { kind: 'fabricIn', color, length },
    },
    ...main({ kind: 'vector', op: 'mov', dtype: 'fp32', dst: 'y', src: ['in'] }),
  });

// A ring laid on a line of PEs, and the routes by which every PE sends to its ring neighbour.

import type { Port, RouteRule } from '../machine/index.ts';
import type { Axis } from '../reduction.ts';

/**
 * INTERLEAVE (WaferLLM, OSDI'25, section 5): the ring 0, 2, 4, … 5, 3, 1 over positions of a line, in which no
 * neighbours are more than two hops apart.
 * @returns the position of each ring index
 */
export const interleave = (side: number): number[] =>
  Array.from({ length: side }, (_, index) => (2 * index < side ? 2 * index : 2 * (side - index) - 1));

/** How a PE passes on what it holds along one line. */
export interface Shift {
  readonly out: number;
  readonly in: number;
  readonly routes: readonly {
    readonly position: number;
    readonly color: number;
    readonly rx: Port;
    readonly tx: Port;
  }[];
}

/**
 * Every position sends to its ring predecessor. A message takes the lowest color that none on its way has.
 * @param firstColor the shift takes at most three colors from here on
 */
export function shiftsAlong(ring: readonly number[], ahead: Port, behind: Port, firstColor: number): Shift[] {
  const side = ring.length;
  const messages = ring
    .map((from, index) => ({ from, to: ring[(index + side - 1) % side] }))
    .sort((a, b) => Math.min(a.from, a.to) - Math.min(b.from, b.to));
  const out = Array.from({ length: side }, () => -1);
  const into = Array.from({ length: side }, () => -1);
  const taken = Array.from({ length: side }, () => new Set<number>());
  const routes: Shift['routes'][number][] = [];
  for (const { from, to } of messages) {
    const step = Math.sign(to - from);
    const way = Array.from({ length: Math.abs(to - from) + 1 }, (_, i) => from + i * step);
    let color = firstColor;
    while (way.some((position) => taken[position].has(color))) color++;
    const [on, back] = step > 0 ? [ahead, behind] : [behind, ahead];
    for (const position of way) {
      taken[position].add(color);
      routes.push({ position, color, rx: position === from ? 'R' : back, tx: position === to ? 'R' : on });
    }
    out[from] = color;
    into[to] = color;
  }
  return ring.map((_, position) => ({
    out: out[position],
    in: into[position],
    routes: routes.filter((route) => route.position === position),
  }));
}

/** The routes of a shift along `axis` on every line of a square mesh. */
export const shiftRoutes = (shifts: readonly Shift[], axis: Axis): RouteRule[] =>
  shifts.flatMap(({ routes }) =>
    routes.map(({ position, color, rx, tx }) => ({
      on:
        axis === 'x'
          ? { x: position, y: 0, width: 1, height: shifts.length }
          : { x: 0, y: position, width: shifts.length, height: 1 },
      color,
      positions: [{ rx: [rx], tx: [tx] }],
    })),
  );

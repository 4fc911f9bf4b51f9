// Lays the rules and roles of a program over its PEs: the first thing that verify and resolve both need.

import type { MachineProgram, PeSet, Port, RouteRule } from './pe-program.ts';

/** Ports as numbers: the neighbour across port p sees the link as port (p + 2) & 3. */
export const portNumber = { N: 0, E: 1, S: 2, W: 3, R: 4 } as const satisfies Record<Port, number>;
export const portNames: readonly Port[] = ['N', 'E', 'S', 'W', 'R'];
export const ramp = 4;
export const opposite = (port: number): number => (port + 2) & 3;

export const portMask = (ports: readonly Port[]): number =>
  ports.reduce((mask, port) => mask | (1 << portNumber[port]), 0);

/** Ports through which a rule lets wavelets leave in the other color of their pair. */
export const swapMask = ({ swap }: RouteRule): number =>
  (swap?.includes('x') ? portMask(['E', 'W']) : 0) | (swap?.includes('y') ? portMask(['N', 'S']) : 0);

/** "PE (x, y)". */
export const peName = (pe: number, width: number): string => `PE (${pe % width}, ${Math.floor(pe / width)})`;

/** Index of the neighbour across a port, or -1 past the edge of the mesh. */
export function neighbour(pe: number, port: number, width: number, height: number): number {
  const x = pe % width;
  switch (port) {
    case 0:
      return pe >= width ? pe - width : -1;
    case 1:
      return x < width - 1 ? pe + 1 : -1;
    case 2:
      return pe < width * (height - 1) ? pe + width : -1;
    default:
      return x > 0 ? pe - 1 : -1;
  }
}

export const insideMesh = (set: PeSet, width: number, height: number): boolean => {
  const integers = [set.x, set.y, set.width, set.height, set.stepX ?? 1, set.stepY ?? 1].every(Number.isInteger);
  const right = set.x + (set.width - 1) * (set.stepX ?? 1);
  const bottom = set.y + (set.height - 1) * (set.stepY ?? 1);
  return (
    integers &&
    set.width > 0 &&
    set.height > 0 &&
    (set.stepX ?? 1) > 0 &&
    (set.stepY ?? 1) > 0 &&
    set.x >= 0 &&
    set.y >= 0 &&
    right < width &&
    bottom < height
  );
};

export interface Layout {
  readonly pes: number;
  /** Colors per PE in `ruleAt`. */
  readonly colors: number;
  /** Index into `program.routes` at pe * colors + color, or -1. */
  readonly ruleAt: Int16Array | Int32Array;
  /** Colors that have a rule, per PE, as a mask. */
  readonly routed: Int32Array;
  readonly roleNames: readonly string[];
  /** Index into `roleNames`, or -1. */
  readonly roleOf: Int16Array;
  /** [pe, color or -1 for roles] that two rules or two tiles claim. */
  readonly claims: readonly (readonly [pe: number, color: number])[];
}

/** Presumes rectangles inside the mesh and colors below `colors`. */
export function layOut(program: MachineProgram, colors: number): Layout {
  const pes = program.width * program.height;
  const size = pes * colors;
  const ruleAt = program.routes.length < 32768 ? new Int16Array(size).fill(-1) : new Int32Array(size).fill(-1);
  const roleNames = Object.keys(program.roles);
  const roleOf = new Int16Array(pes).fill(-1);
  const routed = new Int32Array(pes);
  const claims: [number, number][] = [];
  program.routes.forEach((rule, index) => {
    const bit = 1 << rule.color;
    forEachPe(rule.on, program.width, (pe) => {
      if ((routed[pe] & bit) !== 0) claims.push([pe, rule.color]);
      routed[pe] |= bit;
      ruleAt[pe * colors + rule.color] = index;
    });
  });
  for (const tile of program.tiles) {
    const role = roleNames.indexOf(tile.role);
    forEachPe(tile.on, program.width, (pe) => {
      if (roleOf[pe] >= 0) claims.push([pe, -1]);
      roleOf[pe] = role;
    });
  }
  return { pes, colors, ruleAt, routed, roleNames, roleOf, claims };
}

/** As `pesOf`, for whole wafers: a call costs less than a step of a generator. */
function forEachPe(set: PeSet, meshWidth: number, visit: (pe: number) => void): void {
  const { x, y, width, height, stepX = 1, stepY = 1 } = set;
  for (let j = 0; j < height; j++) for (let i = 0; i < width; i++) visit((y + j * stepY) * meshWidth + x + i * stepX);
}

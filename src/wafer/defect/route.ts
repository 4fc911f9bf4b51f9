// The shortest way between two working PEs of a wafer with defects. A dead PE cannot switch, but its spare wires
// carry a wavelet straight across at the cost of one hop, as over a live router; a dead link carries nothing. That
// there are such wires is published, what they cost is not: one hop per PE crossed is assumed.

import { assert } from '../../core/index.ts';
import type { DefectMap, LinkSide } from './defect-map.ts';
import type { PhysPe } from './structure.ts';

/** A way that is longer than the distance by more hops than this is not looked for. */
export const MAX_DETOUR = 64;

export interface Obstacles {
  isDead(x: number, y: number): boolean;
  /** Whether all PEs of this physical row work, with all links within the row and to the rows beside it. */
  isClean(y: number): boolean;
  /** Hops of the shortest way, or undefined if there is none within MAX_DETOUR more than the distance. */
  hops(from: PhysPe, to: PhysPe): number | undefined;
}

/** The defects of a map, indexed. */
export function createObstacles({ width, height, deadPes, deadLinks }: DefectMap): Obstacles {
  const dead = new Uint8Array(width * height);
  const cut: Record<LinkSide, Set<number>> = { east: new Set(), south: new Set() };
  const dirty = new Uint8Array(height);
  for (const { x, y } of deadPes) dead[y * width + x] = dirty[y] = 1;
  for (const { x, y, side } of deadLinks) {
    cut[side].add(y * width + x);
    dirty[y] = 1;
    if (side === 'south') dirty[y + 1] = 1;
  }

  /** Index of the PE one step east, south, west or north, or -1 where the link is dead or the wafer ends. */
  const step = (pe: number, direction: number): number => {
    const x = pe % width;
    switch (direction) {
      case 0:
        return x + 1 < width && !cut.east.has(pe) ? pe + 1 : -1;
      case 1:
        return pe + width < width * height && !cut.south.has(pe) ? pe + width : -1;
      case 2:
        return x > 0 && !cut.east.has(pe - 1) ? pe - 1 : -1;
      default:
        return pe >= width && !cut.south.has(pe - width) ? pe - width : -1;
    }
  };

  /** The PE reached by so many steps in one direction. */
  const straight = (pe: number, direction: number, count: number): number => {
    for (; count > 0 && pe !== -1; count--) pe = step(pe, direction);
    return pe;
  };
  /** Whether one turn is enough: along the first direction, then along the second. */
  const oneTurn = (from: number, first: number, count: number, second: number, rest: number): boolean => {
    const corner = straight(from, first, count);
    if (corner === -1 || (rest > 0 && dead[corner] === 1)) return false;
    return straight(corner, second, rest) !== -1;
  };

  /** Breadth first. A state is a PE, and on a dead PE also the direction in which it is crossed. */
  const search = (from: number, to: number, limit: number): number | undefined => {
    const seen = new Set<number>([from * 5 + 4]);
    let frontier = [from * 5 + 4];
    for (let hops = 1; hops <= limit && frontier.length > 0; hops++) {
      const next: number[] = [];
      for (const state of frontier) {
        const [pe, only] = [Math.floor(state / 5), state % 5];
        for (let direction = 0; direction < 4; direction++) {
          if (only !== 4 && only !== direction) continue;
          const reached = step(pe, direction);
          if (reached === -1) continue;
          if (reached === to) return hops;
          const key = reached * 5 + (dead[reached] === 1 ? direction : 4);
          if (seen.has(key)) continue;
          seen.add(key);
          next.push(key);
        }
      }
      frontier = next;
    }
    return undefined;
  };

  return {
    isDead: (x, y) => dead[y * width + x] === 1,
    isClean: (y) => dirty[y] === 0,
    hops(from, to) {
      const [a, b] = [from.y * width + from.x, to.y * width + to.x];
      assert(dead[a] === 0 && dead[b] === 0, 'a way leads from one working PE to another');
      const [across, down] = [Math.abs(to.x - from.x), Math.abs(to.y - from.y)];
      const distance = across + down;
      const horizontal = to.x > from.x ? 0 : 2;
      const vertical = to.y > from.y ? 1 : 3;
      const direct = oneTurn(a, horizontal, across, vertical, down) || oneTurn(a, vertical, down, horizontal, across);
      return direct ? distance : search(a, b, distance + MAX_DETOUR);
    },
  };
}

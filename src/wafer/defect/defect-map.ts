// Which PEs and links of a physical wafer do not work.

import type { PhysPe } from './structure.ts';

export type LinkSide = 'east' | 'south';

/** The wires between a PE and its neighbour on one side; both directions fail together. */
export interface PhysLink extends PhysPe {
  readonly side: LinkSide;
}

/** Both lists in the order of rows, then columns, then sides, without repetition. */
export interface DefectMap {
  readonly width: number;
  readonly height: number;
  readonly deadPes: readonly PhysPe[];
  readonly deadLinks: readonly PhysLink[];
}

/**
 * A map in its order, whatever the order and repetitions of the lists. A PE none of whose links works is dead too.
 * Places must lie on the wafer.
 */
export function createDefectMap(
  size: { readonly width: number; readonly height: number },
  deadPes: readonly PhysPe[],
  deadLinks: readonly PhysLink[] = [],
): DefectMap {
  const { width, height } = size;
  const pes = new Map(deadPes.map(({ x, y }) => [y * width + x, { x, y }]));
  const links = new Map<number, PhysLink>();
  /** Dead links of each PE that has any. */
  const lost = new Map<number, number>();
  for (const { x, y, side } of deadLinks) {
    const pe = y * width + x;
    const key = 2 * pe + (side === 'east' ? 0 : 1);
    if (links.has(key)) continue;
    links.set(key, { x, y, side });
    for (const end of [pe, side === 'east' ? pe + 1 : pe + width]) lost.set(end, (lost.get(end) ?? 0) + 1);
  }
  for (const [pe, count] of lost) {
    const [x, y] = [pe % width, Math.floor(pe / width)];
    const neighbours = Number(x > 0) + Number(x + 1 < width) + Number(y > 0) + Number(y + 1 < height);
    if (count === neighbours) pes.set(pe, { x, y });
  }
  return { width, height, deadPes: inOrder(pes), deadLinks: inOrder(links) };
}

const inOrder = <T>(byIndex: ReadonlyMap<number, T>): T[] =>
  [...byIndex].sort(([a], [b]) => a - b).map(([, value]) => value);

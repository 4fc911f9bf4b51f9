// Where regions lie on the program rectangles of wafers: equal rectangles for the layers in a grid, walked in a snake
// so that each region is beside the next; strips across the wafer for the embedding (north of the first) and the
// head (south of the last).

import type { Region } from '../wafer/index.ts';
import type { Mesh } from './memory.ts';

/** A placement without coordinates: how many regions of which shape, and how tall the strips of the ends are. */
export interface GridShape {
  readonly mesh: Mesh;
  /** Regions for layers. */
  readonly regions: number;
  /** Rows of the strips; 0 where the embedding and the head share the first and last region. */
  readonly embeddingRows: number;
  readonly headRows: number;
}

/** Regions for layers that fit on one wafer below and above the strips of the ends that it holds. */
export const cellsOn = (shape: GridShape, program: Mesh, isFirst: boolean, isLast: boolean): number => {
  const rows = program.height - (isFirst ? shape.embeddingRows : 0) - (isLast ? shape.headRows : 0);
  return Math.floor(program.width / shape.mesh.width) * Math.max(0, Math.floor(rows / shape.mesh.height));
};

/** Wafers that a grid takes; undefined where a wafer cannot hold a region. */
export function wafersFor(shape: GridShape, program: Mesh): number | undefined {
  if (shape.regions <= cellsOn(shape, program, true, true)) return 1;
  const [first, middle, last] = [
    cellsOn(shape, program, true, false),
    cellsOn(shape, program, false, false),
    cellsOn(shape, program, false, true),
  ];
  if (first === 0 || last === 0) return undefined;
  return 2 + Math.max(0, Math.ceil((shape.regions - first - last) / middle));
}

/** A region with the wafer it is on. */
export interface PlacedRegion {
  readonly wafer: number;
  readonly region: Region;
}

/**
 * Coordinates of a grid on so many wafers, in the order in which a token passes: the embedding's strip if it has one,
 * the regions of the layers, the head's strip if it has one.
 */
export function placeGrid(shape: GridShape, program: Mesh, wafers: number): PlacedRegion[] {
  const { width, height } = shape.mesh;
  const columns = Math.floor(program.width / width);
  const placed: PlacedRegion[] = [];
  let left = shape.regions;
  let south = 0;
  for (let wafer = 0; wafer < wafers; wafer++) {
    const [isFirst, isLast] = [wafer === 0, wafer === wafers - 1];
    const north = isFirst ? shape.embeddingRows : 0;
    if (north > 0) placed.push({ wafer, region: { x: 0, y: 0, width: program.width, height: north } });
    const here = Math.min(left, cellsOn(shape, program, isFirst, isLast));
    for (let cell = 0; cell < here; cell++) {
      const row = Math.floor(cell / columns);
      const column = row % 2 === 0 ? cell % columns : columns - 1 - (cell % columns);
      placed.push({ wafer, region: { x: column * width, y: north + row * height, width, height } });
    }
    left -= here;
    south = north + Math.ceil(here / columns) * height;
  }
  if (shape.headRows > 0) {
    placed.push({ wafer: wafers - 1, region: { x: 0, y: south, width: program.width, height: shape.headRows } });
  }
  return placed;
}

/** Rows of a wafer that its regions and strips leave. */
export function rowsLeft(shape: GridShape, program: Mesh, wafers: number, wafer: number): number {
  const here = placeGrid(shape, program, wafers).filter((placed) => placed.wafer === wafer);
  return program.height - here.reduce((south, { region }) => Math.max(south, region.y + region.height), 0);
}

// What a repair costs, in hops and in silicon.

import type { DefectMap } from './defect-map.ts';
import type { Repair } from './repair.ts';
import { homeOf } from './structure.ts';

export interface RepairFigures {
  /** Links between neighbours of the logical rectangle, each pair once. */
  readonly links: number;
  /** Hops more than one, over all these links. */
  readonly extraHops: { readonly total: number; readonly mean: number; readonly worst: number };
  /** How many links have so many extra hops, ascending; the first entry is of none. */
  readonly histogram: readonly { readonly extraHops: number; readonly links: number }[];
  /** Most spare columns that one row uses, and rows that moved. */
  readonly spareColumnsUsed: number;
  readonly shiftedRows: number;
  /** Logical rows that lie on spare rows. */
  readonly spareRowsUsed: number;
  readonly retiredRows: number;
  /** The logical row and column with most extra hops from end to end. */
  readonly worstRow: WorstLine;
  readonly worstColumn: WorstLine;
  readonly capacity: Capacity;
}

export interface WorstLine {
  readonly index: number;
  readonly extraHops: number;
  /** By link along the line. */
  readonly perLink: readonly number[];
}

/** PEs made, and what became of them: made = logical + dead + retired + spare. */
export interface Capacity {
  readonly made: number;
  readonly logical: number;
  readonly dead: number;
  /** Working PEs of rows given up. */
  readonly retired: number;
  /** Working PEs of other rows and columns that no program sees. */
  readonly spare: number;
}

export function repairFigures(map: DefectMap, repaired: Repair): RepairFigures {
  const { structure, rows, shifted, retiredRows, extraEast, extraSouth } = repaired;
  const { width, height, logicalWidth, logicalHeight } = structure;
  const home = homeOf(structure);
  const links = (logicalWidth - 1) * logicalHeight + logicalWidth * (logicalHeight - 1);

  const counts = new Map<number, number>();
  for (const extra of [extraEast, extraSouth])
    for (const line of extra.values()) for (const hops of line) counts.set(hops, (counts.get(hops) ?? 0) + 1);
  counts.delete(0);
  const detoured = [...counts].sort(([a], [b]) => a - b);
  const total = detoured.reduce((sum, [hops, count]) => sum + hops * count, 0);
  const none = links - detoured.reduce((sum, [, count]) => sum + count, 0);

  const spareUsed = (columns: readonly number[]): number =>
    columns.filter((x) => x < home.x || x >= home.x + logicalWidth).length;
  const retired = new Set(retiredRows);
  const deadInRetired = map.deadPes.filter(({ y }) => retired.has(y)).length;
  const retiredWorking = retiredRows.length * width - deadInRetired;
  const logical = logicalWidth * logicalHeight;
  return {
    links,
    extraHops: { total, mean: links === 0 ? 0 : total / links, worst: detoured.at(-1)?.[0] ?? 0 },
    histogram: [[0, none] as const, ...detoured].map(([hops, count]) => ({ extraHops: hops, links: count })),
    spareColumnsUsed: [...shifted.values()].reduce((most, columns) => Math.max(most, spareUsed(columns)), 0),
    shiftedRows: shifted.size,
    spareRowsUsed: rows.filter((y) => y < home.y || y >= home.y + logicalHeight).length,
    retiredRows: retiredRows.length,
    worstRow: worstRow(extraEast, logicalWidth),
    worstColumn: worstColumn(extraSouth, logicalWidth, logicalHeight),
    capacity: {
      made: width * height,
      logical,
      dead: map.deadPes.length,
      retired: retiredWorking,
      spare: width * height - logical - map.deadPes.length - retiredWorking,
    },
  };
}

const sumOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);

function worstRow(extraEast: Repair['extraEast'], logicalWidth: number): WorstLine {
  let worst: WorstLine = { index: 0, extraHops: 0, perLink: Array.from({ length: logicalWidth - 1 }, () => 0) };
  for (const [index, perLink] of extraEast) {
    const extraHops = sumOf(perLink);
    if (extraHops > worst.extraHops) worst = { index, extraHops, perLink };
  }
  return worst;
}

function worstColumn(extraSouth: Repair['extraSouth'], logicalWidth: number, logicalHeight: number): WorstLine {
  const sums = Array.from({ length: logicalWidth }, () => 0);
  for (const line of extraSouth.values()) for (let x = 0; x < line.length; x++) sums[x] += line[x];
  const index = sums.reduce((most, sum, x) => (sum > sums[most] ? x : most), 0);
  const perLink = Array.from({ length: logicalHeight - 1 }, (_, y) => extraSouth.get(y)?.[index] ?? 0);
  return { index, extraHops: sums[index], perLink };
}

/**
 * The largest rectangle that shifting rows could make of this wafer, were no number of spares fixed: a width, and
 * all rows with as many working PEs.
 */
export function largestRectangle(map: DefectMap): { readonly width: number; readonly height: number } {
  const deadByRow = new Map<number, number>();
  for (const { y } of map.deadPes) deadByRow.set(y, (deadByRow.get(y) ?? 0) + 1);
  const dead = [...deadByRow.values()].sort((a, b) => a - b);
  let best = { width: map.width, height: map.height - dead.length };
  // Each row that is let in costs the width what it lacks.
  for (const [i, lacking] of dead.entries()) {
    const next = { width: map.width - lacking, height: map.height - dead.length + i + 1 };
    if (next.width * next.height > best.width * best.height) best = next;
  }
  return best;
}

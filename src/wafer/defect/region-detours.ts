import type { Phase } from '../phase.ts';
import { allReduce, groupSize } from '../collective/all-reduce.ts';
import type { Region } from '../program.ts';
import { allReduceAround } from './collective.ts';
import type { Repair } from './repair.ts';

const hopsOf = (phases: readonly Phase[]): number => phases.reduce((sum, { hops }) => sum + hops, 0);

/** Hops that an all-reduce over a line takes more for its links' extra ones. */
function detourOf(extraHops: readonly number[]): number {
  const parts = extraHops.length + 1;
  const line = { parts, values: 1, type: 'fp16', group: groupSize(parts) } as const;
  return hopsOf(allReduceAround(line, extraHops)) - hopsOf(allReduce(line));
}

/**
 * What the repair of a wafer costs a region: hops that an all-reduce takes more on its worst row (x) and on its worst
 * column (y). Both are upper bounds, as `allReduceAround` is.
 * @param region in logical coordinates of the repaired wafer
 */
export function regionDetours(
  { extraEast, extraSouth }: Repair,
  region: Region,
): { readonly x: number; readonly y: number } {
  const { x, y, width, height } = region;
  let worstRow = 0;
  for (let row = y; row < y + height; row++) {
    const extra = extraEast.get(row)?.slice(x, x + width - 1);
    if (extra?.some((hops) => hops > 0) === true) worstRow = Math.max(worstRow, detourOf(extra));
  }
  const crossed = [...extraSouth].filter(([row]) => row >= y && row < y + height - 1);
  // Columns with the same detours cost the same; most have none.
  const columns = new Set<string>();
  for (let column = x; column < x + width; column++) {
    const extra = crossed.flatMap(([row, hops]) => ((hops[column] ?? 0) > 0 ? [`${row - y}:${hops[column]}`] : []));
    if (extra.length > 0) columns.add(extra.join());
  }
  let worstColumn = 0;
  for (const column of columns) {
    const extra = Array.from({ length: height - 1 }, () => 0);
    for (const entry of column.split(',')) {
      const [row, hops] = entry.split(':').map(Number);
      extra[row] = hops;
    }
    worstColumn = Math.max(worstColumn, detourOf(extra));
  }
  return { x: worstRow, y: worstColumn };
}

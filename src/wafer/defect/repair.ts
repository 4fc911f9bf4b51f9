// From the physical wafer to the logical rectangle. The repair of the real machine is proprietary: published are
// redundant rows and spare links (SemiAnalysis, 2026), neither their numbers nor their cost. This is the simplest
// scheme that keeps neighbours near:
//   1. A row shifts along itself into the spare columns: its logical PEs lie on consecutive working PEs, chosen
//      so that they are moved as little as possible in sum. Neighbours east-west are 1 hop apart, and one more
//      for each dead PE between them.
//   2. A row with more dead PEs than there are spare columns is given up, and the rows after it move on by one.
//   3. Where the rows above and below are shifted differently, a vertical link takes a lateral detour.

import { fail, formatCount, IngotError, type Diagnostic } from '../../core/index.ts';
import type { DefectMap } from './defect-map.ts';
import { createObstacles, MAX_DETOUR, type Obstacles } from './route.ts';
import { homeOf, spareColumns, spareRows, type PhysPe, type WaferStructure } from './structure.ts';

export interface Repair {
  readonly structure: WaferStructure;
  /** Physical row of each logical row, ascending. */
  readonly rows: readonly number[];
  /** Physical columns of each logical row, ascending, of all rows that have not every PE at home. */
  readonly shifted: ReadonlyMap<number, readonly number[]>;
  /** Physical rows with too few working PEs to hold a logical row. */
  readonly retiredRows: readonly number[];
  /**
   * Hops more than one of the links from (x, y) to (x + 1, y), by logical row y and then x, of all rows that
   * have any such link.
   */
  readonly extraEast: ReadonlyMap<number, readonly number[]>;
  /** The same of the links from (x, y) to (x, y + 1). */
  readonly extraSouth: ReadonlyMap<number, readonly number[]>;
  /** Where the PE of a logical place is. */
  readonly physOf: (x: number, y: number) => PhysPe;
}

/** An unrepairable wafer can have a thousand bad rows; a person reads the first few. */
const MAX_NAMED = 8;

/**
 * Map the logical rectangle onto working PEs.
 * @throws IngotError DEFECT_MAP_MISMATCH if the map is of another wafer; DEFECTS_UNREPAIRABLE
 */
export function repair(map: DefectMap, structure: WaferStructure): Repair {
  verifySize(map, structure);
  const { width, height, logicalWidth, logicalHeight } = structure;
  const home = homeOf(structure);
  const obstacles = createObstacles(map);

  const working = (y: number): number[] => {
    const columns: number[] = [];
    for (let x = 0; x < width; x++) if (!obstacles.isDead(x, y)) columns.push(x);
    return columns;
  };
  const usable: number[] = [];
  const retiredRows: number[] = [];
  /** Working columns of the rows that have dead PEs. */
  const damaged = new Map<number, readonly number[]>();
  for (let y = 0; y < height; y++) {
    const columns = obstacles.isClean(y) ? undefined : working(y);
    if (columns !== undefined && columns.length < width) damaged.set(y, columns);
    (columns !== undefined && columns.length < logicalWidth ? retiredRows : usable).push(y);
  }
  if (usable.length < logicalHeight) refuse(structure, retiredRows, damaged);

  const firstRow = shortestRun(usable, logicalHeight, home.y);
  const rows = usable.slice(firstRow, firstRow + logicalHeight);
  const shifted = new Map<number, readonly number[]>();
  for (const [y, phys] of rows.entries()) {
    const columns = damaged.get(phys);
    if (columns === undefined) continue;
    const first = nearestRun(columns, logicalWidth, home.x);
    const used = columns.slice(first, first + logicalWidth);
    if (used.some((x, i) => x !== home.x + i)) shifted.set(y, used);
  }
  const physOf = (x: number, y: number): PhysPe => ({ x: shifted.get(y)?.[x] ?? home.x + x, y: rows[y] });
  return { structure, rows, shifted, retiredRows, physOf, ...extraHops(structure, obstacles, rows, shifted, physOf) };
}

function verifySize(map: DefectMap, structure: WaferStructure): void {
  if (map.width === structure.width && map.height === structure.height) return;
  fail({
    code: 'DEFECT_MAP_MISMATCH',
    message: 'the defect map is of a wafer of another size',
    expected: `${structure.width} x ${structure.height} PEs`,
    found: `${map.width} x ${map.height} PEs`,
    suggestion: 'choose the wafer and the numbers of spares that the map was made for',
  });
}

function refuse(
  structure: WaferStructure,
  retiredRows: readonly number[],
  damaged: ReadonlyMap<number, readonly number[]>,
): never {
  const dead = (y: number): number => structure.width - (damaged.get(y)?.length ?? structure.width);
  const named = retiredRows.slice(0, MAX_NAMED).map((y) => `row ${y} (${dead(y)} dead)`);
  const rest = retiredRows.length - named.length;
  // With spare columns for all but the worst rows, the spare rows would do.
  const worst = [...damaged.keys()].map(dead).sort((a, b) => b - a);
  const columns = worst[spareRows(structure)];
  const rows = retiredRows.length;
  const remedies = [
    rows < structure.height ? `${formatCount(rows)} spare rows in place of ${formatCount(spareRows(structure))}` : '',
    columns < structure.width
      ? `${formatCount(columns)} spare columns in place of ${formatCount(spareColumns(structure))}`
      : '',
  ].filter((remedy) => remedy !== '');
  fail({
    code: 'DEFECTS_UNREPAIRABLE',
    message: 'more rows are given up than there are spare rows',
    where: named.join(', ') + (rest > 0 ? `, and ${formatCount(rest)} more` : ''),
    expected:
      `at most ${formatCount(spareRows(structure))} rows with more than ${formatCount(spareColumns(structure))} ` +
      'dead PEs, the spare columns',
    found: `${formatCount(retiredRows.length)} such rows`,
    suggestion:
      remedies.length === 0 ? 'no number of spares would do' : `of the same PEs, ${remedies.join(', or ')} would do`,
  });
}

/**
 * Index of the run of `count` entries of an ascending list whose i-th entry is as near as possible to `home` + i,
 * in sum. No other choice of `count` entries in order, with gaps or without, is nearer: an entry left out between
 * two others is nearer to the place of one of them. The list lacks at most as many places as its indices can move,
 * so only those runs are compared.
 */
function nearestRun(list: readonly number[], count: number, home: number): number {
  const lacking = (list.at(-1) ?? 0) + 1 - list.length;
  const last = Math.min(home, list.length - count);
  let best = last;
  let least = Infinity;
  for (let first = Math.max(0, Math.min(home - lacking, last)); first <= last; first++) {
    let sum = 0;
    for (let i = 0; i < count; i++) sum += Math.abs(list[first + i] - home - i);
    if (sum < least) [least, best] = [sum, first];
  }
  return best;
}

/** Index of the run of `count` entries that spans least, and of these the one nearest to `home`. */
function shortestRun(list: readonly number[], count: number, home: number): number {
  let best = 0;
  let least = [Infinity, Infinity];
  for (let first = 0; first + count <= list.length; first++) {
    const cost = [list[first + count - 1] - list[first], Math.abs(list[first] - home)];
    if (cost[0] < least[0] || (cost[0] === least[0] && cost[1] < least[1])) [least, best] = [cost, first];
  }
  return best;
}

/** @throws IngotError DEFECTS_UNREPAIRABLE, once for each of the first links that have no way */
function extraHops(
  { logicalWidth, logicalHeight }: WaferStructure,
  obstacles: Obstacles,
  rows: readonly number[],
  shifted: ReadonlyMap<number, readonly number[]>,
  physOf: Repair['physOf'],
): Pick<Repair, 'extraEast' | 'extraSouth'> {
  const extraEast = new Map<number, readonly number[]>();
  const extraSouth = new Map<number, readonly number[]>();
  const unreachable: Diagnostic[] = [];
  const line = (length: number, y: number, dx: number, dy: number): number[] => {
    const extra: number[] = [];
    for (let x = 0; x < length; x++) {
      const [from, to] = [physOf(x, y), physOf(x + dx, y + dy)];
      const hops = obstacles.hops(from, to);
      if (hops === undefined && unreachable.length < MAX_NAMED) unreachable.push(noWay(from, to));
      extra.push((hops ?? 1) - 1);
    }
    return extra;
  };
  const keep = (into: Map<number, readonly number[]>, y: number, extra: readonly number[]): void => {
    if (extra.some((hops) => hops > 0)) into.set(y, extra);
  };
  const isClean = (y: number): boolean => obstacles.isClean(rows[y]) && !shifted.has(y);
  for (let y = 0; y < logicalHeight; y++) {
    const clean = isClean(y);
    if (!clean) keep(extraEast, y, line(logicalWidth - 1, y, 1, 0));
    if (y + 1 === logicalHeight) break;
    if (!clean || !isClean(y + 1) || rows[y + 1] !== rows[y] + 1) keep(extraSouth, y, line(logicalWidth, y, 0, 1));
  }
  if (unreachable.length > 0) throw new IngotError(unreachable);
  return { extraEast, extraSouth };
}

const noWay = (from: PhysPe, to: PhysPe): Diagnostic => ({
  code: 'DEFECTS_UNREPAIRABLE',
  message: 'there is no way around the defects between two PEs that must be neighbours',
  where: `physical PEs (${from.x}, ${from.y}) and (${to.x}, ${to.y})`,
  expected: `a way of at most ${MAX_DETOUR} hops more than their distance, straight across dead PEs and by working links`,
});

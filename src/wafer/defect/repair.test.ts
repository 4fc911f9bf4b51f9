import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IngotError } from '../../core/index.ts';
import { createDefectMap, type DefectMap } from './defect-map.ts';
import { largestRectangle, repairFigures } from './repair-figures.ts';
import { repair, type Repair } from './repair.ts';
import { createObstacles, MAX_DETOUR } from './route.ts';
import { homeOf, spareColumns, spareRows, type PhysPe, type WaferStructure } from './structure.ts';
import { defectsOf, repairableOf, structures, wafersWith } from './testing/arbitrary.ts';

const isDead = (map: DefectMap, { x, y }: PhysPe): boolean => map.deadPes.some((pe) => pe.x === x && pe.y === y);

function tryRepair(map: DefectMap, structure: WaferStructure): Repair | undefined {
  try {
    return repair(map, structure);
  } catch (error) {
    if (error instanceof IngotError && error.code === 'DEFECTS_UNREPAIRABLE') return undefined;
    throw error;
  }
}

/** Whether the spares suffice, whatever the ways between the PEs are like. */
function rowsSuffice(map: DefectMap, structure: WaferStructure): boolean {
  try {
    repair(map, structure);
  } catch (error) {
    return !(error as Error).message.includes('more rows are given up than there are spare rows');
  }
  return true;
}

function* logicalPes({ logicalWidth, logicalHeight }: WaferStructure): Generator<PhysPe> {
  for (let y = 0; y < logicalHeight; y++) for (let x = 0; x < logicalWidth; x++) yield { x, y };
}

/** Sum over a physical row's PEs of how far they lie from home. */
const displacement = ({ structure, shifted, rows }: Repair, physRow: number): number => {
  const home = homeOf(structure).x;
  return (shifted.get(rows.indexOf(physRow)) ?? []).reduce((sum, x, i) => sum + Math.abs(x - home - i), 0);
};

describe('laws of repair', () => {
  it('maps every logical PE to its own working PE, in order along both axes', () => {
    fc.assert(
      fc.property(wafersWith(defectsOf), ({ structure, map }) => {
        const repaired = tryRepair(map, structure);
        if (repaired === undefined) return;
        const used = new Set<number>();
        for (const { x, y } of logicalPes(structure)) {
          const phys = repaired.physOf(x, y);
          expect(phys.x >= 0 && phys.x < structure.width && phys.y >= 0 && phys.y < structure.height).toBe(true);
          expect(isDead(map, phys)).toBe(false);
          used.add(phys.y * structure.width + phys.x);
          if (x > 0) expect(phys.x).toBeGreaterThan(repaired.physOf(x - 1, y).x);
          if (y > 0) expect(phys.y).toBeGreaterThan(repaired.physOf(x, y - 1).y);
        }
        expect(used.size).toBe(structure.logicalWidth * structure.logicalHeight);
      }),
      { numRuns: 300 },
    );
  });

  // Dead PEs that touch, also by their corners, can wall PEs in: they are crossed straight only.
  it('succeeds whenever the spares suffice, no link is dead and no dead PEs touch', () => {
    fc.assert(
      fc.property(wafersWith(repairableOf), ({ structure, map }) => {
        const near = (a: PhysPe, b: PhysPe): boolean => Math.max(Math.abs(a.x - b.x), Math.abs(a.y - b.y)) === 1;
        fc.pre(!map.deadPes.some((a) => map.deadPes.some((b) => near(a, b))));
        const figures = repairFigures(map, repair(map, structure));
        expect(figures.spareColumnsUsed).toBeLessThanOrEqual(spareColumns(structure));
        expect(figures.spareRowsUsed).toBeLessThanOrEqual(spareRows(structure));
      }),
      { numRuns: 300 },
    );
  });

  it('costs nothing without defects', () => {
    fc.assert(
      fc.property(structures, (structure) => {
        const map = createDefectMap(structure, []);
        const figures = repairFigures(map, repair(map, structure));
        expect(figures.extraHops).toEqual({ total: 0, mean: 0, worst: 0 });
        expect(figures.histogram).toEqual([{ extraHops: 0, links: figures.links }]);
        expect(figures.worstColumn.extraHops + figures.worstRow.extraHops).toBe(0);
        const { made, logical, spare } = figures.capacity;
        expect(made).toBe(logical + spare);
      }),
    );
  });

  it('counts as extra hops exactly the shortest way between the places, less one', () => {
    fc.assert(
      fc.property(wafersWith(defectsOf), ({ structure, map }) => {
        const repaired = tryRepair(map, structure);
        if (repaired === undefined) return;
        const obstacles = createObstacles(map);
        for (const { x, y } of logicalPes(structure)) {
          const here = repaired.physOf(x, y);
          if (x + 1 < structure.logicalWidth) {
            const hops = obstacles.hops(here, repaired.physOf(x + 1, y)) ?? NaN;
            expect(repaired.extraEast.get(y)?.[x] ?? 0).toBe(hops - 1);
          }
          if (y + 1 < structure.logicalHeight) {
            const hops = obstacles.hops(here, repaired.physOf(x, y + 1)) ?? NaN;
            expect(repaired.extraSouth.get(y)?.[x] ?? 0).toBe(hops - 1);
          }
        }
      }),
      { numRuns: 200 },
    );
  });

  it('accounts for every PE made and every link', () => {
    fc.assert(
      fc.property(wafersWith(defectsOf), ({ structure, map }) => {
        const repaired = tryRepair(map, structure);
        if (repaired === undefined) return;
        const { capacity, histogram, links, extraHops } = repairFigures(map, repaired);
        const { made, logical, dead, retired, spare } = capacity;
        expect(logical + dead + retired + spare).toBe(made);
        expect(spare).toBeGreaterThanOrEqual(0);
        expect(histogram.reduce((sum, entry) => sum + entry.links, 0)).toBe(links);
        expect(histogram.reduce((sum, entry) => sum + entry.links * entry.extraHops, 0)).toBe(extraHops.total);
      }),
    );
  });

  // One defect more, in a row with d dead PEs. Its PEs may move by up to 2 d + 1 columns, so the ends of a
  // link may come nearer by as much (beside a neighbour that is shifted the same way); nothing else improves.
  it('one defect more never makes a figure better, except single links by at most 2 d + 1 hops', () => {
    const oneMore = wafersWith(repairableOf).chain(({ structure, map }) =>
      fc
        .record({ x: fc.nat(structure.width - 1), y: fc.nat(structure.height - 1) })
        .map((pe) => ({ structure, pe, map, worse: createDefectMap(structure, [...map.deadPes, pe]) })),
    );
    fc.assert(
      fc.property(oneMore, ({ structure, pe, map, worse }) => {
        const before = tryRepair(map, structure);
        if (before === undefined) return;
        const best = [map, worse].map(largestRectangle).map(({ width, height }) => width * height);
        expect(best[1]).toBeLessThanOrEqual(best[0]);
        const after = tryRepair(worse, structure);
        if (after === undefined) return;
        for (const row of before.retiredRows) expect(after.retiredRows).toContain(row);
        const [f, g] = [repairFigures(map, before), repairFigures(worse, after)];
        expect(g.capacity.dead).toBeGreaterThanOrEqual(f.capacity.dead);
        expect(g.capacity.logical).toBe(f.capacity.logical);
        if (after.retiredRows.length > before.retiredRows.length) return;

        expect(after.rows).toEqual(before.rows);
        for (const row of before.rows) {
          if (row === pe.y) expect(displacement(after, row)).toBeGreaterThanOrEqual(displacement(before, row));
          else expect(displacement(after, row)).toBe(displacement(before, row));
        }
        const dead = map.deadPes.filter(({ y }) => y === pe.y).length;
        const between = (r: Repair, x: number, y: number): number =>
          Math.abs(r.physOf(x, y).x - r.physOf(x, y + 1).x) + r.rows[y + 1] - r.rows[y];
        for (const { x, y } of logicalPes(structure)) {
          if (y + 1 === structure.logicalHeight) continue;
          const shortest = between(before, x, y) - 1;
          const now = after.extraSouth.get(y)?.[x] ?? 0;
          const touches = before.rows[y] === pe.y || before.rows[y + 1] === pe.y;
          expect(now).toBeGreaterThanOrEqual(touches ? shortest - (2 * dead + 1) : shortest);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('is the same for the same map', () => {
    fc.assert(
      fc.property(wafersWith(repairableOf), ({ structure, map }) => {
        const reversed = createDefectMap(structure, [...map.deadPes].reverse(), map.deadLinks);
        const [once, again] = [map, reversed].map((same) => ({ ...tryRepair(same, structure), physOf: undefined }));
        expect(again).toEqual(once);
      }),
    );
  });
});

const structure: WaferStructure = {
  width: 23,
  height: 12,
  logicalWidth: 19,
  logicalHeight: 9,
  dieColumns: 1,
  dieRows: 1,
};
const row = (y: number, count: number, from = 5): PhysPe[] =>
  Array.from({ length: count }, (_, i) => ({ x: from + i, y }));

describe('spares', () => {
  it('of columns: as many dead PEs in a row as spares shift it, one more gives the row up', () => {
    const exactly = repair(createDefectMap(structure, row(5, 4)), structure);
    expect(exactly.retiredRows).toEqual([]);
    expect(exactly.shifted.size).toBe(1);
    const more = repair(createDefectMap(structure, row(5, 5)), structure);
    expect(more.retiredRows).toEqual([5]);
    expect(more.shifted.size).toBe(0);
    expect(more.rows).not.toContain(5);
  });

  it('of rows: as many rows as spares are given up, one more is refused', () => {
    const lost = (count: number): DefectMap =>
      createDefectMap(structure, Array.from({ length: count }, (_, i) => row(2 + i, 5)).flat());
    expect(repair(lost(3), structure).retiredRows).toEqual([2, 3, 4]);
    expect(() => repair(lost(4), structure)).toThrow('DEFECTS_UNREPAIRABLE');
  });

  it('the refusal names the rows, and the spares that it asks for would do', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ x: fc.nat(8), y: fc.nat(11) }), { minLength: 20, maxLength: 80 }),
        fc.record({ columns: fc.nat(2), rows: fc.nat(2) }),
        (pes, spares) => {
          const of = (columns: number, rows: number): WaferStructure => ({
            ...structure,
            width: 9,
            logicalWidth: 9 - columns,
            logicalHeight: 12 - rows,
          });
          const tight = of(spares.columns, spares.rows);
          const map = createDefectMap(tight, pes);
          try {
            repair(map, tight);
          } catch (error) {
            if (rowsSuffice(map, tight)) return;
            const { where, suggestion } = (error as IngotError).diagnostics[0];
            expect(where).toMatch(/^row \d+ \(\d+ dead\)/);
            // As many spares as asked for do, on the same PEs; one fewer do not.
            const asked = (kind: string): number =>
              Number(new RegExp(`(\\d+) spare ${kind}`).exec(suggestion ?? '')?.[1]);
            const [rows, columns] = [asked('rows'), asked('columns')];
            if (!Number.isNaN(rows)) expect(rowsSuffice(map, of(spares.columns, rows))).toBe(true);
            expect(rowsSuffice(map, of(spares.columns, (Number.isNaN(rows) ? 12 : rows) - 1))).toBe(false);
            if (!Number.isNaN(columns)) expect(rowsSuffice(map, of(columns, spares.rows))).toBe(true);
            expect(rowsSuffice(map, of((Number.isNaN(columns) ? 9 : columns) - 1, spares.rows))).toBe(false);
          }
        },
      ),
    );
  });

  it('a map of another size is refused', () => {
    expect(() => repair(createDefectMap({ width: 3, height: 3 }, []), structure)).toThrow('DEFECT_MAP_MISMATCH');
  });
});

describe('what one dead PE costs', () => {
  // At home, logical column i of a row in the middle: the i + 1 PEs to its west move, or the w - i to its east,
  // whichever are fewer; each has two vertical links that become one hop longer, and so does the link across the
  // dead PE.
  it('moves the shorter side of its row by one', () => {
    const home = homeOf(structure);
    for (let i = 0; i < structure.logicalWidth; i++) {
      const map = createDefectMap(structure, [{ x: home.x + i, y: home.y + 4 }]);
      const { extraHops, spareColumnsUsed } = repairFigures(map, repair(map, structure));
      const moved = Math.min(i + 1, structure.logicalWidth - i);
      expect(extraHops).toMatchObject({ total: 2 * moved + 1, worst: 1 });
      expect(spareColumnsUsed).toBe(1);
    }
  });

  it('costs nothing on a spare', () => {
    const map = createDefectMap(structure, [
      { x: 0, y: 5 },
      { x: 7, y: 0 },
    ]);
    expect(repairFigures(map, repair(map, structure)).extraHops.total).toBe(0);
  });
});

describe('ways around', () => {
  const size = { width: 9, height: 9 };
  const from = { x: 3, y: 4 };
  const hops = (map: DefectMap, to: PhysPe): number | undefined => createObstacles(map).hops(from, to);

  it('a dead PE is crossed straight: one hop more', () => {
    expect(hops(createDefectMap(size, [{ x: 4, y: 4 }]), { x: 5, y: 4 })).toBe(2);
  });

  it('a dead link is passed through the row beside it: two hops more', () => {
    expect(hops(createDefectMap(size, [], [{ ...from, side: 'east' }]), { x: 4, y: 4 })).toBe(3);
  });

  it('a dead PE does not turn: with both corners dead the way leads around', () => {
    const corners = [
      { x: 4, y: 4 },
      { x: 3, y: 5 },
    ];
    expect(hops(createDefectMap(size, corners.slice(0, 1)), { x: 4, y: 5 })).toBe(2);
    // Straight across one corner to the PE behind it, round, and back: two hops more.
    expect(hops(createDefectMap(size, corners), { x: 4, y: 5 })).toBe(4);
  });

  it('are no longer sought past the limit: a wall of dead links with no end', () => {
    const wall = (height: number) =>
      createDefectMap(
        { width: 9, height: 200 },
        [],
        Array.from({ length: height }, (_, y) => ({ x: 4, y, side: 'east' as const })),
      );
    const across = (height: number) => createObstacles(wall(height)).hops({ x: 4, y: 0 }, { x: 5, y: 0 });
    // Down the wall and up again.
    expect(across(MAX_DETOUR / 2)).toBe(1 + MAX_DETOUR);
    expect(across(MAX_DETOUR / 2 + 1)).toBeUndefined();
  });

  it('are as long as in the other direction, and never longer without a defect', () => {
    fc.assert(
      fc.property(wafersWith(defectsOf), fc.nat(), fc.nat(), ({ structure: { width, height }, map }, i, j) => {
        const [a, b] = [i, j].map((n) => ({ x: n % width, y: Math.floor(n / width) % height }));
        if (isDead(map, a) || isDead(map, b)) return;
        const way = createObstacles(map).hops(a, b);
        expect(createObstacles(map).hops(b, a)).toBe(way);
        const distance = Math.abs(a.x - b.x) + Math.abs(a.y - b.y);
        expect(way ?? Infinity).toBeGreaterThanOrEqual(distance);
        const fewer = createDefectMap({ width, height }, map.deadPes.slice(1), map.deadLinks.slice(1));
        expect(createObstacles(fewer).hops(a, b) ?? Infinity).toBeLessThanOrEqual(way ?? Infinity);
        expect(createObstacles(createDefectMap({ width, height }, [])).hops(a, b)).toBe(distance);
      }),
      { numRuns: 300 },
    );
  });

  it('a wafer cut in two by dead links is refused, with the PEs that cannot meet', () => {
    const cut = Array.from({ length: structure.height }, (_, y) => ({ x: 11, y, side: 'east' as const }));
    expect(() => repair(createDefectMap(structure, [], cut), structure)).toThrow('no way around the defects');
  });
});

describe('defect map', () => {
  it('is in order, without repetition, and a PE that no link reaches is dead', () => {
    const around = [
      { x: 3, y: 4, side: 'east' as const },
      { x: 4, y: 4, side: 'east' as const },
      { x: 4, y: 3, side: 'south' as const },
    ];
    const size = { width: 9, height: 9 };
    expect(createDefectMap(size, [], around).deadPes).toEqual([]);
    const map = createDefectMap(
      size,
      [
        { x: 8, y: 8 },
        { x: 1, y: 0 },
        { x: 8, y: 8 },
      ],
      [{ x: 4, y: 4, side: 'south' }, ...around, ...around],
    );
    expect(map.deadPes).toEqual([
      { x: 1, y: 0 },
      { x: 4, y: 4 },
      { x: 8, y: 8 },
    ]);
    expect(map.deadLinks).toHaveLength(4);
  });
});

describe('largest rectangle', () => {
  it('is the best of all widths', () => {
    fc.assert(
      fc.property(wafersWith(defectsOf), ({ structure: { width, height }, map }) => {
        const working = Array.from({ length: height }, (_, y) => width - map.deadPes.filter((pe) => pe.y === y).length);
        const areas = Array.from({ length: width }, (_, w) => (w + 1) * working.filter((n) => n >= w + 1).length);
        const best = largestRectangle(map);
        expect(best.width * best.height).toBe(Math.max(...areas));
      }),
    );
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRng } from '../../core/index.ts';
import { createDefectMap, drawDefects, regionDetours, repair } from './index.ts';

const structure = { width: 44, height: 66, logicalWidth: 40, logicalHeight: 60, dieColumns: 2, dieRows: 3 };
const whole = { x: 0, y: 0, width: 40, height: 60 };

describe('detours of a region', () => {
  it('are none on a wafer without defects', () => {
    const repaired = repair(createDefectMap(structure, []), structure);
    expect(regionDetours(repaired, whole)).toEqual({ x: 0, y: 0 });
  });

  it('are those of its own lines: a dead PE costs rows and columns that meet it, and no others', () => {
    // In the middle of row 33, which is logical row 30: home is at (2, 3).
    const repaired = repair(createDefectMap(structure, [{ x: 20, y: 33 }]), structure);
    const found = regionDetours(repaired, whole);
    expect(found.x).toBeGreaterThan(0);
    expect(found.y).toBeGreaterThan(0);
    expect(regionDetours(repaired, { x: 0, y: 0, width: 40, height: 20 })).toEqual({ x: 0, y: 0 });
  });

  it('of a part are at most three times what its links have, and of the whole at least those of one link', () => {
    fc.assert(
      fc.property(fc.nat(1000), (seed) => {
        const process = { density: 0.05, peArea: 0.05, linkShare: 0.05 };
        const map = drawDefects(structure, process, createRng(seed));
        const repaired = repair(map, structure);
        const { x, y } = regionDetours(repaired, whole);
        const rows = [...repaired.extraEast.values()].map((hops) => hops.reduce((sum, n) => sum + n, 0));
        expect(x).toBeLessThanOrEqual(3 * Math.max(0, ...rows));
        if (Math.max(0, ...rows) > 0) expect(x).toBeGreaterThan(0);
        if ([...repaired.extraSouth.values()].flat().some((hops) => hops > 0)) expect(y).toBeGreaterThan(0);
      }),
      { numRuns: 20 },
    );
  });
});

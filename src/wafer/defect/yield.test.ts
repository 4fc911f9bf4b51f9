import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRng, IngotError } from '../../core/index.ts';
import { drawDefects } from './draw.ts';
import { repair } from './repair.ts';
import { homeOf, spareColumns, spareRows } from './structure.ts';
import { structures } from './testing/arbitrary.ts';
import { binomialTail, partLoss, partYield, repairYield, sparesNeeded, spareYield } from './yield.ts';

describe('yield of a part', () => {
  it('Poisson: exp(-A D), the published 0.99995 for 0.05 mm² at 0.001 per mm²', () => {
    expect(partYield(0.05, 0.001)).toBeCloseTo(0.99995, 8);
    expect(partYield(2, 3)).toBeCloseTo(Math.exp(-6), 15);
  });

  it('negative binomial: (1 + A D / a)^-a, 1 / (1 + A D) for a = 1, Poisson for large a', () => {
    expect(partYield(2, 3, 1)).toBeCloseTo(1 / 7, 15);
    expect(partYield(2, 3, 2)).toBeCloseTo(1 / 16, 15);
    expect(partYield(2, 0.3, 1e9)).toBeCloseTo(Math.exp(-0.6), 8);
  });

  it('is the Poisson yield averaged over a gamma density: midpoint rule', () => {
    // Shape 2 and mean m: density of d is (2/m)² d exp(-2 d / m).
    const m = 0.7;
    const step = 1e-3;
    let sum = 0;
    for (let d = step / 2; d < 40; d += step) sum += Math.exp(-d) * (2 / m) ** 2 * d * Math.exp((-2 * d) / m) * step;
    expect(partYield(m, 1, 2)).toBeCloseTo(sum, 5);
  });

  it('falls with area and density, and is higher where defects cluster', () => {
    const positive = fc.double({ min: 1e-3, max: 10, noNaN: true });
    fc.assert(
      fc.property(positive, positive, positive, (area, density, clustering) => {
        expect(partYield(area * 1.1, density)).toBeLessThan(partYield(area, density));
        expect(partYield(area, density * 1.1, clustering)).toBeLessThan(partYield(area, density, clustering));
        expect(partYield(area, density, clustering)).toBeGreaterThan(partYield(area, density));
        expect(partYield(area, density, clustering) + partLoss(area, density, clustering)).toBeCloseTo(1, 12);
      }),
    );
  });

  it('keeps the digits of a loss far below 1', () => {
    // A D - (A D)² / 2, whose next term is below the precision.
    expect(partLoss(1e-6, 1e-3) / (1e-9 - 0.5e-18)).toBeCloseTo(1, 15);
  });
});

/** P(K ≤ k) by exact integers: p = a / b. */
function exactly(n: number, a: bigint, b: bigint, k: number): number {
  let choose = 1n;
  let sum = 0n;
  for (let i = 0; i <= k; i++) {
    sum += choose * a ** BigInt(i) * (b - a) ** BigInt(n - i);
    choose = (choose * BigInt(n - i)) / BigInt(i + 1);
  }
  // Fifteen digits of the quotient.
  return Number((sum * 10n ** 18n) / b ** BigInt(n)) / 1e18;
}

describe('binomial tail', () => {
  it('equals the exact sum', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 99 }), fc.nat(60), (n, percent, k) => {
        fc.pre(k < n);
        const exact = exactly(n, BigInt(percent), 100n, k);
        const { logAtMost, logMore } = binomialTail(n, percent / 100, k);
        expect(Math.exp(logAtMost)).toBeCloseTo(exact, 12);
        expect(Math.exp(logMore)).toBeCloseTo(1 - exact, 12);
      }),
    );
  });

  it('does not lose a side that is far below a double: all of n trials', () => {
    // P(K > n - 1) = p^n; P(K ≤ 0) = (1 - p)^n.
    expect(binomialTail(1000, 0.01, 999).logMore).toBeCloseTo(1000 * Math.log(0.01), 6);
    expect(binomialTail(1_000_000, 0.5, 0).logAtMost).toBeCloseTo(1_000_000 * Math.log(0.5), 6);
    // The first term dominates: C(1e6, 11) p^11 (1 - p)^(1e6 - 11).
    let first = (1e6 - 11) * Math.log1p(-1e-9) + 11 * Math.log(1e-9);
    for (let i = 0; i < 11; i++) first += Math.log((1e6 - i) / (i + 1));
    expect(binomialTail(1e6, 1e-9, 10).logMore).toBeCloseTo(first, 3);
  });

  it('has its limits', () => {
    expect(binomialTail(5, 0.3, 5)).toEqual({ logAtMost: 0, logMore: -Infinity });
    expect(binomialTail(5, 0.3, -1)).toEqual({ logAtMost: -Infinity, logMore: 0 });
    expect(binomialTail(5, 0, 0)).toEqual({ logAtMost: 0, logMore: -Infinity });
    expect(binomialTail(5, 1, 4)).toEqual({ logAtMost: -Infinity, logMore: 0 });
  });
});

describe('spares', () => {
  it('agree with simulation', () => {
    const [parts, loss, spares, wafers] = [200, 0.02, 5, 4000];
    const rng = createRng(11);
    let good = 0;
    for (let i = 0; i < wafers; i++) {
      let dead = 0;
      for (let part = 0; part < parts; part++) if (rng.uniform() < loss) dead++;
      if (dead <= spares) good++;
    }
    const expected = Math.exp(spareYield(parts, loss, spares).logAtMost);
    expect(Math.abs(good / wafers - expected)).toBeLessThan(5 * Math.sqrt((expected * (1 - expected)) / wafers));
  });

  it('needed are the fewest that reach the target', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5000 }),
        fc.double({ min: 1e-6, max: 0.9, noNaN: true }),
        fc.double({ min: 0.01, max: 0.9999, noNaN: true }),
        (parts, loss, target) => {
          const spares = sparesNeeded(parts, loss, target);
          const reaches = (s: number): boolean => spareYield(parts, loss, s).logAtMost >= Math.log(target);
          expect(reaches(spares)).toBe(true);
          expect(spares === 0 || !reaches(spares - 1)).toBe(true);
        },
      ),
    );
  });
});

describe('yield of repair', () => {
  it('is 1 without loss, and grows with spares', () => {
    fc.assert(
      fc.property(structures, fc.double({ min: 0.01, max: 0.5, noNaN: true }), (structure, loss) => {
        expect(repairYield(structure, 0)).toEqual({ logAtMost: 0, logMore: -Infinity });
        const more = { ...structure, width: structure.width + 1 };
        const fewerLogical = { ...structure, logicalHeight: structure.logicalHeight - 1 };
        const now = repairYield(structure, loss).logAtMost;
        expect(repairYield(fewerLogical, loss).logAtMost).toBeGreaterThanOrEqual(now - 1e-12);
        // One more column is one more PE that may be dead, and one more that may replace it.
        expect(repairYield(more, loss).logAtMost).toBeGreaterThanOrEqual(now - 1e-12);
      }),
    );
  });

  it('is the share of drawn wafers that repair accepts', () => {
    const structure = { width: 12, height: 10, logicalWidth: 10, logicalHeight: 8, dieColumns: 2, dieRows: 2 };
    const process = { density: 0.12, peArea: 1, linkShare: 0 };
    const [wafers, rng] = [1500, createRng(12)];
    let good = 0;
    for (let i = 0; i < wafers; i++) {
      const map = drawDefects(structure, process, rng);
      try {
        repair(map, structure);
        good++;
      } catch (error) {
        expect((error as IngotError).code).toBe('DEFECTS_UNREPAIRABLE');
      }
    }
    const expected = Math.exp(repairYield(structure, partLoss(1, 0.12)).logAtMost);
    // Neither nearly all nor nearly none, or the comparison says nothing.
    expect(expected).toBeGreaterThan(0.3);
    expect(expected).toBeLessThan(0.9);
    expect(Math.abs(good / wafers - expected)).toBeLessThan(5 * Math.sqrt((expected * (1 - expected)) / wafers));
  });
});

describe('structure', () => {
  it('keeps half of the spares at each edge', () => {
    fc.assert(
      fc.property(structures, (structure) => {
        const home = homeOf(structure);
        expect(Math.abs(2 * home.x - spareColumns(structure))).toBeLessThanOrEqual(1);
        expect(Math.abs(2 * home.y - spareRows(structure))).toBeLessThanOrEqual(1);
      }),
    );
  });
});

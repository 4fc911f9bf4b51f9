import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRng, type Rng } from '../../core/index.ts';
import { drawDefects, drawGamma, drawPoisson, expectedDefects } from './draw.ts';
import type { WaferStructure } from './structure.ts';
import { structures } from './testing/arbitrary.ts';

/** Sample mean and variance of n draws. */
function moments(n: number, draw: (rng: Rng) => number, seed: number): { mean: number; variance: number } {
  const rng = createRng(seed);
  const xs = Array.from({ length: n }, () => draw(rng));
  const mean = xs.reduce((sum, x) => sum + x, 0) / n;
  return { mean, variance: xs.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (n - 1) };
}

const n = 20_000;
/** Five standard errors of a sample mean. */
const fiveErrors = (variance: number, samples = n): number => 5 * Math.sqrt(variance / samples);

describe('distributions', () => {
  it.each([0.3, 3, 46, 900])('Poisson of mean %d: mean and variance are equal', (mean) => {
    const samples = mean > 100 ? 2000 : n;
    const found = moments(samples, (rng) => drawPoisson(mean, rng), 1);
    expect(Math.abs(found.mean - mean)).toBeLessThan(fiveErrors(mean, samples));
    // Variance of the sample variance: (mean + 2 mean²) / n.
    expect(Math.abs(found.variance - mean)).toBeLessThan(fiveErrors(mean + 2 * mean * mean, samples));
  });

  it.each([0.4, 1, 2, 7])('gamma of shape %d: mean and variance are the shape', (shape) => {
    const found = moments(n, (rng) => drawGamma(shape, rng), 2);
    expect(Math.abs(found.mean - shape)).toBeLessThan(fiveErrors(shape));
    // Fourth central moment 3 a² + 6 a.
    expect(Math.abs(found.variance - shape)).toBeLessThan(fiveErrors(2 * shape * shape + 6 * shape));
  });
});

const die: WaferStructure = {
  width: 40,
  height: 50,
  logicalWidth: 40,
  logicalHeight: 50,
  dieColumns: 1,
  dieRows: 1,
};

describe('drawn maps', () => {
  // Few defects on many PEs, so that hardly ever two meet: an expected 4 / 2000 of them do.
  const process = { density: 0.002, peArea: 1, linkShare: 0 };

  it('have the expected number of defects, with Poisson variance', () => {
    const mean = expectedDefects(die, process);
    expect(mean).toBe(4);
    const found = moments(4000, (rng) => drawDefects(die, process, rng).deadPes.length, 3);
    expect(Math.abs(found.mean - mean)).toBeLessThan(fiveErrors(mean, 4000) + (mean * mean) / 2000 / 2);
    expect(Math.abs(found.variance - mean)).toBeLessThan(0.5);
  });

  it('where they cluster, have the variance of the negative binomial: m + m² / a', () => {
    const found = moments(4000, (rng) => drawDefects(die, { ...process, clustering: 2 }, rng).deadPes.length, 4);
    expect(Math.abs(found.mean - 4)).toBeLessThan(fiveErrors(12, 4000) + 0.02);
    expect(Math.abs(found.variance - 12)).toBeLessThan(1.5);
  });

  it('lie anywhere on the wafer alike, however it is cut in dies', () => {
    const uneven = { ...die, dieColumns: 7, dieRows: 12 };
    const rng = createRng(5);
    const [west, north, all] = [0, 0, 0].map(() => ({ count: 0 }));
    for (let i = 0; i < 2000; i++) {
      for (const { x, y } of drawDefects(uneven, process, rng).deadPes) {
        all.count++;
        if (x < 10) west.count++;
        if (y < 20) north.count++;
      }
    }
    const error = 5 * Math.sqrt(0.25 / all.count);
    expect(Math.abs(west.count / all.count - 10 / 40)).toBeLessThan(error);
    expect(Math.abs(north.count / all.count - 20 / 50)).toBeLessThan(error);
  });

  it('hit links with their share', () => {
    const rng = createRng(6);
    let [links, all] = [0, 0];
    for (let i = 0; i < 2000; i++) {
      const map = drawDefects(die, { ...process, linkShare: 0.3 }, rng);
      links += map.deadLinks.length;
      all += map.deadLinks.length + map.deadPes.length;
    }
    expect(Math.abs(links / all - 0.3)).toBeLessThan(5 * Math.sqrt(0.21 / all));
  });

  it('are the same for a seed, lie on the wafer, and are empty at density 0', () => {
    fc.assert(
      fc.property(structures, fc.integer(), fc.double({ min: 0, max: 1, noNaN: true }), (structure, seed, density) => {
        const some = { density, peArea: 1, linkShare: 0.5, clustering: 1 };
        const map = drawDefects(structure, some, createRng(seed));
        expect(drawDefects(structure, some, createRng(seed))).toEqual(map);
        for (const { x, y } of map.deadPes) expect(x < structure.width && y < structure.height).toBe(true);
        for (const { x, y, side } of map.deadLinks) {
          expect(side === 'east' ? x + 1 < structure.width : y + 1 < structure.height).toBe(true);
        }
        const none = drawDefects(structure, { ...some, density: 0 }, createRng(seed));
        expect(none.deadPes.length + none.deadLinks.length).toBe(0);
      }),
    );
  });
});

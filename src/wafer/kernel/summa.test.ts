import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { held } from './lower/exponential.ts';
import { lowerSumma, type SummaSpec } from './summa.ts';
import { normals, runLowered, wse2 } from './testing/run-lowered.ts';

const shapes = fc.record({
  side: fc.integer({ min: 2, max: 7 }),
  type: fc.constantFrom('fp32', 'fp16'),
  m: fc.integer({ min: 1, max: 80 }),
  k: fc.integer({ min: 1, max: 40 }),
  n: fc.integer({ min: 1, max: 40 }),
});

describe('SUMMA', () => {
  it('is A B within its roundings, in two colors', () => {
    fc.assert(
      fc.property(shapes, fc.nat(1000), (spec, seed) => {
        const { type, m, k, n } = spec;
        const [a, b] = [normals(m * k, seed), normals(k * n, seed + 5000)].map((t) => t.map((v) => held(v, type)));
        const kernel = lowerSumma(spec, wse2);
        const { values } = runLowered(kernel, { a, b }, seed);
        const unit = type === 'fp32' ? 2 ** -24 : 2 ** -11;
        for (let row = 0; row < m; row++)
          for (let column = 0; column < n; column++) {
            let sum = 0;
            let magnitude = 0;
            for (let i = 0; i < k; i++) {
              const term = a[row * k + i] * b[i * n + column];
              sum += term;
              magnitude += Math.abs(term);
            }
            // (the last term: half of the spacing below the normal numbers of fp16)
            expect(Math.abs(values[row * n + column] - sum)).toBeLessThanOrEqual(k * (unit * magnitude + 2 ** -25));
          }
        expect(new Set(kernel.program.routes.map((rule) => rule.color)).size).toBe(2);
      }),
      { numRuns: 15 },
    );
  });

  it('takes its closed form, less what a sender of B does while others still wait for A', () => {
    fc.assert(
      fc.property(shapes, (spec: SummaSpec) => {
        const { side, type, m, k, n } = spec;
        const tensors = { a: normals(m * k, 1), b: normals(k * n, 2) };
        const { cycles, priced } = runLowered(lowerSumma(spec, wse2), tensors);
        const [kTile, nTile] = [k, n].map((size) => Math.ceil(size / side));
        const lanes = type === 'fp32' ? wse2.fp32Lanes : wse2.fp16Lanes;
        const copied = Math.ceil((kTile * nTile) / lanes);
        const more = cycles - priced - wse2.taskStart;
        expect(more).toBeLessThanOrEqual(0);
        expect(more).toBeGreaterThanOrEqual(-side * (copied + 2 * wse2.vectorStartup));
      }),
      { numRuns: 25 },
    );
  });

  it('needs a square of at least two', () =>
    expect(() => lowerSumma({ side: 1, type: 'fp32', m: 1, k: 1, n: 1 }, wse2)).toThrow(/KERNEL_SHAPE/));
});

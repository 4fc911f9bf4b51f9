import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { collectives } from '../index.ts';
import { held } from './lower/exponential.ts';
import { allReduceBeyond, normals, runLowered, wse2 } from './testing/run-lowered.ts';
import { lowerTiledGemm, type TiledGemmSpec } from './tiled-gemm.ts';

const shapes = fc.record({
  width: fc.integer({ min: 1, max: 5 }),
  height: fc.integer({ min: 1, max: 4 }),
  m: fc.integer({ min: 1, max: 20 }),
  k: fc.integer({ min: 1, max: 24 }),
  n: fc.integer({ min: 1, max: 20 }),
});

describe('tiled GEMM', () => {
  it('is A B within its roundings, and takes its closed form and what its reduce takes alone', () => {
    fc.assert(
      fc.property(shapes, fc.nat(1000), (shape, seed) => {
        const spec: TiledGemmSpec = { ...shape, type: 'fp32', collective: collectives['chain'], group: 1 };
        const { width, height, m, k, n } = shape;
        const [a, b] = [normals(n * k, seed), normals(k * m, seed + 5000)].map((t) => t.map((v) => held(v, 'fp32')));
        const { values, cycles, priced } = runLowered(lowerTiledGemm(spec, wse2), { a, b }, seed);
        for (let row = 0; row < n; row++)
          for (let column = 0; column < m; column++) {
            let sum = 0;
            let magnitude = 0;
            for (let i = 0; i < k; i++) {
              const term = a[row * k + i] * b[i * m + column];
              sum += term;
              magnitude += Math.abs(term);
            }
            expect(Math.abs(values[row * m + column] - sum)).toBeLessThanOrEqual((k + width) * 2 ** -24 * magnitude);
          }
        const line = { parts: width, values: Math.ceil(n / height) * m, type: 'fp32', group: 1 } as const;
        expect(cycles - priced).toBe(wse2.taskStart + allReduceBeyond(collectives['chain'], line));
      }),
      { numRuns: 20 },
    );
  });
});

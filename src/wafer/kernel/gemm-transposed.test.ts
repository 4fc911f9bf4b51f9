import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { collectiveCycles } from '../../sim/index.ts';
import { collectives } from '../index.ts';
import { waveletsOf } from '../phase.ts';
import { lowerGemmTransposed, type GemmTransposedSpec } from './gemm-transposed.ts';
import { held } from './lower/exponential.ts';
import { normals, runLowered, wse2 } from './testing/run-lowered.ts';

const specs = fc
  .record({
    side: fc.integer({ min: 2, max: 6 }),
    type: fc.constantFrom('fp32', 'fp16'),
    m: fc.integer({ min: 1, max: 40 }),
    k: fc.integer({ min: 1, max: 30 }),
    n: fc.integer({ min: 1, max: 30 }),
    id: fc.constantFrom('chain', 'two-level'),
    group: fc.integer({ min: 1, max: 3 }),
  })
  .map(({ id, ...rest }): GemmTransposedSpec => ({ ...rest, collective: collectives[id] }));

describe('transposed GEMM', () => {
  it('is A Bᵀ within its roundings, and takes its closed form less what overlaps', () => {
    fc.assert(
      fc.property(specs, fc.nat(1000), (spec, seed) => {
        const { side, type, m, k, n, collective, group } = spec;
        const [a, b] = [normals(m * k, seed), normals(n * k, seed + 5000)].map((t) => t.map((v) => held(v, type)));
        const { values, cycles, priced } = runLowered(lowerGemmTransposed(spec, wse2), { a, b }, seed);
        const unit = type === 'fp32' ? 2 ** -24 : 2 ** -11;
        for (let row = 0; row < m; row++)
          for (let column = 0; column < n; column++) {
            let sum = 0;
            let magnitude = 0;
            for (let i = 0; i < k; i++) {
              const term = a[row * k + i] * b[column * k + i];
              sum += term;
              magnitude += Math.abs(term);
            }
            const bound = (k + side) * (unit * magnitude + 2 ** -25);
            expect(Math.abs(values[row * n + column] - sum)).toBeLessThanOrEqual(bound);
          }
        const more = cycles - priced;
        // Words that pass in start-ups are saved; what comes on top is a turn of the shift that a step waits for. Where a
        // collective does not say what another run right behind costs, the way of each sum but the last may be saved too,
        // and start-ups come on top that the counts of posted operations leave out.
        const isChain = collective.id === 'chain';
        const way = isChain ? 0 : collectiveCycles(collective, { parts: side, values: 1, type, group }, wse2);
        const words = 2 * waveletsOf(Math.ceil(k / side) * Math.ceil(n / side), type);
        expect(more).toBeGreaterThanOrEqual(-side * (way + words));
        expect(more).toBeLessThanOrEqual(wse2.taskStart + side * (isChain ? 2 : wse2.vectorStartup));
      }),
      { numRuns: 20 },
    );
  });

  it('needs a square of at least two', () =>
    expect(() =>
      lowerGemmTransposed(
        { side: 1, type: 'fp32', m: 1, k: 1, n: 1, collective: collectives['chain'], group: 1 },
        wse2,
      ),
    ).toThrow(/KERNEL_SHAPE/));
});

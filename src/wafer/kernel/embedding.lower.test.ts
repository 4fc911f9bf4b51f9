import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lowerEmbedding } from './embedding.lower.ts';
import { across } from './kernel.ts';
import { held } from './lower/exponential.ts';
import { normals, runLowered, wse2 } from './testing/run-lowered.ts';

const shapes = fc.record({
  width: fc.integer({ min: 1, max: 8 }),
  height: fc.integer({ min: 1, max: 8 }),
  axis: fc.constantFrom('x', 'y'),
  type: fc.constantFrom('fp32', 'fp16'),
  vocab: fc.integer({ min: 1, max: 40 }),
  size: fc.integer({ min: 1, max: 50 }),
  where: fc.double({ min: 0, max: 1, noNaN: true }),
});

describe('embedding', () => {
  it('leaves the row of the token on every line; cycles are the closed form when that is the furthest line, and less else', () => {
    fc.assert(
      fc.property(shapes, ({ where, ...spec }) => {
        const { vocab, size, type, axis, width, height } = spec;
        const table = normals(vocab * size, 1).map((v) => held(v, type));
        const token = Math.min(vocab - 1, Math.floor(where * vocab));
        const { values, cycles, priced } = runLowered(lowerEmbedding(spec, wse2), { table, id: [token] });
        expect([...values]).toEqual([...table.subarray(token * size, (token + 1) * size)]);

        const lines = across(axis, spec);
        const isFurthest = Math.floor(token / Math.ceil(vocab / lines)) === lines - 1;
        // A single PE reads the id itself.
        const start = wse2.taskStart + (width * height === 1 ? 1 : 0);
        if (isFurthest) expect(cycles).toBe(priced + start);
        else expect(cycles).toBeLessThanOrEqual(priced + start);
      }),
      { numRuns: 50 },
    );
  });
});

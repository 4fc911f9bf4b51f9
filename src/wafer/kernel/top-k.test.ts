import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { collectives } from '../index.ts';
import { along } from './kernel.ts';
import { lowerTopK } from './top-k.ts';
import { allReduceBeyond, runLowered, wse2 } from './testing/run-lowered.ts';

/** Few different values, so that many are equal; and neighbours in fp32. */
const logits = fc.array(
  fc.oneof(
    fc.constantFrom(-3, 0, 0.5, 7),
    fc.float({ noNaN: true, min: -100, max: 100 }),
    fc.constantFrom(1, 1 + 2 ** -23),
  ),
  { minLength: 1, maxLength: 80 },
);
const shapes = fc.record({
  width: fc.integer({ min: 1, max: 7 }),
  height: fc.integer({ min: 1, max: 7 }),
  axis: fc.constantFrom('x', 'y'),
  k: fc.integer({ min: 1, max: 4 }),
  group: fc.integer({ min: 1, max: 4 }),
  id: fc.constantFrom('chain', 'two-phase', 'two-level', 'pipeline'),
});

describe('top-k', () => {
  it('gives the largest values and their lowest places; cycles are the closed form, the owner of a value taking longest', () => {
    fc.assert(
      fc.property(shapes, logits, (shape, x) => {
        const collective = collectives[shape.id];
        const k = Math.min(shape.k, x.length);
        const kernel = lowerTopK({ ...shape, k, size: x.length, collective }, wse2);
        const { values, cycles, priced } = runLowered(kernel, { x });
        const order = x.map((_, i) => i).sort((a, b) => x[b] - x[a] || a - b);
        const expected = [...order.slice(0, k).map((i) => x[i]), ...order.slice(0, k)];
        expect([...values].map((v) => v + 0)).toEqual(expected.map((v) => v + 0));

        // A two-phase reduce with a short last group begins early where PEs are late: its sums are checked, not its cycles.
        // So does one whose tasks are entered again: it waits for what is set before.
        if (shape.id !== 'chain') return;
        const parts = along(shape.axis, shape);
        const length = Math.ceil(x.length / parts);
        const line = { parts, values: 1, type: 'fp32', group: shape.group } as const;
        const saved = priced + wse2.taskStart + 2 * k * allReduceBeyond(collective, line) - cycles;
        // Maxima that stay in one bank meet the vector there once in eight words; PEs that do not hold the value
        // skip up to two instructions.
        const meetings = 2 * k * Math.floor(length / wse2.sramBanks);
        expect(saved).toBeGreaterThanOrEqual(-meetings);
        expect(saved).toBeLessThanOrEqual(2 * k - meetings);
      }),
      { numRuns: 40 },
    );
  });

  it('refuses more than there are', () =>
    expect(() =>
      lowerTopK({ width: 2, height: 1, axis: 'x', size: 4, k: 5, collective: collectives['chain'], group: 1 }, wse2),
    ).toThrow(/KERNEL_SHAPE/));
});

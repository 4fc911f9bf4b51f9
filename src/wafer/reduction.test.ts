import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { reduceInOrder, reductionAlong, rootOf } from './reduction.ts';

const plans = fc
  .record({ parts: fc.integer({ min: 1, max: 60 }), group: fc.integer({ min: 1, max: 60 }) })
  .map(({ parts, group }) => ({ tile: 1, parts, group }));

describe('reduceInOrder', () => {
  it('adds every part once', () => {
    fc.assert(
      fc.property(plans, (plan) => {
        // Small integers are exact in any order.
        const sum = reduceInOrder(plan, (i) => i * i + 1, Math.fround);
        const expected = Array.from({ length: plan.parts }, (_, i) => i * i + 1).reduce((a, b) => a + b, 0);
        expect(sum).toBe(expected);
      }),
    );
  });

  it('asks for every part exactly once', () => {
    fc.assert(
      fc.property(plans, (plan) => {
        const asked: number[] = [];
        reduceInOrder(
          plan,
          (i) => asked.push(i),
          (x) => x,
        );
        expect(asked.sort((a, b) => a - b)).toEqual(Array.from({ length: plan.parts }, (_, i) => i));
      }),
    );
  });

  it('adds in the order of the two-level tree', () => {
    // One group of 5, root 2: (2 + (0 + 1)) + (4 + 3). Values chosen so that any other order rounds otherwise.
    const values = [1, 2 ** -24, 2 ** 24, 1, -(2 ** 24)];
    const round = Math.fround;
    const byHand = round(round(values[2] + round(values[0] + values[1])) + round(values[4] + values[3]));
    expect(reduceInOrder({ tile: 1, parts: 5, group: 5 }, (i) => values[i], round)).toBe(byHand);
    // Groups {0,1,2}, {3,4}: roots 1 and 4; the outer root is group 1: (4 + 3) + ((1 + 0) + 2).
    const two = round(round(values[4] + values[3]) + round(round(values[1] + values[0]) + values[2]));
    expect(reduceInOrder({ tile: 1, parts: 5, group: 3 }, (i) => values[i], round)).toBe(two);
  });

  it('cuts a length over the PEs of an axis', () => {
    const program = { mesh: { width: 7, height: 3 }, groups: { x: 3, y: 2 } };
    expect(reductionAlong(program, 'x', 20)).toEqual({ tile: 3, parts: 7, group: 3 });
    expect(reductionAlong(program, 'y', 20)).toEqual({ tile: 7, parts: 3, group: 2 });
    expect([1, 2, 3, 4, 5].map(rootOf)).toEqual([0, 1, 1, 2, 2]);
  });
});

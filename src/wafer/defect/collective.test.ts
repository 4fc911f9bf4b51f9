import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { allReduce } from '../collective/index.ts';
import { rootOf } from '../reduction.ts';
import { allReduceAround } from './collective.ts';

const lines = fc
  .record({
    parts: fc.integer({ min: 1, max: 60 }),
    values: fc.integer({ min: 1, max: 50 }),
    group: fc.integer({ min: 1, max: 20 }),
  })
  .chain((line) =>
    fc
      .array(fc.nat(3), { minLength: line.parts - 1, maxLength: line.parts - 1 })
      .map((extraHops) => ({ line: { ...line, type: 'fp32' as const }, extraHops })),
  );
const hopsOf = (phases: readonly { hops: number }[]): number => phases.reduce((sum, { hops }) => sum + hops, 0);

describe('all-reduce around defects', () => {
  it('is the all-reduce where no link has extra hops', () => {
    fc.assert(
      fc.property(lines, ({ line, extraHops }) => {
        expect(
          allReduceAround(
            line,
            extraHops.map(() => 0),
          ),
        ).toEqual(allReduce(line));
      }),
    );
  });

  it('takes at least the longer half twice, there and back, and at most the whole line for each level', () => {
    fc.assert(
      fc.property(lines, ({ line, extraHops }) => {
        const more = hopsOf(allReduceAround(line, extraHops)) - hopsOf(allReduce(line));
        const sum = (hops: readonly number[]): number => hops.reduce((a, b) => a + b, 0);
        const root = rootOf(line.parts);
        const longer = Math.max(sum(extraHops.slice(0, root)), sum(extraHops.slice(root)));
        expect(more).toBeGreaterThanOrEqual(longer);
        expect(more).toBeLessThanOrEqual(3 * sum(extraHops));
      }),
    );
  });

  it('adds what one detour in the way of each level takes', () => {
    // 9 PEs in groups of 3: roots 1, 4, 7. A hop more between PE 3 and PE 4 is inside the middle group, on the
    // way from root 1 to root 4, and on the way back.
    const line = { parts: 9, values: 1, type: 'fp32', group: 3 } as const;
    const before = allReduce(line);
    const after = allReduceAround(line, [0, 0, 0, 1, 0, 0, 0, 0]);
    expect(after.map(({ name, hops }, i) => [name, hops - before[i].hops])).toEqual([
      ['inside groups', 1],
      ['among group roots', 1],
      ['broadcast', 1],
    ]);
  });

  it('grows with every extra hop', () => {
    fc.assert(
      fc.property(lines, fc.nat(), ({ line, extraHops }, at) => {
        fc.pre(extraHops.length > 0);
        const more = extraHops.map((hops, i) => (i === at % extraHops.length ? hops + 1 : hops));
        expect(hopsOf(allReduceAround(line, more))).toBeGreaterThanOrEqual(hopsOf(allReduceAround(line, extraHops)));
      }),
    );
  });
});

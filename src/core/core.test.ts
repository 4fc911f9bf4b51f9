import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  createEventQueue,
  createRng,
  createVirtualClock,
  cycles,
  energy,
  fail,
  formatCount,
  formatDiagnostic,
  formatSi,
  IngotError,
  median,
  nearest,
  quantile,
  renderTable,
  scale,
  seconds,
  watts,
} from './index.ts';
import type { Cycles, Seconds } from './index.ts';

describe('units', () => {
  it('keep values of one unit apart from another at compile time', () => {
    const time: Seconds = seconds(1);
    // @ts-expect-error cycles are not seconds
    const wrong: Seconds = cycles(1);
    // @ts-expect-error nor are seconds cycles
    const other: Cycles = time;
    expect([wrong, other]).toHaveLength(2);
  });

  it('convert by their definitions', () => {
    expect(energy(watts(23_000), seconds(2))).toBe(46_000);
    expect(scale(seconds(2), 3)).toBe(6);
  });
});

describe('diagnostics', () => {
  it('carry the first code and print one field a line', () => {
    const d = {
      code: 'X_BAD',
      message: 'x is bad',
      where: 'here',
      expected: 'good',
      found: 'bad',
      suggestion: 'mend x',
    };
    expect(() => fail(d)).toThrow(IngotError);
    expect(new IngotError([d, { code: 'Y', message: 'y' }]).code).toBe('X_BAD');
    expect(formatDiagnostic(d)).toBe(
      'error X_BAD: x is bad\n  where: here\n  expected: good\n  found: bad\n  suggestion: mend x',
    );
    expect(formatDiagnostic({ code: 'Y', message: 'y' })).toBe('error Y: y');
  });

  it('suggest a name that is close and none that is not', () => {
    expect(nearest('llama-3.1-8', ['llama-3.1-8b', 'qwen3-8b'])).toBe('llama-3.1-8b');
    expect(nearest('WSE3', ['wse2', 'wse3'])).toBe('wse3');
    expect(nearest('zebra', ['llama', 'qwen'])).toBeUndefined();
    const long = 'x'.repeat(100);
    expect(nearest(long, [`${long}y`])).toBe(`${long}y`);
  });

  it('compare no long names, of which there may be megabytes', () => {
    const long = 'x'.repeat(4_000_000);
    expect(nearest(long, [`${long}y`])).toBeUndefined();
    expect(nearest('x', [long])).toBeUndefined();
  });
});

describe('rng', () => {
  it('same seed, same numbers; forks do not depend on later draws', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const [a, b] = [createRng(seed), createRng(seed)];
        b.u32();
        const draws = (rng: { u32(): number }): number[] => Array.from({ length: 5 }, () => rng.u32());
        expect(draws(a.fork('x'))).toEqual(draws(b.fork('x')));
        expect(draws(createRng(seed))).toEqual(draws(createRng(seed)));
      }),
    );
  });

  it('is uniform and normal to the accuracy of the sample', () => {
    const rng = createRng(7);
    const n = 20_000;
    const uniform = Array.from({ length: n }, () => rng.uniform());
    const normal = Array.from({ length: n }, () => rng.normal());
    const mean = (xs: number[]): number => xs.reduce((s, x) => s + x, 0) / xs.length;
    // Five standard errors: 5 / sqrt(12 n) and 5 / sqrt(n).
    expect(Math.abs(mean(uniform) - 0.5)).toBeLessThan(5 / Math.sqrt(12 * n));
    expect(Math.abs(mean(normal))).toBeLessThan(5 / Math.sqrt(n));
    expect(Math.abs(mean(normal.map((x) => x * x)) - 1)).toBeLessThan(5 * Math.sqrt(2 / n));
    expect(Math.min(...uniform)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...uniform)).toBeLessThan(1);
  });
});

describe('event queue', () => {
  it('pops in the order (time, rank, sequence)', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 2 }))), (events) => {
        const queue = createEventQueue<number>();
        events.forEach(([time, rank], i) => queue.schedule(time, i, rank));
        const popped = events.map(() => queue.pop()?.event);
        const expected = events
          .map(([time, rank], i) => ({ time, rank, i }))
          .sort((a, b) => a.time - b.time || a.rank - b.rank || a.i - b.i)
          .map(({ i }) => i);
        expect(popped).toEqual(expected);
        expect(queue.size).toBe(0);
        expect(queue.pop()).toBeUndefined();
      }),
    );
  });

  it('refuses times that have no order', () => {
    expect(() => createEventQueue().schedule(NaN, 0)).toThrow(RangeError);
  });
});

describe('virtual clock', () => {
  it('moves forward only', () => {
    const clock = createVirtualClock();
    clock.advanceTo(seconds(2));
    expect(clock.now()).toBe(2);
    expect(() => clock.advanceTo(seconds(1))).toThrow(RangeError);
  });
});

describe('quantiles', () => {
  it('interpolate between order statistics (type 7)', () => {
    expect(quantile([1, 2, 3, 4], 0.25)).toBe(1.75);
    expect(median([3, 1, 2])).toBe(2);
    expect(quantile([5], 0.99)).toBe(5);
    expect(quantile([], 0.5)).toBeNaN();
    expect(() => quantile([1], 2)).toThrow(RangeError);
  });
});

describe('text', () => {
  it('renders tables and numbers alike on every machine', () => {
    const table = renderTable(
      [
        { heading: 'name', text: (r: { a: string; b: number }) => r.a },
        { heading: 'n', text: (r) => String(r.b), align: 'right' },
      ],
      [
        { a: 'x', b: 1 },
        { a: 'long', b: 10 },
      ],
    );
    expect(table).toBe('name   n\n────  ──\nx      1\nlong  10');
    expect(formatCount(1234567)).toBe('1,234,567');
    expect(formatCount(12.5)).toBe('12.5');
    expect(formatSi(44e9, 'B')).toBe('44.0 GB');
    expect(formatSi(0.000_012, 's')).toBe('12.0 µs');
  });
});

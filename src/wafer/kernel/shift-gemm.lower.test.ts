import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dtypeCode } from '../machine/index.ts';
import { roundTo } from '../machine/arithmetic.ts';
import { waveletsOf } from '../phase.ts';
import { interleave } from '../collective/ring-shift.ts';
import { lowerShiftGemm } from './shift-gemm.lower.ts';
import { held } from './lower/exponential.ts';
import { normals, runLowered, wse2 } from './testing/run-lowered.ts';

const shapes = fc.record({
  ring: fc.constantFrom('interleaved', 'plain'),
  side: fc.integer({ min: 2, max: 7 }),
  type: fc.constantFrom('fp32', 'fp16'),
  m: fc.integer({ min: 1, max: 60 }),
  k: fc.integer({ min: 1, max: 24 }),
  n: fc.integer({ min: 1, max: 24 }),
});
const draw = (length: number, seed: number, type: 'fp32' | 'fp16'): Float64Array =>
  normals(length, seed).map((v) => held(v, type));

/** Half of the spacing below the normal numbers. */
const belowNormal = { fp32: 2 ** -150, fp16: 2 ** -25 } as const;

describe('interleaved ring', () => {
  it('visits every position, with neighbours at most two hops apart', () => {
    for (let side = 2; side < 40; side++) {
      const ring = interleave(side);
      expect([...ring].sort((a, b) => a - b)).toEqual(Array.from({ length: side }, (_, i) => i));
      ring.forEach((position, i) => expect(Math.abs(position - ring[(i + 1) % side])).toBeLessThanOrEqual(2));
    }
  });
});

describe('GEMM by cyclic shift', () => {
  it('is A B, adding the blocks of k from the one that a PE starts with, bit for bit', () => {
    fc.assert(
      fc.property(shapes, fc.nat(1000), (spec, seed) => {
        const { side, type, m, k, n } = spec;
        const [a, b] = [draw(m * k, seed, type), draw(k * n, seed + 5000, type)];
        const { values } = runLowered(lowerShiftGemm(spec, wse2), { a, b }, seed);
        const [mTile, kTile, nTile] = [m, k, n].map((size) => Math.ceil(size / side));
        const unit = type === 'fp32' ? 2 ** -24 : 2 ** -11;
        for (let row = 0; row < m; row++)
          for (let column = 0; column < n; column++) {
            const start = Math.floor(row / mTile) + Math.floor(column / nTile);
            let sum = 0;
            let exact = 0;
            let magnitude = 0;
            for (let step = 0; step < side; step++) {
              const first = ((start + step) % side) * kTile;
              for (let i = first; i < Math.min(k, first + kTile); i++) {
                const term = a[row * k + i] * b[i * n + column];
                sum = roundTo(dtypeCode[type], sum + term);
                exact += term;
                magnitude += Math.abs(term);
              }
            }
            // (+ 0 makes a negative zero a zero)
            expect(values[row * n + column] + 0).toBe(sum + 0);
            expect(Math.abs(sum - exact)).toBeLessThanOrEqual(2 * k * (unit * magnitude + belowNormal[type]));
          }
      }),
      { numRuns: 15 },
    );
  });

  it('takes its closed form, less the words that pass in start-ups', () => {
    fc.assert(
      fc.property(shapes, (spec) => {
        const { ring, side, type, m, k, n } = spec;
        const tensors = { a: draw(m * k, 1, type), b: draw(k * n, 2, type) };
        const { cycles, priced } = runLowered(lowerShiftGemm(spec, wse2), tensors);
        const [mTile, kTile, nTile] = [m, k, n].map((size) => Math.ceil(size / side));
        const words = 2 * (waveletsOf(mTile * kTile, type) + waveletsOf(kTile * nTile, type));
        const more = cycles - priced;
        // The closed form gives every word a cycle of its own. Those that pass while the main thread waits for a
        // start-up need none: all of them at most (the last step activates nothing, one cycle), a quarter of them where
        // there are several instructions, not much shorter than their start-ups.
        expect(more).toBeGreaterThanOrEqual(-side * words - 1);
        if (mTile >= 8 && kTile * nTile >= 8) expect(more).toBeGreaterThanOrEqual((-side * words) / 4 - 1);
        // Where there is little work the way of the words, two hops and two ramps, shows.
        const way = (ring === 'plain' ? side : 2) * wse2.hop + 2 * wse2.ramp + wse2.vectorStartup;
        expect(more).toBeLessThanOrEqual(side * way);
      }),
      { numRuns: 20 },
    );
  });

  it('needs a square of at least two', () =>
    expect(() => lowerShiftGemm({ ring: 'plain', side: 1, type: 'fp32', m: 1, k: 1, n: 1 }, wse2)).toThrow(
      /KERNEL_SHAPE/,
    ));
});

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { llama3Divisors } from '../../../test/oracle/model-gguf.ts';
import { IngotError } from '../../core/index.ts';
import type { RopeShape } from '../../spec/index.ts';
import { ropeInverseFrequencies } from '../op/rope.ts';
import { llama3Scaling } from './gguf-rope.ts';

type Scaling = NonNullable<RopeShape['scaling']>;
const scalingOf = (factor: number, low: number, high: number, context: number): Scaling => ({
  kind: 'llama3',
  factor,
  lowFreqFactor: low,
  highFreqFactor: high,
  originalContext: context,
});
const divisorsOf = (theta: number, headDim: number, scaling: Scaling): Float32Array =>
  llama3Divisors({ theta, scaling }, headDim)!;
const recovered = (theta: number, headDim: number, scaling: Scaling): Scaling | undefined =>
  llama3Scaling(theta, divisorsOf(theta, headDim, scaling), 'f');
const isRefused = (divisors: Float32Array, theta = 500_000): boolean => {
  try {
    llama3Scaling(theta, divisors, 'f');
    return false;
  } catch (error) {
    expect((error as IngotError).code).toBe('GGUF_ROPE_UNSUPPORTED');
    return true;
  }
};

describe('llama3Scaling', () => {
  it('gives the numbers of the published models exactly', () => {
    // config.json of Llama-3.1-8B and 405B; Llama-3.2-1B and 3B (rope_theta 500,000 in all).
    for (const [headDim, factor] of [
      [128, 8],
      [64, 32],
      [128, 32],
    ]) {
      const scaling = scalingOf(factor, 1, 4, 8192);
      expect(recovered(500_000, headDim, scaling)).toEqual(scaling);
    }
  });

  it('needs one frequency between the bounds, or none where the published numbers fit', () => {
    const one = scalingOf(8, 1, 4, 128);
    const divisors = divisorsOf(10_000, 16, one);
    expect([...divisors].filter((d) => d > 1 && d < 8)).toHaveLength(1);
    expect(llama3Scaling(10_000, divisors, 'f')).toEqual(one);
    // Wavelengths of 2π · 500,000^(i/4): 5,903 is between the published bounds, so heads of 4 have none.
    const none = scalingOf(8, 1, 4, 8192);
    expect([...divisorsOf(1e9, 4, none)].filter((d) => d > 1 && d < 8)).toHaveLength(0);
    expect(recovered(1e9, 4, none)).toEqual(none);
  });

  it('takes the same rope under other numbers: all three scaled by one', () => {
    expect(recovered(500_000, 128, scalingOf(8, 2, 8, 16_384))).toEqual(scalingOf(8, 1, 4, 8192));
  });

  it('is no scaling where every divisor is 1', () => {
    expect(llama3Scaling(10_000, new Float32Array(64).fill(1), 'f')).toBeUndefined();
  });

  it('gives the same frequencies wherever two lie between the bounds and one beyond them', () => {
    let recoverable = 0;
    fc.assert(
      fc.property(
        fc.double({ min: 1.5, max: 64, noNaN: true }),
        fc.double({ min: 1.5, max: 16, noNaN: true }),
        fc.integer({ min: 64, max: 32_768 }),
        fc.constantFrom(10_000, 500_000, 1_000_000),
        fc.constantFrom(16, 64, 80, 128),
        (factor, high, context, theta, headDim) => {
          const scaling = scalingOf(factor, 1, high, context);
          const divisors = divisorsOf(theta, headDim, scaling);
          const between = divisors.filter((d) => d > 1.001 && d < factor * 0.999).length;
          if (between < 2 || Math.abs(divisors.at(-1)! / factor - 1) > 1e-6) return;
          recoverable++;
          const found = llama3Scaling(theta, divisors, 'f');
          const ours = ropeInverseFrequencies({ theta, ...(found === undefined ? {} : { scaling: found }) }, headDim);
          const theirs = ropeInverseFrequencies({ theta, scaling }, headDim);
          ours.forEach((f, i) => expect(Math.abs(f / theirs[i] - 1)).toBeLessThan(3e-5));
        },
      ),
      { numRuns: 300 },
    );
    expect(recoverable).toBeGreaterThan(50);
  });

  it('refuses tables of another kind', () => {
    const published = divisorsOf(500_000, 128, scalingOf(8, 1, 4, 8192));
    expect(isRefused(published)).toBe(false);
    expect(isRefused(published, 10_000)).toBe(true);
    // One pair off by 1 in 1,000; linear scaling; factors below 1, NaN and infinity; the order turned round.
    expect(isRefused(published.with(40, published[40] * 1.001))).toBe(true);
    expect(isRefused(new Float32Array(64).fill(4))).toBe(true);
    expect(isRefused(new Float32Array(64).fill(0.5))).toBe(true);
    expect(isRefused(published.with(3, NaN))).toBe(true);
    expect(isRefused(published.with(63, Infinity))).toBe(true);
    expect(isRefused(published.toReversed())).toBe(true);
    // Phi-3's long factors grow without a plateau.
    expect(isRefused(Float32Array.from({ length: 64 }, (_, i) => 1 + i))).toBe(true);
  });
});

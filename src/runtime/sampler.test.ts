import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRng } from '../core/index.ts';
import { logprobsOf, sample, type Sampling } from './sampler.ts';

const logitsArb = fc
  .array(fc.double({ min: -8, max: 8, noNaN: true }), { minLength: 1, maxLength: 30 })
  .map((list) => Float32Array.from(list));

const softmax = (logits: Float32Array, temperature: number): number[] => {
  const max = Math.max(...logits);
  const weights = [...logits].map((x) => Math.exp((x - max) / temperature));
  const total = weights.reduce((a, b) => a + b);
  return weights.map((w) => w / total);
};

/** The definition, slow: tokens that the rules keep, with their probability. */
function kept(logits: Float32Array, { temperature, topK, topP = 1, minP = 0 }: Sampling): Map<number, number> {
  const p = softmax(logits, temperature);
  let ids = p.map((_, i) => i).sort((a, b) => p[b] - p[a] || a - b);
  ids = ids.slice(0, topK);
  ids = ids.filter((id) => p[id] >= minP * p[ids[0]]);
  const mass = ids.reduce((s, id) => s + p[id], 0);
  let cumulated = 0;
  ids = ids.filter((id) => {
    const before = cumulated;
    cumulated += p[id];
    return before < topP * mass;
  });
  const rest = ids.reduce((s, id) => s + p[id], 0);
  return new Map(ids.map((id) => [id, p[id] / rest]));
}

/** Probability of each token as drawn from 4,000 evenly spaced uniforms: no chance is left in the test. */
function frequencies(logits: Float32Array, sampling: Sampling): Map<number, number> {
  const draws = 4000;
  const counts = new Map<number, number>();
  for (let i = 0; i < draws; i++) {
    const even = { ...createRng(0), uniform: () => (i + 0.5) / draws };
    const token = sample(logits, sampling, even);
    counts.set(token, (counts.get(token) ?? 0) + 1 / draws);
  }
  return counts;
}

describe('sampler', () => {
  it('takes the first of the likeliest at temperature 0, without drawing', () => {
    const rng = {
      ...createRng(0),
      uniform: (): number => {
        throw new Error('drew');
      },
    };
    expect(sample(Float32Array.of(1, 3, 3, 2), { temperature: 0 }, rng)).toBe(1);
  });

  it('draws each kept token as often as its definition says, and no other', () => {
    fc.assert(
      fc.property(
        logitsArb,
        fc.record(
          {
            temperature: fc.constantFrom(0.5, 1, 2),
            topK: fc.integer({ min: 1, max: 12 }),
            // Shares that no sum of equal weights hits exactly: there rounding would decide.
            topP: fc.constantFrom(0.1037, 0.5123, 0.9071, 0.9917),
            minP: fc.constantFrom(0.0513, 0.3117),
          },
          { requiredKeys: ['temperature'] },
        ),
        (logits, sampling) => {
          const expected = kept(logits, sampling);
          const drawn = frequencies(logits, sampling);
          for (const [token, share] of drawn) expect(Math.abs(share - (expected.get(token) ?? -1))).toBeLessThan(1e-3);
          for (const [token, share] of expected) if (share > 1e-3) expect(drawn.has(token)).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('gives equal tokens for equal seeds', () => {
    const logits = Float32Array.from({ length: 100 }, (_, i) => Math.sin(i));
    const tokens = (seed: number): number[] => {
      const rng = createRng(seed);
      return Array.from({ length: 20 }, () => sample(logits, { temperature: 1 }, rng));
    };
    expect(tokens(7)).toEqual(tokens(7));
    expect(tokens(7)).not.toEqual(tokens(8));
  });

  it('never takes an impossible token and refuses what is no distribution', () => {
    const rng = createRng(1);
    const some = Float32Array.of(-Infinity, 0, -Infinity);
    for (let i = 0; i < 50; i++) expect(sample(some, { temperature: 2, topP: 0.9 }, rng)).toBe(1);
    for (const bad of [[NaN, 1], [Infinity, 1], [-Infinity, -Infinity], []]) {
      expect(() => sample(Float32Array.from(bad), { temperature: 0 }, rng)).toThrow('LOGITS_INVALID');
    }
  });

  it('reports log probabilities of the raw distribution, likeliest first', () => {
    fc.assert(
      fc.property(logitsArb, fc.integer({ min: 0, max: 20 }), fc.nat(), (logits, count, pick) => {
        const token = pick % logits.length;
        const p = softmax(logits, 1);
        const { logprob, top } = logprobsOf(logits, token, count);
        expect(Math.exp(logprob)).toBeCloseTo(p[token], 6);
        const expected = [...logits.keys()].sort((a, b) => logits[b] - logits[a] || a - b).slice(0, count);
        expect(top.map((entry) => entry.token)).toEqual(expected);
        for (const entry of top) expect(Math.exp(entry.logprob)).toBeCloseTo(p[entry.token], 6);
      }),
    );
  });
});

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { adjustable, logprobsIn } from './adjustable-logits.ts';
import type { SparseLogits } from './executor/executor.ts';
import { logprobsOf, sample, type Sampling } from './sampler.ts';

/** What sparse logits mean, written out. */
const dense = ({ tokens, values }: SparseLogits, vocab: number): Float32Array => {
  const all = new Float32Array(vocab).fill(Math.min(...values) - 20);
  for (const [i, token] of tokens.entries()) all[token] = values[i];
  return all;
};

type Change =
  | { readonly kind: 'set'; readonly token: number; readonly logit: number }
  | { readonly kind: 'keep'; readonly tokens: readonly number[]; readonly also: readonly number[] };

/** Few values, and some like that of the rest, so that many are equal. */
const logitArb = fc.constantFrom(-Infinity, -21.5, -20, -3, -1.5, 0, 0.25, 2);

const sometimes = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(arbitrary, { freq: 1 });

const samplingArb: fc.Arbitrary<Sampling> = fc
  .record({
    temperature: fc.constantFrom(0, 0.5, 1, 30),
    topK: sometimes(fc.integer({ min: 1, max: 160 })),
    // Shares that no sum of equal weights hits exactly: there rounding would decide.
    topP: sometimes(fc.constantFrom(0.1037, 0.5123, 0.9071, 0.9917)),
    minP: sometimes(fc.constantFrom(0.0513, 0.3117)),
  })
  .map(({ temperature, ...rules }) => ({
    temperature,
    ...Object.fromEntries(Object.entries(rules).filter(([, value]) => value !== null)),
  }));

const caseArb = fc.integer({ min: 2, max: 150 }).chain((vocab) => {
  const token = fc.integer({ min: 0, max: vocab - 1 });
  return fc.record({
    vocab: fc.constant(vocab),
    logits: fc
      .uniqueArray(token, { minLength: 1, maxLength: 12 })
      .chain((tokens) =>
        fc
          .array(fc.constantFrom(-1.5, 0, 0.25, 1, 2), { minLength: tokens.length, maxLength: tokens.length })
          .map((values) => ({ tokens: Int32Array.from(tokens), values: Float32Array.from(values) })),
      ),
    changes: fc.array(
      fc.oneof(
        { weight: 4, arbitrary: fc.record({ kind: fc.constant('set'), token, logit: logitArb }) },
        fc.record({
          kind: fc.constant('keep'),
          tokens: fc.uniqueArray(token, { maxLength: vocab }),
          also: fc.uniqueArray(token, { maxLength: 2 }),
        }),
      ) as fc.Arbitrary<Change>,
      { maxLength: 6 },
    ),
    sampling: samplingArb,
    // Off the sums at which one token ends and the next begins: there rounding would decide.
    draws: fc.array(fc.integer({ min: 0, max: 9999 }), { minLength: 1, maxLength: 8 }),
  });
});

const maskOf = (tokens: readonly number[]): Uint32Array => {
  const mask = new Uint32Array(Math.floor(Math.max(-1, ...tokens) / 32) + 1);
  for (const token of tokens) mask[token >> 5] |= 1 << (token & 31);
  return mask;
};

describe('adjustable logits', () => {
  it('sparse ones are and draw what dense ones are and draw, whatever rules do to them', () => {
    fc.assert(
      fc.property(caseArb, ({ vocab, logits, changes, sampling, draws }) => {
        const ids = Array.from({ length: vocab }, (_, token) => token);
        const apply = (given: SparseLogits | Float32Array) => {
          const adjusted = adjustable(given, vocab);
          let restLogit = Math.fround(Math.min(...logits.values) - 20);
          for (const change of changes) {
            if (change.kind === 'set') adjusted.set(change.token, change.logit);
            else {
              const kept = [...change.tokens, ...change.also];
              if (kept.every((token) => adjusted.get(token) === -Infinity)) restLogit = 0;
              adjusted.keep(maskOf(change.tokens), change.also);
            }
          }
          return { adjusted, all: Float32Array.from(ids, adjusted.get), restLogit };
        };
        const given = { tokens: logits.tokens.slice(), values: logits.values.slice() };
        const { adjusted, all, restLogit } = apply(logits);
        expect(all).toEqual(apply(dense(logits, vocab)).all);
        expect(logits).toEqual(given);
        if (all.every((logit) => logit === -Infinity)) {
          expect(() => adjusted.sample(sampling, { uniform: () => 0 })).toThrow('LOGITS_INVALID');
          return;
        }
        // The same numbers draw the same tokens of a vocabulary in which what rules and logits name comes first.
        const order = [...ids.filter((id) => all[id] !== restLogit), ...ids.filter((id) => all[id] === restLogit)];
        const reordered = Float32Array.from(order, (id) => all[id]);
        const { temperature, topK = vocab, topP = 1, minP = 0 } = sampling;
        const weights = ids.map((id) => Math.exp((all[id] - Math.max(...all)) / temperature));
        const possible = weights.filter((weight) => weight > 0 && weight >= minP).length;
        for (const draw of draws) {
          const rng = { uniform: () => (draw + 0.371) / 10_000 };
          expect(adjusted.sample(sampling, rng)).toBe(order[sample(reordered, sampling, rng)]);
          // And of the usual one, wherever the likeliest are taken first.
          if (topP < 1 || topK < possible) expect(adjusted.sample(sampling, rng)).toBe(sample(all, sampling, rng));
        }
      }),
      { numRuns: 300 },
    );
  });

  it('sparse ones have the log probabilities of dense ones', () => {
    fc.assert(
      fc.property(caseArb, fc.nat(), fc.integer({ min: 0, max: 20 }), ({ vocab, logits }, pick, count) => {
        const token = pick % vocab;
        const expected = logprobsOf(dense(logits, vocab), token, count);
        const { logprob, top } = logprobsIn(logits, vocab, token, count);
        expect(logprob).toBeCloseTo(expected.logprob, 9);
        expect(top.map((each) => each.token)).toEqual(expected.top.map((each) => each.token));
        for (const [i, each] of top.entries()) expect(each.logprob).toBeCloseTo(expected.top[i].logprob, 9);
      }),
    );
  });
});

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Executor } from '../../runtime/index.ts';
import { evaluateWindows } from './evaluate.ts';
import { createScorer } from './score.ts';
import { cutWindows, MIN_TOKENS } from './windows.ts';

const logits = (vocab: number) =>
  fc
    .array(fc.float({ min: -9, max: 9, noNaN: true }), { minLength: vocab, maxLength: vocab })
    .map((x) => Float32Array.from(x));

describe('score', () => {
  it('of a uniform model is the size of its vocabulary', () => {
    const scorer = createScorer();
    for (let token = 0; token < 5; token++) scorer.add(new Float32Array(37), new Float32Array(37), token);
    expect(scorer.score()).toEqual({ tokens: 5, perplexity: expect.closeTo(37, 10), agreement: 1, divergence: 0 });
  });

  it('of known distributions is what the formulas say', () => {
    // p = (1/2, 1/4, 1/4) is the reference, q = (1/4, 1/4, 1/2) the model; tokens 0 and 2 came.
    const q = Float32Array.of(0, 0, Math.LN2);
    const p = Float32Array.of(Math.LN2, 0, 0);
    const scorer = createScorer();
    scorer.add(q, p, 0);
    scorer.add(q, p, 2);
    const { perplexity, agreement, divergence } = scorer.score();
    expect(perplexity).toBeCloseTo(Math.sqrt(4 * 2), 6);
    expect(agreement).toBe(0);
    expect(divergence).toBeCloseTo(0.5 * Math.LN2 - 0.25 * Math.LN2, 6);
  });

  it('does not change with a constant that is added to all logits, and no divergence is below 0', () =>
    fc.assert(
      fc.property(logits(9), logits(9), fc.nat(8), (a, b, next) => {
        const [plain, shifted] = [createScorer(), createScorer()];
        plain.add(a, b, next);
        shifted.add(
          a.map((x) => x + 4),
          b.map((x) => x - 2),
          next,
        );
        expect(shifted.score().perplexity).toBeCloseTo(
          plain.score().perplexity,
          3 - Math.log10(plain.score().perplexity),
        );
        expect(shifted.score().divergence).toBeCloseTo(plain.score().divergence, 4);
        expect(plain.score().divergence).toBeGreaterThanOrEqual(0);
      }),
    ));
});

describe('windows', () => {
  it('hold every token once, each foretold but the first of a window', () =>
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 50 }),
        fc.integer({ min: 200, max: 400 }),
        fc.boolean(),
        (length, count, begins) => {
          const tokens = Array.from({ length: count }, (_, i) => i);
          const windows = cutWindows(tokens, 'text', { length, most: count, ...(begins ? { begin: 999 } : {}) });
          expect(Math.max(...windows.map((window) => window.length))).toBeLessThanOrEqual(length);
          const held = windows.flatMap((window) => [...window].slice(begins ? 1 : 0));
          expect(held).toEqual(tokens.slice(0, held.length));
          // A single token at the end foretells nothing.
          expect(held.length).toBeGreaterThanOrEqual(count - 1);
        },
      ),
    ));
  it('refuse a text that says too little', () => {
    const tokens = Array.from({ length: MIN_TOKENS }, () => 1);
    expect(() => cutWindows(tokens, 'text', { length: 2000, most: 2000 })).toThrow('EVALUATE_TEXT_TOO_SHORT');
    expect(cutWindows([...tokens, 1], 'text', { length: 2000, most: 2000 })).toHaveLength(1);
  });
});

/** Foretells the token after the last one, with a certainty. */
const counting = (certainty: number): Executor<Float32Array> => ({
  vocab: 8,
  maxContext: 100,
  blockTokens: 4,
  blocks: 25,
  maxStepTokens: 5,
  execute: ({ items }) =>
    Promise.resolve(
      items.map(({ tokens }) =>
        [...tokens].map((token) => Float32Array.from({ length: 8 }, (_, i) => (i === (token + 1) % 8 ? certainty : 0))),
      ),
    ),
  close: () => Promise.resolve(),
});

describe('evaluation', () => {
  const windows = [Int32Array.from({ length: 33 }, (_, i) => i % 8), Int32Array.from({ length: 7 }, (_, i) => i)];
  it('scores every token but the first of each window, by the formula', async () => {
    let done = 0;
    const score = await evaluateWindows(counting(3), counting(1), windows, (tokens) => (done += tokens));
    expect(done).toBe(38);
    expect(score).toMatchObject({ tokens: 38, agreement: 1 });
    expect(score.perplexity).toBeCloseTo((Math.exp(3) + 7) / Math.exp(3), 6);
    expect(score.divergence).toBeGreaterThan(0);
  });
  it('of a model beside itself finds no difference', async () => {
    const one = counting(2);
    expect(await evaluateWindows(one, one, windows, () => {})).toMatchObject({ agreement: 1, divergence: 0 });
    const alone = await evaluateWindows(one, one, windows, () => {});
    const twin = await evaluateWindows(counting(2), one, windows, () => {});
    expect(twin).toEqual(alone);
  });
});

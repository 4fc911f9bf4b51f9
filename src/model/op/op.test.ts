// Ops against laws and independent formulations; against other people's code in test/oracle.

import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import { createRng } from '../../core/index.ts';
import type { AttentionOp, GluOp, MoeOp, Op } from '../graph.ts';
import { chooseExperts, definitionOf, ops, ropeInverseFrequencies, visibleKeys, type KvCache } from './index.ts';

const random = (length: number, seed: number): Float32Array => {
  const rng = createRng(seed);
  return Float32Array.from({ length }, () => rng.normal());
};

function evaluate(
  op: Op,
  given: {
    tokens?: readonly number[];
    start?: number;
    values?: Readonly<Record<string, Float32Array>>;
    weights?: Readonly<Record<string, Float32Array>>;
    cache?: KvCache;
  },
): Float32Array {
  return definitionOf(op).evaluate(op, {
    tokens: given.tokens ?? [0],
    start: given.start ?? 0,
    value: (name) => given.values?.[name] ?? expect.fail(`no value ${name}`),
    weight: (name) => given.weights?.[name] ?? expect.fail(`no weight ${name}`),
    cache: given.cache ?? { keys: [], values: [] },
  });
}

const expectClose = (found: ArrayLike<number>, expected: ArrayLike<number>, within = 1e-5): void => {
  expect(found.length).toBe(expected.length);
  for (let i = 0; i < found.length; i++) expect(Math.abs(found[i] - expected[i])).toBeLessThan(within);
};

describe('embedding', () => {
  const op: Op = { kind: 'embedding', weight: 'table', vocab: 3, width: 2, out: 'x' };
  const weights = { table: Float32Array.of(0, 1, 10, 11, 20, 21) };
  it('picks rows', () => {
    expect([...evaluate(op, { tokens: [2, 0, 2], weights })]).toEqual([20, 21, 0, 1, 20, 21]);
  });
  it.each([-1, 3, 1.5, NaN])('refuses the token %s', (token) => {
    expect(() => evaluate(op, { tokens: [token], weights })).toThrow(/TOKEN_OUT_OF_RANGE/);
  });
});

describe('rmsnorm', () => {
  const norm = (groups: number): Op => ({
    kind: 'rmsnorm',
    input: 'x',
    weight: 'w',
    width: 12,
    groups,
    eps: 1e-12,
    out: 'y',
  });
  it('has root mean square 1 in each part for weights of 1, at any scale of the input', () => {
    for (const scale of [1e-3, 1, 1e3]) {
      const x = random(24, 1).map((value) => value * scale);
      const y = evaluate(norm(3), { tokens: [0, 0], values: { x }, weights: { w: new Float32Array(4).fill(1) } });
      for (let from = 0; from < 24; from += 4) {
        const squares = y.subarray(from, from + 4).reduce((sum, value) => sum + value * value, 0);
        expect(squares / 4).toBeCloseTo(1, 5);
      }
    }
  });
  it('adds eps to the mean square and applies the weight', () => {
    const op: Op = { kind: 'rmsnorm', input: 'x', weight: 'w', width: 2, groups: 1, eps: 4.5, out: 'y' };
    // mean(3², 4²) = 12.5; 12.5 + 4.5 = 17.
    const y = evaluate(op, { values: { x: Float32Array.of(3, 4) }, weights: { w: Float32Array.of(1, 2) } });
    expectClose(y, [3 / Math.sqrt(17), 8 / Math.sqrt(17)]);
  });
});

describe('linear', () => {
  it('is x · wᵀ + b', () => {
    const op: Op = { kind: 'linear', input: 'x', weight: 'w', bias: 'b', role: 'mlp', k: 2, n: 3, out: 'y' };
    const y = evaluate(op, {
      tokens: [0, 0],
      values: { x: Float32Array.of(1, 2, 3, 4) },
      weights: { w: Float32Array.of(1, 0, 0, 1, 1, 1), b: Float32Array.of(10, 20, 30) },
    });
    expect([...y]).toEqual([11, 22, 33, 13, 24, 37]);
  });
});

describe('rope', () => {
  const op: Op = { kind: 'rope', input: 'x', heads: 2, headDim: 8, rope: { theta: 10_000 }, out: 'y' };
  const turn = (x: Float32Array, start: number): Float32Array => evaluate(op, { start, values: { x } });
  const dot = (a: Float32Array, b: Float32Array): number => a.reduce((sum, value, i) => sum + value * b[i], 0);

  it('leaves position 0 as it is and keeps lengths', () => {
    const x = random(16, 2);
    expect([...turn(x, 0)]).toEqual([...x]);
    expect(dot(turn(x, 1234), turn(x, 1234))).toBeCloseTo(dot(x, x), 4);
  });
  it('makes products depend on the distance only', () => {
    const q = random(16, 3);
    const k = random(16, 4);
    const near = dot(turn(q, 7), turn(k, 3));
    expect(dot(turn(q, 107), turn(k, 103))).toBeCloseTo(near, 4);
    expect(Math.abs(dot(turn(q, 8), turn(k, 3)) - near)).toBeGreaterThan(1e-3);
  });
  it('turns pairs half a head apart, the first by one radian a position', () => {
    const x = new Float32Array(16);
    x[0] = 1;
    const y = turn(x, 1);
    expect(y[0]).toBeCloseTo(Math.cos(1), 6);
    expect(y[4]).toBeCloseTo(Math.sin(1), 6);
  });
});

describe('rope frequencies', () => {
  // Llama 3.1 (config.json of the release).
  const rope = {
    theta: 500_000,
    scaling: { kind: 'llama3' as const, factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalContext: 8192 },
  };
  const plain = ropeInverseFrequencies({ theta: rope.theta }, 128);
  const scaled = ropeInverseFrequencies(rope, 128);

  it('falls geometrically from 1', () => {
    expect(plain).toHaveLength(64);
    expect(plain[0]).toBe(1);
    for (let i = 1; i < 64; i++) expect(plain[i] / plain[i - 1]).toBeCloseTo(500_000 ** (-1 / 64), 12);
  });
  it('keeps short wavelengths, divides long ones by the factor, and falls between', () => {
    for (const [i, frequency] of plain.entries()) {
      const wavelength = (2 * Math.PI) / frequency;
      const ratio = frequency / scaled[i];
      if (wavelength < 8192 / 4) expect(ratio).toBe(1);
      else if (wavelength > 8192) expect(ratio).toBeCloseTo(8, 12);
      else expect(ratio > 1 && ratio < 8).toBe(true);
      if (i > 0) expect(scaled[i]).toBeLessThan(scaled[i - 1]);
    }
  });
  it('is continuous at both ends of the interpolation', () => {
    // A context that puts a frequency just inside each end.
    const at = (turns: number): number => {
      const originalContext = (turns * 2 * Math.PI) / plain[10];
      return plain[10] / ropeInverseFrequencies({ ...rope, scaling: { ...rope.scaling, originalContext } }, 128)[10];
    };
    expect(at(1 + 1e-9)).toBeCloseTo(8, 6);
    expect(at(4 - 1e-9)).toBeCloseTo(1, 6);
  });
});

describe('attention', () => {
  const attentionOp = (heads: number, kvHeads: number, headDim: number, slidingWindow?: number): AttentionOp => ({
    kind: 'attention',
    q: 'q',
    k: 'k',
    v: 'v',
    heads,
    kvHeads,
    headDim,
    scale: 1 / Math.sqrt(headDim),
    ...(slidingWindow === undefined ? {} : { slidingWindow }),
    out: 'y',
  });

  /** One matrix of masked scores per head, softmax by log-sum-exp: no cache, no loop over a visible range. */
  function masked(op: AttentionOp, tokens: number, q: Float32Array, k: Float32Array, v: Float32Array): number[] {
    const { heads, kvHeads, headDim } = op;
    const window = op.slidingWindow ?? Infinity;
    const out: number[] = Array.from({ length: tokens * heads * headDim }, () => 0);
    for (let head = 0; head < heads; head++) {
      const shared = Math.floor(head / (heads / kvHeads));
      for (let i = 0; i < tokens; i++) {
        const scores = Array.from({ length: tokens }, (_, j) => {
          if (j > i || i - j >= window) return -Infinity;
          let dot = 0;
          for (let d = 0; d < headDim; d++)
            dot += q[(i * heads + head) * headDim + d] * k[(j * kvHeads + shared) * headDim + d];
          return dot / Math.sqrt(headDim);
        });
        const logSum = Math.log(scores.reduce((sum, score) => sum + Math.exp(score), 0));
        for (const [j, score] of scores.entries()) {
          for (let d = 0; d < headDim; d++)
            out[(i * heads + head) * headDim + d] += Math.exp(score - logSum) * v[(j * kvHeads + shared) * headDim + d];
        }
      }
    }
    return out;
  }

  it('equals masked softmax, whole or token by token or in chunks, with and without a window', () => {
    fc.assert(
      fc.property(
        fc.record({
          groups: fc.integer({ min: 1, max: 3 }),
          kvHeads: fc.integer({ min: 1, max: 3 }),
          headDim: fc.constantFrom(2, 4),
          tokens: fc.integer({ min: 1, max: 12 }),
          chunk: fc.integer({ min: 1, max: 12 }),
          window: fc.option(fc.integer({ min: 1, max: 14 }), { nil: undefined }),
          seed: fc.nat(),
        }),
        ({ groups, kvHeads, headDim, tokens, chunk, window, seed }) => {
          const heads = groups * kvHeads;
          const op = attentionOp(heads, kvHeads, headDim, window);
          const q = random(tokens * heads * headDim, seed);
          const k = random(tokens * kvHeads * headDim, seed + 1);
          const v = random(tokens * kvHeads * headDim, seed + 2);
          const cache: KvCache = { keys: [], values: [] };
          const found: number[] = [];
          for (let start = 0; start < tokens; start += chunk) {
            const end = Math.min(tokens, start + chunk);
            const rows = (x: Float32Array, width: number): Float32Array => x.slice(start * width, end * width);
            const values = {
              q: rows(q, heads * headDim),
              k: rows(k, kvHeads * headDim),
              v: rows(v, kvHeads * headDim),
            };
            found.push(...evaluate(op, { tokens: Array.from({ length: end - start }, () => 0), start, values, cache }));
          }
          expect(cache.keys).toHaveLength(tokens);
          expectClose(found, masked(op, tokens, q, k, v));
        },
      ),
      { numRuns: 60 },
    );
  });

  it('survives scores whose exponentials overflow', () => {
    const op = attentionOp(1, 1, 2);
    const values = { q: Float32Array.of(1e4, 0), k: Float32Array.of(1e4, 0), v: Float32Array.of(3, 4) };
    expect([...evaluate(op, { values })]).toEqual([3, 4]);
  });

  it('counts the keys that queries see', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.nat({ max: 20 }),
        fc.option(fc.integer({ min: 1, max: 25 }), { nil: undefined }),
        (tokens, context, window) => {
          let count = 0;
          for (let position = context; position < context + tokens; position++) {
            for (let j = 0; j <= position; j++) if (position - j < (window ?? Infinity)) count++;
          }
          expect(visibleKeys(attentionOp(1, 1, 2, window), tokens, context)).toBe(count);
        },
      ),
    );
  });
});

describe('glu', () => {
  const activate = (activation: GluOp['activation'], x: number): number => {
    const op: Op = { kind: 'glu', gate: 'g', up: 'u', activation, width: 1, out: 'y' };
    return evaluate(op, { values: { g: Float32Array.of(x), u: Float32Array.of(1) } })[0];
  };
  it('silu and gelu are x times a sigmoid-like share: f(x) - f(-x) = x', () => {
    for (const activation of ['silu', 'gelu-tanh'] as const) {
      for (const x of [0, 0.1, 1, 3, 20]) expect(activate(activation, x) - activate(activation, -x)).toBeCloseTo(x, 5);
    }
  });
  it('silu(x) = x / (1 + e^-x)', () => {
    expect(activate('silu', Math.log(3))).toBeCloseTo((Math.log(3) * 3) / 4, 6);
    expect(activate('silu', -1000)).toBeCloseTo(0, 6);
  });
  it('gelu-tanh is near x · Φ(x)', () => {
    // Φ(1) = 0.841345, Φ(-2) = 0.022750 (tables of the normal distribution); the tanh form is within 5e-4.
    expect(activate('gelu-tanh', 1)).toBeCloseTo(0.841345, 3);
    expect(activate('gelu-tanh', -2)).toBeCloseTo(-2 * 0.02275, 3);
  });
  it('multiplies by up', () => {
    const op: Op = { kind: 'glu', gate: 'g', up: 'u', activation: 'silu', width: 2, out: 'y' };
    const y = evaluate(op, { values: { g: Float32Array.of(0, 40), u: Float32Array.of(5, -2) } });
    expectClose(y, [0, -80]);
  });
});

describe('add', () => {
  it('adds', () => {
    const op: Op = { kind: 'add', a: 'a', b: 'b', width: 2, out: 'y' };
    const values = { a: Float32Array.of(1, 2), b: Float32Array.of(10, 20) };
    expect([...evaluate(op, { values })]).toEqual([11, 22]);
  });
});

describe('facets', () => {
  const linear = { kind: 'linear', input: 'x', weight: 'w', bias: 'b', role: 'mlp', k: 5, n: 7, out: 'y' } as const;
  it('a linear op is a multiply-add per weight and token, and an add per bias', () => {
    expect(ops.linear.weightElements(linear)).toBe(5 * 7 + 7);
    expect(ops.linear.flops(linear, 3, 100)).toBe(3 * (2 * 5 * 7 + 7));
  });
  it('work is linear in tokens for all but attention, where splitting a prompt changes nothing in all', () => {
    const attention: AttentionOp = {
      kind: 'attention',
      q: 'q',
      k: 'k',
      v: 'v',
      heads: 4,
      kvHeads: 2,
      headDim: 8,
      scale: 1,
      slidingWindow: 6,
      out: 'y',
    };
    for (const op of [linear, attention] satisfies Op[]) {
      const { flops } = definitionOf(op);
      expect(flops(op, 4, 3) + flops(op, 5, 7)).toBe(flops(op, 9, 3));
    }
  });
  it('YaRN keeps fast pairs, divides slow ones, and goes from one to the other between', () => {
    const scaling = {
      kind: 'yarn',
      factor: 32,
      originalContext: 4096,
      betaFast: 32,
      betaSlow: 1,
      attentionFactor: 1,
      truncate: false,
    } as const;
    const plain = ropeInverseFrequencies({ theta: 150_000 }, 64);
    const kept = ropeInverseFrequencies({ theta: 150_000, scaling }, 64).map((x, i) => x / plain[i]);
    // A pair turns `beta` times in the original context at index 64 ln(4096 / (2π beta)) / (2 ln theta): 8.09 and 17.4.
    for (const share of kept.slice(0, 9)) expect(share).toBe(1);
    for (let i = 9; i <= 17; i++) expect(kept[i]).toBeCloseTo(1 - ((i - 8.0928) / (17.398 - 8.0928)) * (31 / 32), 3);
    for (const share of kept.slice(18)) expect(share).toBeCloseTo(1 / 32, 12);
    const whole = ropeInverseFrequencies({ theta: 150_000, scaling: { ...scaling, truncate: true } }, 64);
    expect(whole[9] / plain[9]).toBeCloseTo(1 - (1 / 10) * (31 / 32), 12);
  });
  it('experts are chosen by score and bias, from the best groups, and weighted by score alone', () => {
    const op: MoeOp = {
      kind: 'moe',
      input: 'x',
      router: 'r',
      routerBias: 'b',
      routing: { score: 'sigmoid', normalize: true, scale: 3, bias: 'choice', groups: { count: 3, active: 2 } },
      experts: 6,
      activeExperts: 2,
      gate: '{expert}.gate',
      up: '{expert}.up',
      down: '{expert}.down',
      expertBias: true,
      expertFfn: 1,
      activation: 'silu',
      width: 1,
      out: 'y',
    };
    // Groups of two, sums 5, 6 and 5: the second and, of equals, the first.
    expect(chooseExperts(op, Float32Array.of(5, 0, 3, 3, 4, 1))).toEqual([0, 2]);
    expect(
      chooseExperts(
        { ...op, routing: { ...op.routing, groups: { count: 3, active: 1 } } },
        Float32Array.of(5, 0, 3, 3, 4, 1),
      ),
    ).toEqual([2, 3]);
    // Experts answer with their number, by the bias of the last projection; scores are 1/2, but for 3/4 of expert 4.
    const none = ['gate', 'up', 'down'].flatMap((module) =>
      [0, 1, 2, 3, 4, 5].flatMap((expert) => [
        [`${expert}.${module}.weight`, Float32Array.of(0)] as const,
        [`${expert}.${module}.bias`, Float32Array.of(module === 'down' ? expert : 0)] as const,
      ]),
    );
    const weights = {
      ...Object.fromEntries(none),
      r: Float32Array.of(0, 0, 0, 0, Math.log(3), 0),
      b: Float32Array.of(0, 9, 0, 0, 0, 0),
    };
    const values = { x: Float32Array.of(1) };
    expectClose(evaluate(op, { values, weights }), [3 * ((0.5 / 1.25) * 1 + (0.75 / 1.25) * 4)]);
    const plain = { ...op, routing: { score: 'softmax', normalize: false, scale: 1 } as const };
    expectClose(evaluate(plain, { values, weights }), [(3 / 8) * 4 + (1 / 8) * 0]);
  });
  it('a mixture works as much as its active experts', () => {
    const moe = {
      kind: 'moe',
      input: 'x',
      router: 'r',
      routing: { score: 'softmax', normalize: true, scale: 1 },
      experts: 64,
      activeExperts: 4,
      expertFfn: 32,
      expertBias: false,
      gate: 'experts.{expert}.gate',
      up: 'experts.{expert}.up',
      down: 'experts.{expert}.down',
      activation: 'silu',
      width: 16,
      out: 'y',
    } as const;
    expect(ops.moe.weightElements(moe)).toBe(64 * (16 + 3 * 16 * 32));
    const more = ops.moe.flops({ ...moe, activeExperts: 5 }, 1, 0) - ops.moe.flops(moe, 1, 0);
    expect(more).toBe(2 * 3 * 16 * 32 + 5 * 32 + 2 * 16);
    const twice = ops.moe.flops({ ...moe, experts: 128 }, 1, 0) - ops.moe.flops(moe, 1, 0);
    expect(twice).toBe(64 * (2 * 16 + 4));
  });
});

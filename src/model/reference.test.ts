// The reference by its own laws. That it computes the right thing is shown against llama.cpp in test/oracle.

import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import type { LlmShape } from '../spec/index.ts';
import { archs, graphOf } from './arch/index.ts';
import type { WeightSource } from './graph.ts';
import { argmax, createReference, type Reference } from './reference.ts';
import { randomWeights } from './testing/random-weights.ts';

const tiny = (arch: string): LlmShape => ({
  arch,
  hidden: 16,
  layers: 2,
  vocab: 24,
  maxContext: 32,
  normEps: 1e-5,
  layerNorms: 2,
  rope: { theta: 10_000 },
  tiedEmbeddings: arch === 'qwen3',
  attention: {
    kind: 'gqa',
    heads: 4,
    kvHeads: 2,
    headDim: 4,
    qkvBias: arch === 'qwen2',
    outBias: false,
    qkNorm: arch === 'qwen3',
    ...(arch === 'mistral' ? { slidingWindow: 5 } : {}),
  },
  mlp: { kind: 'dense', ffn: 24 },
});
const referenceOf = (shape: LlmShape, weights: WeightSource = randomWeights(shape, 7)) =>
  createReference(graphOf(shape), weights);

const executable = archs.filter(({ parse }) => parse !== undefined).map(({ id }) => id);

describe.each(executable)('%s', (arch) => {
  const shape = tiny(arch);
  const reference = referenceOf(shape);

  it('gives the same bits however a text is split into steps', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat({ max: shape.vocab - 1 }), { minLength: 1, maxLength: 14 }),
        fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 14, maxLength: 14 }),
        (tokens, chunks) => {
          const whole = reference.start().forward(tokens, { all: true });
          const session = reference.start();
          for (let at = 0, step = 0; at < tokens.length; step++) {
            const next = tokens.slice(at, at + chunks[step]);
            at += next.length;
            const logits = session.forward(next);
            expect([...logits]).toEqual([...whole.subarray((at - 1) * shape.vocab, at * shape.vocab)]);
            expect(session.length).toBe(at);
          }
        },
      ),
      { numRuns: 20 },
    );
  });

  it('keeps sequences apart', () => {
    const alone = reference.start().forward([1, 2, 3]);
    const a = reference.start();
    const b = reference.start();
    a.forward([1, 2]);
    b.forward([9, 8, 7, 6]);
    expect([...a.forward([3])]).toEqual([...alone]);
  });

  it('does not let a later token change an earlier row, nor forget an earlier one within reach', () => {
    const rows = (tokens: readonly number[]) => reference.start().forward(tokens, { all: true });
    const before = rows([1, 2, 3, 4]);
    expect([...rows([1, 2, 3, 9]).subarray(0, 3 * shape.vocab)]).toEqual([...before.subarray(0, 3 * shape.vocab)]);
    expect([...rows([9, 2, 3, 4]).subarray(3 * shape.vocab)]).not.toEqual([...before.subarray(3 * shape.vocab)]);
  });
});

describe('a sliding window', () => {
  it('reaches window - 1 tokens back per layer, and no further', () => {
    const shape = tiny('mistral');
    const reference = referenceOf(shape);
    // Two layers with a window of 5: the last row depends on the 8 tokens before it.
    const text = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
    const last = (tokens: readonly number[]) => [...reference.start().forward(tokens)];
    expect(last(text.with(1, 20))).toEqual(last(text));
    expect(last(text.with(2, 20))).not.toEqual(last(text));
  });
});

describe('refusals', () => {
  const shape = tiny('llama');
  const weights = randomWeights(shape, 7);

  it('a graph that is for sizing only', () => {
    const graph = { ...graphOf(shape), unsupported: ['telepathy'] };
    expect(() => createReference(graph, weights)).toThrow(/ARCH_UNSUPPORTED/);
  });
  it('a weight that is missing or has another shape', () => {
    const name = 'model.layers.1.mlp.up_proj.weight';
    const lacking: WeightSource = { ...weights, has: (n) => n !== name && weights.has(n) };
    expect(() => referenceOf(shape, lacking).start().forward([1])).toThrow(/CHECKPOINT_TENSOR_MISSING/);
    const bent: WeightSource = { ...weights, shape: (n) => (n === name ? [16, 24] : weights.shape(n)) };
    expect(() => referenceOf(shape, bent).start().forward([1])).toThrow(/CHECKPOINT_TENSOR_SHAPE/);
  });
  it('a text over the context, or a token outside the vocabulary, and leaves the session as it was', () => {
    const session = referenceOf(shape).start();
    session.forward([1, 2]);
    expect(() => session.forward(Array.from({ length: 31 }, () => 1))).toThrow(/CONTEXT_OVERFLOW/);
    expect(() => session.forward([24])).toThrow(/TOKEN_OUT_OF_RANGE/);
    expect(() => session.forward([])).toThrow(RangeError);
    expect(session.length).toBe(2);
    expect([...session.forward([3])]).toEqual([...referenceOf(shape).start().forward([1, 2, 3])]);
    expect(session.forward(Array.from({ length: 29 }, () => 1))).toHaveLength(shape.vocab);
  });
});

describe('greedy', () => {
  it('takes the first of equal logits', () => {
    expect(argmax(Float32Array.of(-1, 3, 2, 3))).toBe(1);
  });
  it('is what argmax over whole forward passes gives', () => {
    const reference = referenceOf(tiny('qwen3'));
    const text = [3, 1, 4];
    const tokens = greedyTokens(reference, text, 6);
    for (const token of tokens) {
      expect(argmax(reference.start().forward(text))).toBe(token);
      text.push(token);
    }
  });
});

/** The next `count` tokens after `prompt`, each the most likely one. */
function greedyTokens(reference: Reference, prompt: readonly number[], count: number): number[] {
  const session = reference.start();
  const tokens: number[] = [];
  let next: readonly number[] = prompt;
  while (tokens.length < count) {
    const token = argmax(session.forward(next));
    tokens.push(token);
    next = [token];
  }
  return tokens;
}

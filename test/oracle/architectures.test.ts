// Every architecture that Ingot executes, on random weights, against llama.cpp. Tokens and logits must agree, and
// a model that differs in the one feature under test must not, so that agreement means something.

import { describe, expect, it } from 'vitest';
import { createRng } from '../../src/core/index.ts';
import { argmax, createReference, graphOf, randomWeights, type WeightSource } from '../../src/model/index.ts';
import type { GqaShape, LlmShape } from '../../src/spec/index.ts';
import { llamaCppAbsent, runLlamaCpp, type LlamaCppResult } from './llama-cpp.ts';

/** Largest difference of any logit; both sides store float32, and were seen to differ by 2e-5 at most. */
const tolerance = 1e-3;
/** The same where llama.cpp looks GELU up in a table of half-precision values; seen: 1.6e-2 after 46 layers. */
const geluTolerance = 3e-2;
const toleranceOf = ({ arch }: LlmShape): number => (arch === 'gemma2' ? geluTolerance : tolerance);
/** Least difference that a missing feature makes. */
const missing = 0.1;
const steps = 64;
const promptLength = 24;

const attention: GqaShape = {
  kind: 'gqa',
  heads: 4,
  kvHeads: 2,
  headDim: 16,
  qkvBias: false,
  outBias: false,
  qkNorm: false,
};

const tiny: LlmShape = {
  arch: 'llama',
  hidden: 64,
  layers: 3,
  vocab: 320,
  maxContext: 256,
  normEps: 1e-5,
  layerNorms: 2,
  rope: { theta: 10_000 },
  tiedEmbeddings: false,
  attention,
  mlp: { kind: 'dense', ffn: 160 },
};

/** With heads of 16, an original context of 128 puts frequencies in each of the three ranges of the scaling. */
const llama3: LlmShape['rope'] = {
  theta: 10_000,
  scaling: { kind: 'llama3', factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalContext: 128 },
};

const gemmaAttention: GqaShape = {
  ...attention,
  headDim: 24,
  slidingWindow: 16,
  fullAttentionEvery: 2,
  scoreWidth: 24,
  softcap: 1.5,
};
const gemma: LlmShape = {
  ...tiny,
  arch: 'gemma2',
  layerNorms: 4,
  tiedEmbeddings: true,
  logitSoftcap: 2,
  attention: gemmaAttention,
};
/** Gemma 2 scales scores otherwise in its 27B form, which llama.cpp knows by the 46 layers. */
const gemma27b: LlmShape = {
  ...gemma,
  hidden: 32,
  layers: 46,
  mlp: { kind: 'dense', ffn: 40 },
  attention: { ...gemmaAttention, scoreWidth: 8 },
};
/** Outputs of layers ten times as loud: embeddings of deviation 1 and a tied head would repeat one token. */
const louder = (random: WeightSource): WeightSource => ({
  ...random,
  read: (name) => (/\.post_\w+_layernorm\./.test(name) ? random.read(name).map((x) => x + 9) : random.read(name)),
});

const phi: LlmShape = {
  ...tiny,
  arch: 'phi3',
  fusedProjections: true,
  rope: {
    theta: 10_000,
    scaling: { kind: 'longrope', divisors: [1, 1.125, 1.5, 2, 3, 5, 8, 12], attentionFactor: 1.1875 },
  },
};
/** Phi-4 mini: a part of each head is rotated. */
const phi4: LlmShape = {
  ...phi,
  tiedEmbeddings: true,
  rope: { theta: 10_000 },
  attention: { ...attention, ropeHeadDim: 12 },
};

interface Without {
  readonly feature: string;
  readonly shape: LlmShape;
}

interface Case {
  readonly name: string;
  readonly shape: LlmShape;
  /** The same model with one feature changed. */
  readonly without: Without | readonly Without[];
  /** What to make of the random weights; absent: nothing. */
  readonly weights?: (random: WeightSource) => WeightSource;
}

const cases: readonly Case[] = [
  {
    name: 'llama: grouped-query attention, llama3 rope scaling, tied embeddings',
    shape: { ...tiny, tiedEmbeddings: true, rope: llama3 },
    without: { feature: 'rope scaling', shape: { ...tiny, tiedEmbeddings: true } },
  },
  {
    name: 'llama: multi-head attention, biases on all projections of attention',
    shape: { ...tiny, attention: { ...attention, kvHeads: 4, qkvBias: true, outBias: true } },
    without: {
      feature: 'output bias',
      shape: { ...tiny, attention: { ...attention, kvHeads: 4, qkvBias: true } },
    },
  },
  {
    name: 'mistral: full attention',
    shape: { ...tiny, arch: 'mistral', rope: { theta: 1_000_000 } },
    without: { feature: 'the large theta', shape: { ...tiny, arch: 'mistral' } },
  },
  {
    name: 'mistral: sliding window of 16',
    shape: { ...tiny, arch: 'mistral', attention: { ...attention, slidingWindow: 16 } },
    without: {
      feature: 'the exact window (15)',
      shape: { ...tiny, arch: 'mistral', attention: { ...attention, slidingWindow: 15 } },
    },
  },
  {
    name: 'qwen2: biases on query, key and value',
    shape: { ...tiny, arch: 'qwen2', attention: { ...attention, qkvBias: true } },
    without: { feature: 'biases', shape: { ...tiny, arch: 'qwen2' } },
  },
  {
    name: 'qwen3: norms of query and key, heads wider than hidden / heads',
    shape: { ...tiny, arch: 'qwen3', tiedEmbeddings: true, attention: { ...attention, headDim: 32, qkNorm: true } },
    without: {
      feature: 'norms of query and key',
      shape: { ...tiny, arch: 'qwen3', tiedEmbeddings: true, attention: { ...attention, headDim: 32 } },
    },
  },
  {
    name: 'phi3: fused projections, LongRoPE',
    shape: phi,
    without: [
      { feature: 'scaling', shape: { ...phi, rope: { theta: 10_000 } } },
      {
        feature: 'the attention factor',
        shape: {
          ...phi,
          rope: {
            theta: 10_000,
            scaling: { kind: 'longrope', divisors: [1, 1.125, 1.5, 2, 3, 5, 8, 12], attentionFactor: 1 },
          },
        },
      },
    ],
  },
  {
    name: 'phi3: a part of each head rotated, tied embeddings',
    shape: phi4,
    without: { feature: 'the part that is not', shape: { ...phi4, attention } },
  },
  {
    name: 'gemma2: soft caps, a window in every other layer, four norms, scaled embeddings',
    shape: gemma,
    weights: louder,
    without: [
      { feature: 'the cap of the logits', shape: { ...gemma, logitSoftcap: 1e6 } },
      { feature: 'the cap of the scores', shape: { ...gemma, attention: { ...gemmaAttention, softcap: 1e6 } } },
      {
        feature: 'layers without a window',
        shape: { ...gemma, attention: { ...gemmaAttention, fullAttentionEvery: 1000 } },
      },
      { feature: 'the exact window (15)', shape: { ...gemma, attention: { ...gemmaAttention, slidingWindow: 15 } } },
    ],
  },
  {
    name: 'gemma2: scores scaled by another width than that of a head',
    shape: gemma27b,
    weights: louder,
    without: { feature: 'the width', shape: { ...gemma27b, attention: gemmaAttention } },
  },
];

/** Largest difference to the oracle's logits over prompt and decoded text, and our own greedy choice at each step. */
function compare(shape: LlmShape, weights: WeightSource, prompt: readonly number[], oracle: LlamaCppResult) {
  const session = createReference(graphOf(shape), weights).start();
  let largest = 0;
  const take = (ours: Float32Array, theirs: readonly number[]): void => {
    expect(theirs).toHaveLength(shape.vocab);
    // A NaN on either side is a difference without bound.
    for (const [i, logit] of theirs.entries()) {
      const difference = Math.abs(ours[i] - logit);
      largest = Number.isNaN(difference) ? Infinity : Math.max(largest, difference);
    }
  };
  const all = session.forward(prompt, { all: true });
  for (const [row, theirs] of oracle.prompt.entries()) take(all.subarray(row * shape.vocab), theirs);
  let logits = all.subarray(-shape.vocab);
  const greedy: number[] = [];
  for (const [step, token] of oracle.greedy.entries()) {
    take(logits, oracle.logits[step]);
    // A tie within the tolerance is no disagreement.
    greedy.push(logits[token] > logits[argmax(logits)] - toleranceOf(shape) ? token : argmax(logits));
    logits = session.forward([token]);
  }
  return { largest, greedy };
}

if (llamaCppAbsent !== undefined) console.warn(`skipped: architectures against llama.cpp: ${llamaCppAbsent}`);

describe.skipIf(llamaCppAbsent !== undefined)('reference against llama.cpp', () => {
  for (const [seed, { name, shape, without, weights: make }] of cases.entries()) {
    it.concurrent(name, async () => {
      const rng = createRng(seed).fork('prompt');
      const prompt = Array.from({ length: promptLength }, () => rng.u32() % shape.vocab);
      const random = randomWeights(shape, seed);
      const weights = make?.(random) ?? random;
      const oracle = await runLlamaCpp(shape, weights, prompt, steps);

      const { largest, greedy } = compare(shape, weights, prompt, oracle);
      expect(greedy).toEqual(oracle.greedy);
      expect(greedy).toHaveLength(steps);
      expect(new Set(greedy).size, 'the text varies').toBeGreaterThan(steps / 4);
      expect(largest).toBeLessThan(toleranceOf(shape));

      for (const { feature, shape: other } of [without].flat()) {
        const wrong = compare(other, weights, prompt, oracle);
        expect(wrong.largest, `without ${feature}`).toBeGreaterThan(missing);
      }
    });
  }
});

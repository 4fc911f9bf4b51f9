// Every architecture that Ingot executes, on random weights, against llama.cpp. Tokens and logits must agree, and
// a model that differs in the one feature under test must not, so that agreement means something.

import { describe, expect, it } from 'vitest';
import { createRng } from '../../src/core/index.ts';
import { argmax, createReference, graphOf, randomWeights, type Op, type WeightSource } from '../../src/model/index.ts';
import {
  mixtureOfExperts,
  type GqaShape,
  type LlmShape,
  type MlaShape,
  type MoeShape,
  type RoutingShape,
} from '../../src/spec/index.ts';
import { llamaCppAbsent, runLlamaCpp, type LlamaCppResult } from './llama-cpp.ts';
import { attention, llama3, tiny } from './tiny-shapes.ts';

/** Largest difference of any logit; both sides store float32, and were seen to differ by 2e-5 at most. */
const tolerance = 1e-3;
/**
 * The same where llama.cpp looks GELU up in a table of half-precision values. Seen: 1.6e-2 after 46 layers, and 3e-6 after
 * three where no gate is near 0.
 */
const geluTolerance = 3e-2;
/** Least difference that a missing feature makes. */
const missing = 0.1;
/** All models run at once, on a machine that may be busy. */
const limitMs = 120_000;
const steps = 64;
const promptLength = 24;

const mixture = mixtureOfExperts(8, 2, 96);
const routed = (shape: LlmShape, routing: Partial<RoutingShape>, rest: Partial<MoeShape> = {}): LlmShape => ({
  ...shape,
  mlp: { ...mixture, ...rest, routing: { ...mixture.routing, ...routing } },
});
const mixtral: LlmShape = { ...tiny, arch: 'mixtral', mlp: mixture };
const qwen3Moe: LlmShape = {
  ...tiny,
  arch: 'qwen3_moe',
  attention: { ...attention, headDim: 32, qkNorm: true },
  mlp: { ...mixture, experts: 16, activeExperts: 5, expertFfn: 64 },
};
const gptOssAttention: GqaShape = {
  ...attention,
  qkvBias: true,
  outBias: true,
  slidingWindow: 16,
  fullAttentionEvery: 2,
  sinks: true,
};
/** As llama.cpp computes YaRN: bounds rounded to whole pairs, 0 and 3 of 8 here. Its bindings take no other betas. */
const yarn = {
  kind: 'yarn',
  factor: 4,
  originalContext: 64,
  betaFast: 32,
  betaSlow: 1,
  attentionFactor: 0.1 * Math.log(4) + 1,
  truncate: true,
} as const;
const gptOss: LlmShape = routed(
  { ...tiny, arch: 'gpt_oss', layers: 4, attention: gptOssAttention, rope: { theta: 10_000, scaling: yarn } },
  { bias: 'logits' },
  { expertBias: true },
);
/** Gates and ups that pass the bounds of the gated unit, and sinks that weigh as much as a few keys. */
const beyondBounds = (random: WeightSource): WeightSource => ({
  ...random,
  read(name) {
    if (name.endsWith('.sinks')) return random.read(name).map((x) => 1 + 5 * x);
    return /experts\.\d+\.(gate|up)_proj\.weight$/.test(name) ? random.read(name).map((x) => 4 * x) : random.read(name);
  },
});

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

/** The same with gates so far from 0 that GELU is 0 or the gate itself, and no table matters. */
const hardGates = (random: WeightSource): WeightSource => {
  const loud = louder(random);
  return {
    ...loud,
    read: (name) => (name.includes('.gate_proj.') ? loud.read(name).map((x) => 1e4 * x) : loud.read(name)),
  };
};

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

const latent: MlaShape = {
  kind: 'mla',
  heads: 4,
  queryRank: 24,
  kvRank: 32,
  nopeHeadDim: 16,
  ropeHeadDim: 8,
  valueHeadDim: 12,
  // DeepSeek's stretch of scores for a fourfold context.
  scoreFactor: (0.1 * Math.log(4) + 1) ** 2,
};
const sigmoidMixture: MoeShape = {
  kind: 'moe',
  experts: 8,
  activeExperts: 3,
  expertFfn: 48,
  sharedExperts: 2,
  sharedFfn: 48,
  denseLayers: 1,
  denseFfn: 96,
  routing: { score: 'sigmoid', normalize: true, scale: 2.5, bias: 'choice', groups: { count: 4, active: 2 } },
  expertBias: false,
};
const deepseek: LlmShape = {
  ...tiny,
  arch: 'deepseek_v3',
  rope: {
    theta: 10_000,
    scaling: {
      kind: 'yarn',
      factor: 4,
      originalContext: 64,
      betaFast: 32,
      betaSlow: 1,
      attentionFactor: 1,
      truncate: true,
    },
  },
  attention: latent,
  mlp: sigmoidMixture,
};
const { queryRank: _, scoreFactor: __, ...wholeQueries } = latent;
/** llama.cpp knows V2-Lite, which has no bottleneck of the queries, by its 27 layers. */
const deepseekLite: LlmShape = {
  ...deepseek,
  hidden: 32,
  layers: 27,
  rope: { theta: 10_000 },
  attention: wholeQueries,
  mlp: { ...sigmoidMixture, expertFfn: 16, sharedFfn: 16, routing: { score: 'softmax', normalize: false, scale: 1 } },
};

const glmAttention: GqaShape = { ...attention, qkvBias: true, qkNorm: true, ropeHeadDim: 8 };
const glm: LlmShape = {
  ...tiny,
  arch: 'glm4_moe',
  attention: glmAttention,
  mlp: {
    ...sigmoidMixture,
    sharedExperts: 1,
    routing: { score: 'sigmoid', normalize: true, scale: 2.5, bias: 'choice' },
  },
};

interface Without {
  readonly feature: string;
  readonly shape: LlmShape;
  /** What to make of an op of its graph; absent: nothing. */
  readonly op?: (op: Op) => Op;
}

interface Case {
  readonly name: string;
  readonly shape: LlmShape;
  /** The same model with one feature changed. */
  readonly without: Without | readonly Without[];
  /** Absent: `tolerance`. */
  readonly within?: number;
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
    weights: hardGates,
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
    within: geluTolerance,
    without: { feature: 'the width', shape: { ...gemma27b, attention: gemmaAttention } },
  },
  {
    name: 'mixtral: the two best of eight experts',
    shape: mixtral,
    without: [
      { feature: 'normalized weights', shape: routed(mixtral, { normalize: false }) },
      { feature: 'the second expert', shape: routed(mixtral, {}, { activeExperts: 1 }) },
    ],
  },
  {
    name: 'qwen3_moe: many small experts',
    shape: qwen3Moe,
    without: [
      {
        feature: 'normalized weights',
        shape: {
          ...qwen3Moe,
          mlp: { ...mixture, ...qwen3Moe.mlp, routing: { ...mixture.routing, normalize: false } },
        } as LlmShape,
      },
      { feature: 'the fifth expert', shape: { ...qwen3Moe, mlp: { ...qwen3Moe.mlp, activeExperts: 4 } } as LlmShape },
    ],
  },
  {
    name: 'glm4_moe: half of each head rotated, experts chosen by sigmoid, a shared expert',
    shape: glm,
    without: [
      { feature: 'the part that is not rotated', shape: { ...glm, attention: { ...glmAttention, ropeHeadDim: 16 } } },
      {
        feature: 'the bias of the choice',
        shape: routed(glm, { score: 'sigmoid', scale: 2.5 }, { ...sigmoidMixture, sharedExperts: 1 }),
      },
      {
        feature: 'the scale',
        shape: routed(glm, { score: 'sigmoid', bias: 'choice' }, { ...sigmoidMixture, sharedExperts: 1 }),
      },
      {
        feature: 'the shared expert',
        shape: routed(glm, { score: 'sigmoid', bias: 'choice', scale: 2.5 }, { ...sigmoidMixture, sharedExperts: 0 }),
      },
    ],
  },
  {
    name: 'gpt_oss: sinks, windows, YaRN, biases, bounds of the gated unit',
    shape: gptOss,
    weights: beyondBounds,
    without: [
      { feature: 'sinks', shape: { ...gptOss, attention: { ...gptOssAttention, sinks: false } } },
      { feature: 'the exact window (15)', shape: { ...gptOss, attention: { ...gptOssAttention, slidingWindow: 15 } } },
      {
        feature: 'layers without a window',
        shape: { ...gptOss, attention: { ...gptOssAttention, fullAttentionEvery: 1000 } },
      },
      { feature: 'YaRN', shape: { ...gptOss, rope: { theta: 10_000 } } },
      {
        feature: "YaRN's longer vectors",
        shape: { ...gptOss, rope: { theta: 10_000, scaling: { ...yarn, attentionFactor: 1 } } },
      },
      {
        feature: "YaRN's whole pairs",
        shape: { ...gptOss, rope: { theta: 10_000, scaling: { ...yarn, truncate: false } } },
      },
      { feature: "the router's bias", shape: routed(gptOss, {}, { expertBias: true }) },
      { feature: 'biases of experts', shape: routed(gptOss, { bias: 'logits' }) },
      {
        feature: 'bounds of the gated unit',
        shape: gptOss,
        op: (op) => (op.kind === 'moe' ? { ...op, activation: 'silu' } : op),
      },
    ],
  },
  {
    name: 'deepseek_v3: latent attention, YaRN, experts chosen by sigmoid in groups, shared experts',
    shape: deepseek,
    without: [
      { feature: 'the stretch of scores', shape: { ...deepseek, attention: { ...latent, scoreFactor: 1 } } },
      { feature: 'scaling of rope', shape: { ...deepseek, rope: { theta: 10_000 } } },
      {
        feature: 'groups of experts',
        shape: {
          ...deepseek,
          mlp: { ...sigmoidMixture, routing: { score: 'sigmoid', normalize: true, scale: 2.5, bias: 'choice' } },
        },
      },
      {
        feature: 'the scale of experts',
        shape: { ...deepseek, mlp: { ...sigmoidMixture, routing: { ...sigmoidMixture.routing, scale: 1 } } },
      },
    ],
  },
  {
    name: 'deepseek_v2: queries without a bottleneck, experts weighted by softmax without normalizing',
    shape: deepseekLite,
    without: {
      feature: 'weights as they are',
      shape: {
        ...deepseekLite,
        mlp: {
          ...sigmoidMixture,
          expertFfn: 16,
          sharedFfn: 16,
          routing: { score: 'softmax', normalize: true, scale: 1 },
        },
      },
    },
  },
];

/** Largest difference to the oracle's logits over prompt and decoded text, and our own greedy choice at each step. */
function compare(
  shape: LlmShape,
  weights: WeightSource,
  prompt: readonly number[],
  oracle: LlamaCppResult,
  within: number,
  change: (op: Op) => Op = (op) => op,
) {
  const graph = graphOf(shape);
  const changed = { ...graph, layers: graph.layers.map((ops) => ops.map(change)) };
  const session = createReference(changed, weights).start();
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
    greedy.push(logits[token] > logits[argmax(logits)] - within ? token : argmax(logits));
    logits = session.forward([token]);
  }
  return { largest, greedy };
}

if (llamaCppAbsent !== undefined) console.warn(`skipped: architectures against llama.cpp: ${llamaCppAbsent}`);

describe.skipIf(llamaCppAbsent !== undefined)('reference against llama.cpp', () => {
  for (const [seed, { name, shape, without, weights: make, within = tolerance }] of cases.entries()) {
    it.concurrent(
      name,
      async () => {
        const rng = createRng(seed).fork('prompt');
        const prompt = Array.from({ length: promptLength }, () => rng.u32() % shape.vocab);
        const random = randomWeights(shape, seed);
        const weights = make?.(random) ?? random;
        const oracle = await runLlamaCpp(shape, weights, prompt, steps);

        const { largest, greedy } = compare(shape, weights, prompt, oracle, within);
        expect(greedy).toEqual(oracle.greedy);
        expect(greedy).toHaveLength(steps);
        expect(new Set(greedy).size, 'the text varies').toBeGreaterThan(steps / 4);
        expect(largest).toBeLessThan(within);

        for (const { feature, shape: other, op } of [without].flat()) {
          // The prompt is enough to tell.
          const wrong = compare(other, weights, prompt, { ...oracle, greedy: [] }, within, op);
          expect(wrong.largest, `without ${feature}`).toBeGreaterThan(missing);
        }
      },
      limitMs,
    );
  }
});

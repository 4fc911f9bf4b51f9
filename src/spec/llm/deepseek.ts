import type { LlmFacts, MlaShape, MoeShape, YarnScaling } from './llm-shape.ts';
import { config, exactly, hubCount, rounded } from './parameters.ts';

/** What YaRN stretches by (arXiv 2309.00071, equation 22), its logarithm weighted with mscale_all_dim of the configuration. */
const yarnStretch = (factor: number, weight: number): number => 0.1 * weight * Math.log(factor) + 1;

const attention: MlaShape = {
  kind: 'mla',
  heads: 128,
  queryRank: 1536,
  kvRank: 512,
  nopeHeadDim: 128,
  ropeHeadDim: 64,
  valueHeadDim: 128,
  scoreFactor: yarnStretch(40, 1) ** 2,
};

const mlp: MoeShape = {
  kind: 'moe',
  experts: 256,
  activeExperts: 8,
  expertFfn: 2048,
  sharedExperts: 1,
  sharedFfn: 2048,
  denseLayers: 3,
  denseFfn: 18_432,
  routing: { score: 'sigmoid', normalize: true, scale: 2.5, bias: 'choice', groups: { count: 8, active: 4 } },
  expertBias: false,
};

const yarn: YarnScaling = {
  kind: 'yarn',
  factor: 40,
  originalContext: 4096,
  betaFast: 32,
  betaSlow: 1,
  // mscale equals mscale_all_dim.
  attentionFactor: 1,
  truncate: true,
};

export const deepseekV3: LlmFacts = {
  id: 'deepseek-v3',
  name: 'DeepSeek-V3',
  source: config('deepseek-ai/DeepSeek-V3'),
  shape: {
    arch: 'deepseek_v3',
    hidden: 7168,
    layers: 61,
    vocab: 129_280,
    maxContext: 163_840,
    normEps: 1e-6,
    layerNorms: 2,
    rope: { theta: 10_000, scaling: yarn },
    tiedEmbeddings: false,
    attention,
    mlp,
  },
  parameters: rounded(
    671e9,
    1e9,
    'DeepSeek-V3 technical report, arXiv 2412.19437, abstract; README: 685 B on the hub = 671 B main + 14 B prediction',
    'main model without the multi-token-prediction layer; fp8 scales are no parameters',
  ),
};

/** Kimi K2 has the architecture of DeepSeek-V3 with other numbers. */
export const kimiK2: LlmFacts = {
  id: 'kimi-k2',
  name: 'Kimi K2',
  source: config('moonshotai/Kimi-K2-Instruct'),
  shape: {
    ...deepseekV3.shape,
    vocab: 163_840,
    maxContext: 131_072,
    rope: { theta: 50_000, scaling: { ...yarn, factor: 32, betaFast: 1 } },
    attention: { ...attention, heads: 64, scoreFactor: yarnStretch(32, 1) ** 2 },
    mlp: {
      ...mlp,
      experts: 384,
      denseLayers: 1,
      routing: { score: 'sigmoid', normalize: true, scale: 2.827, bias: 'choice' },
    },
  },
  parameters: {
    ...rounded(
      1.0e12,
      1e11,
      'Kimi K2 technical report, arXiv 2507.20534, abstract: 1 trillion parameters, 32 billion activated',
      'no prediction layer in the checkpoint; fp8 scales are no parameters',
    ),
    disputed: [{ value: 1.04e12, source: 'the same report, comparison table; 1.3 % above what the shapes sum to' }],
  },
};

/** Small enough for one system: no bottleneck of the queries, routing by softmax. */
export const deepseekV2Lite: LlmFacts = {
  id: 'deepseek-v2-lite',
  name: 'DeepSeek-V2-Lite',
  source: config('deepseek-ai/DeepSeek-V2-Lite'),
  shape: {
    arch: 'deepseek_v3',
    hidden: 2048,
    layers: 27,
    vocab: 102_400,
    maxContext: 163_840,
    normEps: 1e-6,
    layerNorms: 2,
    rope: { theta: 10_000, scaling: yarn },
    tiedEmbeddings: false,
    attention: {
      kind: 'mla',
      heads: 16,
      kvRank: 512,
      nopeHeadDim: 128,
      ropeHeadDim: 64,
      valueHeadDim: 128,
      scoreFactor: yarnStretch(40, 0.707) ** 2,
    },
    mlp: {
      kind: 'moe',
      experts: 64,
      activeExperts: 6,
      expertFfn: 1408,
      sharedExperts: 2,
      sharedFfn: 1408,
      denseLayers: 1,
      denseFfn: 10_944,
      routing: { score: 'softmax', normalize: false, scale: 1 },
      expertBias: false,
    },
  },
  parameters: exactly(15_706_484_224, hubCount('deepseek-ai/DeepSeek-V2-Lite')),
};

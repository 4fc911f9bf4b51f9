import type { LlmFacts, MlaShape, MoeShape } from './llm-shape.ts';
import { config, rounded } from './parameters.ts';

const attention: MlaShape = {
  kind: 'mla',
  heads: 128,
  queryRank: 1536,
  kvRank: 512,
  nopeHeadDim: 128,
  ropeHeadDim: 64,
  valueHeadDim: 128,
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
    rope: { theta: 10_000 },
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
    rope: { theta: 50_000 },
    attention: { ...attention, heads: 64 },
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

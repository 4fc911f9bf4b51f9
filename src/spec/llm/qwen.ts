import { groupedQueries, mixtureOfExperts, type GqaShape, type LlmFacts, type LlmShape } from './llm-shape.ts';
import { config, exactly, hubCount } from './parameters.ts';

export const qwen2_72b: LlmFacts = {
  id: 'qwen2-72b',
  name: 'Qwen2-72B',
  source: config('Qwen/Qwen2-72B-Instruct'),
  shape: {
    arch: 'qwen2',
    hidden: 8192,
    layers: 80,
    vocab: 152_064,
    maxContext: 32_768,
    normEps: 1e-6,
    layerNorms: 2,
    rope: { theta: 1_000_000 },
    tiedEmbeddings: false,
    attention: groupedQueries(64, 8, 128, { qkvBias: true }),
    mlp: { kind: 'dense', ffn: 29_568 },
  },
  parameters: exactly(72_706_203_648, hubCount('Qwen/Qwen2-72B-Instruct')),
};

const attention3: GqaShape = groupedQueries(32, 8, 128, { qkNorm: true });

const qwen3: LlmShape = {
  arch: 'qwen3',
  hidden: 4096,
  layers: 36,
  vocab: 151_936,
  maxContext: 40_960,
  normEps: 1e-6,
  layerNorms: 2,
  rope: { theta: 1_000_000 },
  tiedEmbeddings: false,
  attention: attention3,
  mlp: { kind: 'dense', ffn: 12_288 },
};

export const qwen3_06b: LlmFacts = {
  id: 'qwen3-0.6b',
  name: 'Qwen3-0.6B',
  source: config('Qwen/Qwen3-0.6B'),
  shape: {
    ...qwen3,
    hidden: 1024,
    layers: 28,
    tiedEmbeddings: true,
    attention: { ...attention3, heads: 16 },
    mlp: { kind: 'dense', ffn: 3072 },
  },
  parameters: exactly(
    596_049_920,
    `${hubCount('Qwen/Qwen3-0.6B')} of 751,632,384, less the stored copy of the tied head (151,936 x 1,024)`,
  ),
};

export const qwen3_8b: LlmFacts = {
  id: 'qwen3-8b',
  name: 'Qwen3-8B',
  source: config('Qwen/Qwen3-8B'),
  shape: qwen3,
  parameters: exactly(8_190_735_360, hubCount('Qwen/Qwen3-8B')),
};

export const qwen3_32b: LlmFacts = {
  id: 'qwen3-32b',
  name: 'Qwen3-32B',
  source: config('Qwen/Qwen3-32B'),
  shape: {
    ...qwen3,
    hidden: 5120,
    layers: 64,
    attention: { ...attention3, heads: 64 },
    mlp: { kind: 'dense', ffn: 25_600 },
  },
  parameters: exactly(32_762_123_264, hubCount('Qwen/Qwen3-32B')),
};

export const qwen3_235b_a22b: LlmFacts = {
  id: 'qwen3-235b-a22b',
  name: 'Qwen3-235B-A22B',
  source: config('Qwen/Qwen3-235B-A22B'),
  shape: {
    ...qwen3,
    arch: 'qwen3_moe',
    layers: 94,
    attention: { ...attention3, heads: 64, kvHeads: 4 },
    mlp: mixtureOfExperts(128, 8, 1536),
  },
  parameters: exactly(235_093_634_560, hubCount('Qwen/Qwen3-235B-A22B')),
};

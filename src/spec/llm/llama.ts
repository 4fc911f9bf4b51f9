import { groupedQueries, type LlmFacts, type LlmShape, type RopeShape } from './llm-shape.ts';
import { config, exactly, hubCount } from './parameters.ts';

const rope3 = (factor: number): RopeShape => ({
  theta: 500_000,
  scaling: { kind: 'llama3', factor, lowFreqFactor: 1, highFreqFactor: 4, originalContext: 8192 },
});

const llama3: LlmShape = {
  arch: 'llama',
  hidden: 4096,
  layers: 32,
  vocab: 128_256,
  maxContext: 131_072,
  normEps: 1e-5,
  layerNorms: 2,
  rope: rope3(8),
  tiedEmbeddings: false,
  attention: groupedQueries(32, 8, 128),
  mlp: { kind: 'dense', ffn: 14_336 },
};

export const llama32_1b: LlmFacts = {
  id: 'llama-3.2-1b',
  name: 'Llama-3.2-1B',
  source: config('meta-llama/Llama-3.2-1B'),
  shape: {
    ...llama3,
    hidden: 2048,
    layers: 16,
    rope: rope3(32),
    tiedEmbeddings: true,
    attention: groupedQueries(32, 8, 64),
    mlp: { kind: 'dense', ffn: 8192 },
  },
  parameters: exactly(1_235_814_400, hubCount('meta-llama/Llama-3.2-1B')),
};

export const llama31_8b: LlmFacts = {
  id: 'llama-3.1-8b',
  name: 'Llama-3.1-8B',
  source: config('meta-llama/Llama-3.1-8B'),
  shape: llama3,
  parameters: exactly(8_030_261_248, hubCount('meta-llama/Llama-3.1-8B')),
};

export const llama31_70b: LlmFacts = {
  id: 'llama-3.1-70b',
  name: 'Llama-3.1-70B',
  source: config('meta-llama/Llama-3.1-70B'),
  shape: {
    ...llama3,
    hidden: 8192,
    layers: 80,
    attention: groupedQueries(64, 8, 128),
    mlp: { kind: 'dense', ffn: 28_672 },
  },
  parameters: exactly(70_553_706_496, hubCount('meta-llama/Llama-3.1-70B')),
};

export const llama31_405b: LlmFacts = {
  id: 'llama-3.1-405b',
  name: 'Llama-3.1-405B',
  source: config('meta-llama/Llama-3.1-405B'),
  shape: {
    ...llama3,
    hidden: 16_384,
    layers: 126,
    attention: groupedQueries(128, 8, 128),
    mlp: { kind: 'dense', ffn: 53_248 },
  },
  parameters: exactly(405_853_388_800, hubCount('meta-llama/Llama-3.1-405B')),
};

const llama2: LlmShape = {
  ...llama3,
  hidden: 5120,
  layers: 40,
  vocab: 32_000,
  maxContext: 4096,
  rope: { theta: 10_000 },
  attention: groupedQueries(40, 40, 128),
  mlp: { kind: 'dense', ffn: 13_824 },
};

export const llama2_13b: LlmFacts = {
  id: 'llama-2-13b',
  name: 'Llama-2-13B',
  source: config('meta-llama/Llama-2-13b-hf'),
  shape: llama2,
  parameters: exactly(
    13_015_864_320,
    `${hubCount('meta-llama/Llama-2-13b-hf')}, less 2,560 stored rotary frequencies, which are no parameters`,
  ),
};

export const codellama34b: LlmFacts = {
  id: 'codellama-34b',
  name: 'CodeLlama-34B',
  source: config('codellama/CodeLlama-34b-hf'),
  shape: {
    ...llama2,
    hidden: 8192,
    layers: 48,
    maxContext: 16_384,
    rope: { theta: 1_000_000 },
    attention: groupedQueries(64, 8, 128),
    mlp: { kind: 'dense', ffn: 22_016 },
  },
  parameters: exactly(33_743_970_304, hubCount('codellama/CodeLlama-34b-hf')),
};

/** The shape on which the executor is measured beside its peer; no one trained it. */
export const bench125m: LlmFacts = {
  id: 'bench-125m',
  name: 'Benchmark 125M',
  source: 'Ingot benchmark: a small llama with random weights',
  shape: {
    ...llama2,
    hidden: 768,
    layers: 12,
    maxContext: 2048,
    attention: groupedQueries(12, 4, 64),
    mlp: { kind: 'dense', ffn: 2048 },
  },
  parameters: {
    value: 124_670_000,
    unit: 'parameters',
    basis: 'rounded to the nearest 10,000; embedding and head counted each',
    source: 'Ingot benchmark: summed over the tensors of its checkpoint',
    standing: 'derived',
  },
};

import type { LlmFacts } from './llm-shape.ts';
import { config, exactly, hubCount } from './parameters.ts';

export const mistral7b: LlmFacts = {
  id: 'mistral-7b',
  name: 'Mistral-7B v0.1',
  source: config('mistralai/Mistral-7B-v0.1'),
  shape: {
    arch: 'mistral',
    hidden: 4096,
    layers: 32,
    vocab: 32_000,
    maxContext: 32_768,
    normEps: 1e-5,
    layerNorms: 2,
    rope: { theta: 10_000 },
    tiedEmbeddings: false,
    attention: {
      kind: 'gqa',
      heads: 32,
      kvHeads: 8,
      headDim: 128,
      qkvBias: false,
      outBias: false,
      qkNorm: false,
      slidingWindow: 4096,
    },
    mlp: { kind: 'dense', ffn: 14_336 },
  },
  parameters: exactly(7_241_732_096, hubCount('mistralai/Mistral-7B-v0.1')),
};

export const mixtral8x7b: LlmFacts = {
  id: 'mixtral-8x7b',
  name: 'Mixtral-8x7B v0.1',
  source: config('mistralai/Mixtral-8x7B-v0.1'),
  shape: {
    ...mistral7b.shape,
    arch: 'mixtral',
    rope: { theta: 1_000_000 },
    attention: { kind: 'gqa', heads: 32, kvHeads: 8, headDim: 128, qkvBias: false, outBias: false, qkNorm: false },
    mlp: {
      kind: 'moe',
      experts: 8,
      activeExperts: 2,
      expertFfn: 14_336,
      sharedExperts: 0,
      sharedFfn: 0,
      denseLayers: 0,
      denseFfn: 0,
      routing: { score: 'softmax', normalize: true, scale: 1 },
      expertBias: false,
    },
  },
  parameters: exactly(46_702_792_704, hubCount('mistralai/Mixtral-8x7B-v0.1')),
};

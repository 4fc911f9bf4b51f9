import { groupedQueries, type LlmFacts } from './llm-shape.ts';
import { config, exactly, hubCount } from './parameters.ts';

export const phi3Mini: LlmFacts = {
  id: 'phi-3-mini',
  name: 'Phi-3-mini 4K',
  source: config('microsoft/Phi-3-mini-4k-instruct'),
  shape: {
    arch: 'phi3',
    hidden: 3072,
    layers: 32,
    vocab: 32_064,
    maxContext: 4096,
    normEps: 1e-5,
    layerNorms: 2,
    rope: { theta: 10_000 },
    tiedEmbeddings: false,
    fusedProjections: true,
    attention: groupedQueries(32, 32, 96, { slidingWindow: 2047 }),
    mlp: { kind: 'dense', ffn: 8192 },
  },
  parameters: exactly(3_821_079_552, hubCount('microsoft/Phi-3-mini-4k-instruct')),
};

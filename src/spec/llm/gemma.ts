import { groupedQueries, type LlmFacts } from './llm-shape.ts';
import { config, exactly, hubCount } from './parameters.ts';

export const gemma2_9b: LlmFacts = {
  id: 'gemma-2-9b',
  name: 'Gemma-2-9B',
  source: config('google/gemma-2-9b'),
  shape: {
    arch: 'gemma2',
    hidden: 3584,
    layers: 42,
    vocab: 256_000,
    maxContext: 8192,
    normEps: 1e-6,
    layerNorms: 4,
    rope: { theta: 10_000 },
    tiedEmbeddings: true,
    logitSoftcap: 30,
    attention: groupedQueries(16, 8, 256, { slidingWindow: 4096, fullAttentionEvery: 2, scoreWidth: 256, softcap: 50 }),
    mlp: { kind: 'dense', ffn: 14_336 },
  },
  parameters: exactly(9_241_705_984, hubCount('google/gemma-2-9b')),
};

import { groupedQueries, mixtureOfExperts, type LlmFacts } from './llm-shape.ts';
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
    attention: groupedQueries(32, 8, 128, { slidingWindow: 4096 }),
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
    attention: groupedQueries(32, 8, 128),
    mlp: mixtureOfExperts(8, 2, 14_336),
  },
  parameters: exactly(46_702_792_704, hubCount('mistralai/Mixtral-8x7B-v0.1')),
};

import { groupedQueries, mixtureOfExperts, type LlmFacts } from './llm-shape.ts';
import { config, rounded } from './parameters.ts';

export const gptOss120b: LlmFacts = {
  id: 'gpt-oss-120b',
  name: 'gpt-oss-120b',
  source: config('openai/gpt-oss-120b'),
  shape: {
    arch: 'gpt_oss',
    hidden: 2880,
    layers: 36,
    vocab: 201_088,
    maxContext: 131_072,
    normEps: 1e-5,
    layerNorms: 2,
    rope: {
      theta: 150_000,
      scaling: {
        kind: 'yarn',
        factor: 32,
        originalContext: 4096,
        betaFast: 32,
        betaSlow: 1,
        // As YaRN has it where a configuration does not say: 0.1 ln(factor) + 1.
        attentionFactor: 0.1 * Math.log(32) + 1,
        truncate: false,
      },
    },
    tiedEmbeddings: false,
    attention: groupedQueries(64, 8, 64, {
      qkvBias: true,
      outBias: true,
      slidingWindow: 128,
      fullAttentionEvery: 2,
      sinks: true,
    }),
    mlp: mixtureOfExperts(128, 4, 2880, {
      routing: { score: 'softmax', normalize: true, scale: 1, bias: 'logits' },
      expertBias: true,
    }),
  },
  parameters: rounded(
    116.83e9,
    1e7,
    'OpenAI, gpt-oss-120b & gpt-oss-20b model card, arXiv 2508.10925, Table 1',
    'embedding and head counted each; one MXFP4 value is one parameter, its block scales are none',
  ),
};

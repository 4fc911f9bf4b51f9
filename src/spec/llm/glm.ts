import { mixtureOfExperts, type LlmFacts } from './llm-shape.ts';
import { config, rounded } from './parameters.ts';

export const glm46: LlmFacts = {
  id: 'glm-4.6',
  name: 'GLM-4.6',
  source: config('zai-org/GLM-4.6'),
  shape: {
    arch: 'glm4_moe',
    hidden: 5120,
    layers: 92,
    vocab: 151_552,
    maxContext: 202_752,
    normEps: 1e-5,
    layerNorms: 2,
    rope: { theta: 1_000_000 },
    tiedEmbeddings: false,
    attention: {
      kind: 'gqa',
      heads: 96,
      kvHeads: 8,
      headDim: 128,
      ropeHeadDim: 64,
      qkvBias: true,
      outBias: false,
      qkNorm: true,
    },
    mlp: mixtureOfExperts(160, 8, 1536, {
      sharedExperts: 1,
      sharedFfn: 1536,
      denseLayers: 3,
      denseFfn: 12_288,
      routing: { score: 'sigmoid', normalize: true, scale: 2.5, bias: 'choice' },
    }),
  },
  parameters: rounded(
    355e9,
    1e9,
    'GLM-4.5 technical report, arXiv 2508.06471, Table 1 (GLM-4.6 has the same shape)',
    'with the multi-token-prediction layer, without embedding and head, as the table says',
  ),
};

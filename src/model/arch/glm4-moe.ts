import type { Arch } from './arch.ts';
import { dimensionLimits } from './config-reader.ts';
import { decoderGraph } from './decoder.ts';
import { parseDecoder } from './decoder-config.ts';
import { parseMoe, parseSigmoidRouting } from './moe-config.ts';

/** GLM-4.5 and 4.6 (arXiv 2508.06471): a part of each head is rotated, experts are chosen as in DeepSeek-V3. */
export const glm4Moe: Arch = {
  id: 'glm4_moe',
  hfModelTypes: ['glm4_moe'],
  parse(config) {
    // The layer that predicts further tokens, which decoding does without.
    config.has('num_nextn_predict_layers');
    if (!config.has('partial_rotary_factor')) config.invalid('partial_rotary_factor', 'a share of a head', undefined);
    const attention = {
      arch: 'glm4_moe',
      qkvBias: config.flag('attention_bias', false),
      outBias: false,
      qkNorm: config.flag('use_qk_norm', false),
      window: 'none',
      rotatesPart: true,
    } as const;
    return parseDecoder(config, attention, () => {
      const sharedExperts = config.count('n_shared_experts', dimensionLimits.experts, 0, 0);
      const mlp = parseMoe(
        config,
        { experts: 'n_routed_experts', expertFfn: 'moe_intermediate_size' },
        {
          routing: parseSigmoidRouting(config, true),
          expertBias: false,
          denseLayers: config.count('first_k_dense_replace', dimensionLimits.layers, 0, 0),
          denseFfn: config.count('intermediate_size', dimensionLimits.ffn),
        },
      );
      return { ...mlp, sharedExperts, sharedFfn: sharedExperts > 0 ? mlp.expertFfn : 0 };
    });
  },
  graph: (shape) => decoderGraph(shape),
};

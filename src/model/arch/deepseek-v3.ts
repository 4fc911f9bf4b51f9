import type { LlmShape, MlaShape, RoutingShape } from '../../spec/index.ts';
import type { Arch } from './arch.ts';
import { dimensionLimits, type ConfigReader } from './config-reader.ts';
import { decoderGraph } from './decoder.ts';
import { parseStack } from './decoder-config.ts';
import { parseMoe, parseSigmoidRouting } from './moe-config.ts';

/** DeepSeek-V2-Lite and V3 (arXiv 2405.04434, 2412.19437), and Kimi K2, which has the same architecture. */
export const deepseekV3: Arch = {
  id: 'deepseek_v3',
  hfModelTypes: ['deepseek_v3', 'deepseek_v2', 'kimi_k2'],
  parse(config): LlmShape {
    config.only('attention_bias', [false], 'biases of latent attention are not supported');
    config.only('rope_interleave', [true], 'pairs of latent attention are neighbours');
    config.only('moe_layer_freq', [1], 'experts in some layers only are not supported');
    // For training, for serving elsewhere, and the layers that predict further tokens, which decoding does without.
    for (const key of ['aux_loss_alpha', 'seq_aux', 'ep_size', 'auto_map', 'num_nextn_predict_layers']) config.has(key);
    const stack = parseStack(config, { arch: 'deepseek_v3' });
    const attention = parseLatent(config);
    config.only('num_key_value_heads', [attention.heads], 'heads do not share keys in latent attention');
    const width = attention.nopeHeadDim + attention.ropeHeadDim;
    config.only('head_dim', [attention.ropeHeadDim, width], 'it contradicts qk_rope_head_dim');
    config.only('qk_head_dim', [width], 'it contradicts qk_nope_head_dim and qk_rope_head_dim');
    const denseFfn = config.count('intermediate_size', dimensionLimits.ffn);
    const denseLayers = config.count('first_k_dense_replace', dimensionLimits.layers, 0, 0);
    const sharedExperts = config.count('n_shared_experts', dimensionLimits.experts, 0, 0);
    if (config.sound && denseLayers >= stack.layers) {
      config.invalid('first_k_dense_replace', `less than ${stack.layers}, the number of layers`, denseLayers);
    }
    const mlp = parseMoe(
      config,
      { experts: 'n_routed_experts', expertFfn: 'moe_intermediate_size' },
      { routing: parseRouting(config), expertBias: false, denseLayers, denseFfn: denseLayers > 0 ? denseFfn : 0 },
    );
    return { ...stack, attention, mlp: { ...mlp, sharedExperts, sharedFfn: sharedExperts > 0 ? mlp.expertFfn : 0 } };
  },
  graph: (shape) => decoderGraph(shape),
};

function parseLatent(config: ConfigReader): MlaShape {
  const heads = config.count('num_attention_heads', dimensionLimits.heads);
  const width = (key: string): number => config.count(key, dimensionLimits.headDim);
  const scoreFactor = config.scoreFactor();
  const ropeHeadDim = width('qk_rope_head_dim');
  if (config.sound && ropeHeadDim % 2 !== 0)
    config.invalid('qk_rope_head_dim', 'an even number: rope turns pairs', ropeHeadDim);
  return {
    kind: 'mla',
    heads,
    ...(config.has('q_lora_rank') ? { queryRank: config.count('q_lora_rank', dimensionLimits.hidden) } : {}),
    kvRank: config.count('kv_lora_rank', dimensionLimits.hidden),
    nopeHeadDim: width('qk_nope_head_dim'),
    ropeHeadDim,
    valueHeadDim: width('v_head_dim'),
    ...(scoreFactor === 1 ? {} : { scoreFactor }),
  };
}

/** V3 scores by sigmoid, with a bias of the choice, in groups; V2-Lite by softmax. */
function parseRouting(config: ConfigReader): RoutingShape {
  const isV3 = config.isOneOf('model_type', ['deepseek_v3', 'kimi_k2']);
  config.only('scoring_func', [isV3 ? 'sigmoid' : 'softmax'], 'this scoring of experts is not supported');
  config.only('topk_method', [isV3 ? 'noaux_tc' : 'greedy'], 'this choice of experts is not supported');
  const routing = parseSigmoidRouting(config, isV3);
  if (isV3) return routing;
  const { normalize, scale } = routing;
  // Its reference implementation scales only what it does not normalize.
  if (normalize) config.only('routed_scaling_factor', [1], 'scaling normalized weights is not supported');
  return { score: 'softmax', normalize, scale };
}

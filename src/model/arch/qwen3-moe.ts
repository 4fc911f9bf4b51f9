import type { Arch } from './arch.ts';
import { decoderGraph } from './decoder.ts';
import { parseDecoder } from './decoder-config.ts';
import { parseMoe } from './moe-config.ts';

/** Qwen3 (arXiv 2505.09388) with a mixture of experts in every layer and no shared expert. */
export const qwen3Moe: Arch = {
  id: 'qwen3_moe',
  hfModelTypes: ['qwen3_moe'],
  parse(config) {
    const bias = config.flag('attention_bias', false);
    config.only('decoder_sparse_step', [1], 'experts in some layers only are not supported');
    config.emptyList('mlp_only_layers', 'layers without experts are not supported');
    // The width of a dense MLP, which no layer has.
    config.has('intermediate_size');
    const normalize = config.flag('norm_topk_prob', false);
    return parseDecoder(
      config,
      { arch: 'qwen3_moe', qkvBias: bias, outBias: bias, qkNorm: true, window: 'behind use_sliding_window' },
      () =>
        parseMoe(
          config,
          { experts: 'num_experts', expertFfn: 'moe_intermediate_size' },
          { routing: { score: 'softmax', normalize, scale: 1 }, expertBias: false },
        ),
    );
  },
  graph: (shape) => decoderGraph(shape),
};

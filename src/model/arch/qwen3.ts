import type { Arch } from './arch.ts';
import { decoderGraph } from './decoder.ts';
import { parseDecoder } from './decoder-config.ts';

/** Qwen3 (arXiv 2505.09388): a norm on each head of query and key; head width stated, not derived. */
export const qwen3: Arch = {
  id: 'qwen3',
  hfModelTypes: ['qwen3'],
  parse(config) {
    const bias = config.flag('attention_bias', false);
    if (!config.has('head_dim')) config.invalid('head_dim', 'a whole number', undefined);
    return parseDecoder(config, {
      arch: 'qwen3',
      qkvBias: bias,
      outBias: bias,
      qkNorm: true,
      window: 'behind use_sliding_window',
    });
  },
  graph: (shape) => decoderGraph(shape),
};

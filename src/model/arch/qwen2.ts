import type { Arch } from './arch.ts';
import { decoderGraph } from './decoder.ts';
import { parseDecoder } from './decoder-config.ts';

/** Qwen2 and 2.5 (arXiv 2407.10671): llama with biases on query, key and value. */
export const qwen2: Arch = {
  id: 'qwen2',
  hfModelTypes: ['qwen2'],
  parse(config) {
    config.only('attention_bias', [true], 'qwen2 always has biases on query, key and value');
    return parseDecoder(config, {
      arch: 'qwen2',
      qkvBias: true,
      outBias: false,
      qkNorm: false,
      window: 'behind use_sliding_window',
    });
  },
  graph: (shape) => decoderGraph(shape),
};

import type { Arch } from './arch.ts';
import { decoderGraph } from './decoder.ts';
import { parseDecoder } from './decoder-config.ts';

/** Mistral 7B (arXiv 2310.06825): llama with a sliding window in every layer, where the configuration has one. */
export const mistral: Arch = {
  id: 'mistral',
  hfModelTypes: ['mistral'],
  parse(config) {
    config.only('attention_bias', [false], 'mistral has no attention biases');
    return parseDecoder(config, {
      arch: 'mistral',
      qkvBias: false,
      outBias: false,
      qkNorm: false,
      window: 'every layer',
    });
  },
  graph: (shape) => decoderGraph(shape),
};

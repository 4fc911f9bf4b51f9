import type { Arch } from './arch.ts';
import { decoderGraph } from './decoder.ts';
import { parseDecoder } from './decoder-config.ts';

/** Llama 2 and 3 (arXiv 2307.09288, 2407.21783), Code Llama and the many models of their form. */
export const llama: Arch = {
  id: 'llama',
  hfModelTypes: ['llama'],
  parse(config) {
    const bias = config.flag('attention_bias', false);
    return parseDecoder(config, { arch: 'llama', qkvBias: bias, outBias: bias, qkNorm: false, window: 'none' });
  },
  graph: (shape) => decoderGraph(shape),
};

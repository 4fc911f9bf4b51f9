import type { Arch } from './arch.ts';
import { dimensionLimits } from './config-reader.ts';
import { decoderGraph } from './decoder.ts';
import { parseDecoder } from './decoder-config.ts';

/**
 * Phi-3 and Phi-4 mini (arXiv 2404.14219, 2503.01743): mistral with query, key and value in one tensor, gate and up in
 * another, and a context stretched by LongRoPE.
 */
export const phi3: Arch = {
  id: 'phi3',
  hfModelTypes: ['phi3'],
  parse(config) {
    config.only('attention_bias', [false], 'phi3 has no attention biases');
    config.only('embd_pdrop', [0], 'dropout is for training');
    config.only('resid_pdrop', [0], 'dropout is for training');
    config.count('original_max_position_embeddings', dimensionLimits.context, 1);
    const shape = parseDecoder(config, {
      arch: 'phi3',
      qkvBias: false,
      outBias: false,
      qkNorm: false,
      window: 'every layer',
      rotatesPart: true,
    });
    return { ...shape, fusedProjections: true };
  },
  graph: (shape) => decoderGraph(shape),
};

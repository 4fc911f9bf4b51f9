import type { Arch } from './arch.ts';
import { decoderGraph } from './decoder.ts';

/** Gemma 2 (arXiv 2408.00118): outputs are normed too, and every other layer has a window. */
export const gemma2: Arch = {
  id: 'gemma2',
  hfModelTypes: ['gemma2'],
  graph: (shape) =>
    decoderGraph(shape, {
      activation: 'gelu-tanh',
      norms: { attention: 'input_layernorm', mlp: 'pre_feedforward_layernorm' },
      outputNorms: { attention: 'post_attention_layernorm', mlp: 'post_feedforward_layernorm' },
      unsupported: [
        'logit soft-capping',
        'attention score soft-capping',
        'embedding scaling',
        'norm weights offset by one',
        'attention scale other than 1 / sqrt(head width)',
      ],
    }),
};

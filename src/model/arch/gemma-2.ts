import type { Arch } from './arch.ts';
import { dimensionLimits } from './config-reader.ts';
import { decoderGraph } from './decoder.ts';
import { parseDecoder } from './decoder-config.ts';

/**
 * Gemma 2 (arXiv 2408.00118): outputs are normed too, norm weights are offsets from 1, every other layer has a window,
 * scores and logits are soft-capped, embeddings are multiplied by √hidden.
 */
export const gemma2: Arch = {
  id: 'gemma2',
  hfModelTypes: ['gemma2'],
  parse(config) {
    config.only('attention_bias', [false], 'gemma2 has no attention biases');
    config.only('use_bidirectional_attention', [false], 'only causal attention is supported');
    const shape = parseDecoder(config, {
      arch: 'gemma2',
      qkvBias: false,
      outBias: false,
      qkNorm: false,
      window: 'alternating',
      activation: 'gelu_pytorch_tanh',
      tiedEmbeddings: true,
    });
    const { attention } = shape;
    config.only('sliding_window_size', [attention.slidingWindow], 'it contradicts sliding_window');
    const cap = (key: string): number | undefined => (config.has(key) ? config.positive(key) : undefined);
    const softcap = cap('attn_logit_softcapping');
    const logitSoftcap = cap('final_logit_softcapping');
    const scoreWidth = config.count('query_pre_attn_scalar', dimensionLimits.hidden);
    return { ...shape, layerNorms: 4, logitSoftcap, attention: { ...attention, scoreWidth, softcap } };
  },
  graph: (shape) =>
    decoderGraph(shape, {
      activation: 'gelu-tanh',
      norms: { attention: 'input_layernorm', mlp: 'pre_feedforward_layernorm' },
      outputNorms: { attention: 'post_attention_layernorm', mlp: 'post_feedforward_layernorm' },
      normOffset: 1,
      embeddingScale: Math.sqrt(shape.hidden),
    }),
};

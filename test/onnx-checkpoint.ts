// config.json of a shape, for checkpoints that tests make up.
import type { GqaShape, LlmShape } from '../src/spec/index.ts';

/** @param shape of an architecture with grouped-query attention and a dense MLP */
export function configOf(shape: LlmShape): Record<string, unknown> {
  const attention = shape.attention as GqaShape;
  const { scaling, theta } = shape.rope;
  return {
    model_type: shape.arch,
    hidden_size: shape.hidden,
    intermediate_size: shape.mlp.kind === 'dense' ? shape.mlp.ffn : 0,
    num_hidden_layers: shape.layers,
    num_attention_heads: attention.heads,
    num_key_value_heads: attention.kvHeads,
    head_dim: attention.headDim,
    max_position_embeddings: shape.maxContext,
    rms_norm_eps: shape.normEps,
    rope_theta: theta,
    vocab_size: shape.vocab,
    hidden_act: 'silu',
    tie_word_embeddings: shape.tiedEmbeddings,
    ...(shape.arch === 'llama' ? { attention_bias: attention.qkvBias } : {}),
    ...(attention.slidingWindow === undefined ? {} : { sliding_window: attention.slidingWindow }),
    ...(scaling?.kind === 'llama3'
      ? {
          rope_scaling: {
            rope_type: 'llama3',
            factor: scaling.factor,
            low_freq_factor: scaling.lowFreqFactor,
            high_freq_factor: scaling.highFreqFactor,
            original_max_position_embeddings: scaling.originalContext,
          },
        }
      : {}),
  };
}

// Configurations as published, of families that depart further from llama, against the shapes of spec.

import { describe, expect, it } from 'vitest';
import { IngotError } from '../../core/index.ts';
import { findLlm } from '../../spec/index.ts';
import { parseConfig } from './index.ts';

type Config = Record<string, unknown>;

/** huggingface.co/google/gemma-2-9b, config.json */
const gemma2: Config = {
  architectures: ['Gemma2ForCausalLM'],
  attention_bias: false,
  attention_dropout: 0,
  attn_logit_softcapping: 50,
  bos_token_id: 2,
  cache_implementation: 'hybrid',
  eos_token_id: 1,
  final_logit_softcapping: 30,
  head_dim: 256,
  hidden_act: 'gelu_pytorch_tanh',
  hidden_activation: 'gelu_pytorch_tanh',
  hidden_size: 3584,
  initializer_range: 0.02,
  intermediate_size: 14_336,
  max_position_embeddings: 8192,
  model_type: 'gemma2',
  num_attention_heads: 16,
  num_hidden_layers: 42,
  num_key_value_heads: 8,
  pad_token_id: 0,
  query_pre_attn_scalar: 256,
  rms_norm_eps: 1e-6,
  rope_theta: 10_000,
  sliding_window: 4096,
  sliding_window_size: 4096,
  torch_dtype: 'float32',
  transformers_version: '4.42.0.dev0',
  use_cache: true,
  vocab_size: 256_000,
};

const published: readonly (readonly [string, Config])[] = [['gemma-2-9b', gemma2]];

/** Codes and keys of what is wrong. */
function problemsOf(config: Config): string[] {
  try {
    parseConfig(config, 'c');
  } catch (error) {
    if (error instanceof IngotError) return error.diagnostics.map(({ code, where }) => `${code} ${where ?? ''}`);
    throw error;
  }
  return [];
}

describe('published configurations', () => {
  it.each(published)('%s parses to the shape that spec states', (id, config) => {
    expect(parseConfig(config).shape).toEqual(findLlm(id).shape);
  });
});

describe('gemma2', () => {
  it('takes other caps, none, and layers by name', () => {
    const without = parseConfig({ ...gemma2, attn_logit_softcapping: null, final_logit_softcapping: null }).shape;
    expect(without.logitSoftcap).toBeUndefined();
    expect(without.attention).not.toHaveProperty('softcap');
    const types = Array.from({ length: 42 }, (_, i) => (i % 2 === 0 ? 'sliding_attention' : 'full_attention'));
    expect(parseConfig({ ...gemma2, layer_types: types }).shape).toEqual(findLlm('gemma-2-9b').shape);
  });

  it('refuses what would be another model', () => {
    const refused: readonly (readonly [Config, string])[] = [
      [{ hidden_act: 'silu' }, 'CONFIG_UNSUPPORTED c: hidden_act'],
      [{ hidden_activation: 'gelu' }, 'CONFIG_UNSUPPORTED c: hidden_activation'],
      [{ final_logit_softcapping: 0 }, 'CONFIG_INVALID c: final_logit_softcapping'],
      [{ query_pre_attn_scalar: undefined }, 'CONFIG_INVALID c: query_pre_attn_scalar'],
      [{ sliding_window_size: 1024 }, 'CONFIG_UNSUPPORTED c: sliding_window_size'],
      [{ use_bidirectional_attention: true }, 'CONFIG_UNSUPPORTED c: use_bidirectional_attention'],
    ];
    for (const [change, problem] of refused) expect(problemsOf({ ...gemma2, ...change })).toEqual([problem]);
  });
});

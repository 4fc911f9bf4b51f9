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

/** huggingface.co/microsoft/Phi-3-mini-4k-instruct, config.json */
const phi3: Config = {
  _name_or_path: 'Phi-3-mini-4k-instruct',
  architectures: ['Phi3ForCausalLM'],
  attention_bias: false,
  attention_dropout: 0,
  bos_token_id: 1,
  embd_pdrop: 0,
  eos_token_id: 32_000,
  hidden_act: 'silu',
  hidden_size: 3072,
  initializer_range: 0.02,
  intermediate_size: 8192,
  max_position_embeddings: 4096,
  model_type: 'phi3',
  num_attention_heads: 32,
  num_hidden_layers: 32,
  num_key_value_heads: 32,
  original_max_position_embeddings: 4096,
  pad_token_id: 32_000,
  resid_pdrop: 0,
  rms_norm_eps: 1e-5,
  rope_scaling: null,
  rope_theta: 10_000,
  sliding_window: 2047,
  tie_word_embeddings: false,
  torch_dtype: 'bfloat16',
  transformers_version: '4.40.2',
  use_cache: true,
  vocab_size: 32_064,
};

/** huggingface.co/deepseek-ai/DeepSeek-V3, config.json, without the quantization of its weights */
const deepseekV3: Config = {
  architectures: ['DeepseekV3ForCausalLM'],
  attention_bias: false,
  attention_dropout: 0,
  auto_map: { AutoConfig: 'configuration_deepseek.DeepseekV3Config' },
  aux_loss_alpha: 0.001,
  bos_token_id: 0,
  eos_token_id: 1,
  ep_size: 1,
  first_k_dense_replace: 3,
  hidden_act: 'silu',
  hidden_size: 7168,
  initializer_range: 0.02,
  intermediate_size: 18_432,
  kv_lora_rank: 512,
  max_position_embeddings: 163_840,
  model_type: 'deepseek_v3',
  moe_intermediate_size: 2048,
  moe_layer_freq: 1,
  n_group: 8,
  n_routed_experts: 256,
  n_shared_experts: 1,
  norm_topk_prob: true,
  num_attention_heads: 128,
  num_experts_per_tok: 8,
  num_hidden_layers: 61,
  num_key_value_heads: 128,
  num_nextn_predict_layers: 1,
  pretraining_tp: 1,
  q_lora_rank: 1536,
  qk_nope_head_dim: 128,
  qk_rope_head_dim: 64,
  rms_norm_eps: 1e-6,
  rope_scaling: {
    beta_fast: 32,
    beta_slow: 1,
    factor: 40,
    mscale: 1,
    mscale_all_dim: 1,
    original_max_position_embeddings: 4096,
    type: 'yarn',
  },
  rope_theta: 10_000,
  routed_scaling_factor: 2.5,
  scoring_func: 'sigmoid',
  seq_aux: true,
  tie_word_embeddings: false,
  topk_group: 4,
  topk_method: 'noaux_tc',
  torch_dtype: 'bfloat16',
  transformers_version: '4.33.1',
  use_cache: true,
  v_head_dim: 128,
  vocab_size: 129_280,
};

/** huggingface.co/deepseek-ai/DeepSeek-V2-Lite, config.json */
const deepseekV2Lite: Config = {
  architectures: ['DeepseekV2ForCausalLM'],
  attention_bias: false,
  attention_dropout: 0,
  aux_loss_alpha: 0.001,
  bos_token_id: 100_000,
  eos_token_id: 100_001,
  first_k_dense_replace: 1,
  hidden_act: 'silu',
  hidden_size: 2048,
  initializer_range: 0.02,
  intermediate_size: 10_944,
  kv_lora_rank: 512,
  max_position_embeddings: 163_840,
  model_type: 'deepseek_v2',
  moe_intermediate_size: 1408,
  moe_layer_freq: 1,
  n_group: 1,
  n_routed_experts: 64,
  n_shared_experts: 2,
  norm_topk_prob: false,
  num_attention_heads: 16,
  num_experts_per_tok: 6,
  num_hidden_layers: 27,
  num_key_value_heads: 16,
  pretraining_tp: 1,
  q_lora_rank: null,
  qk_nope_head_dim: 128,
  qk_rope_head_dim: 64,
  rms_norm_eps: 1e-6,
  rope_scaling: {
    beta_fast: 32,
    beta_slow: 1,
    factor: 40,
    mscale: 0.707,
    mscale_all_dim: 0.707,
    original_max_position_embeddings: 4096,
    type: 'yarn',
  },
  rope_theta: 10_000,
  routed_scaling_factor: 1,
  scoring_func: 'softmax',
  seq_aux: true,
  tie_word_embeddings: false,
  topk_group: 1,
  topk_method: 'greedy',
  torch_dtype: 'bfloat16',
  transformers_version: '4.33.1',
  use_cache: true,
  v_head_dim: 128,
  vocab_size: 102_400,
};

const published: readonly (readonly [string, Config])[] = [
  ['gemma-2-9b', gemma2],
  ['phi-3-mini', phi3],
  ['deepseek-v2-lite', deepseekV2Lite],
  ['deepseek-v3', deepseekV3],
];

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
    expect(without.attention).toMatchObject({ softcap: undefined });
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

describe('phi3', () => {
  const [short, long] = [1, 4].map((first) => Array.from({ length: 48 }, (_, i) => first + i / 8));
  const stretched = {
    max_position_embeddings: 131_072,
    rope_scaling: { type: 'longrope', short_factor: short, long_factor: long },
  };

  it('takes the long factors where the context is longer than the original one', () => {
    const of = (change: Config) => parseConfig({ ...phi3, ...change }).shape.rope.scaling;
    // As in transformers: sqrt(1 + ln(32) / ln(4096)).
    const attentionFactor = Math.sqrt(1 + Math.log(32) / Math.log(4096));
    expect(of(stretched)).toEqual({ kind: 'longrope', divisors: long, attentionFactor });
    expect(of({ ...stretched, rope_scaling: { ...stretched.rope_scaling, type: 'su' } })).toEqual(of(stretched));
    expect(of({ ...stretched, max_position_embeddings: 4096 })).toEqual({
      kind: 'longrope',
      divisors: short,
      attentionFactor: 1,
    });
  });

  it('rotates a part of each head, as Phi-4 mini does', () => {
    const { attention } = parseConfig({ ...phi3, partial_rotary_factor: 0.75 }).shape;
    expect(attention).toHaveProperty('ropeHeadDim', 72);
  });

  it('refuses what would be another model', () => {
    const scaling = stretched.rope_scaling;
    const refused: readonly (readonly [Config, string])[] = [
      [{ partial_rotary_factor: 0.7 }, 'CONFIG_INVALID c: partial_rotary_factor'],
      [{ partial_rotary_factor: 2 }, 'CONFIG_INVALID c: partial_rotary_factor'],
      [
        { rope_scaling: { ...scaling, long_factor: short.slice(1) }, max_position_embeddings: 8192 },
        'CONFIG_INVALID c: rope_scaling',
      ],
      [{ rope_scaling: { ...scaling, short_factor: [0] } }, 'CONFIG_INVALID c: rope_scaling.short_factor'],
      [{ rope_scaling: { ...scaling, long_mscale: 1.2 } }, 'CONFIG_UNSUPPORTED c: rope_scaling.long_mscale'],
      [{ resid_pdrop: 0.1 }, 'CONFIG_UNSUPPORTED c: resid_pdrop'],
    ];
    for (const [change, problem] of refused) expect(problemsOf({ ...phi3, ...change })).toEqual([problem]);
  });
});

describe('deepseek', () => {
  it('scales scores with the stretch of the context, and not without one', () => {
    // modeling_deepseek.py: (0.1 · mscale_all_dim · ln 40 + 1)².
    expect(parseConfig(deepseekV3).shape.attention).toHaveProperty('scoreFactor', (0.1 * Math.log(40) + 1) ** 2);
    expect(parseConfig({ ...deepseekV3, rope_scaling: null }).shape.attention).not.toHaveProperty('scoreFactor');
  });

  it('refuses what would be another model', () => {
    const refused: readonly (readonly [Config, Config, string])[] = [
      [deepseekV3, { scoring_func: 'softmax' }, 'CONFIG_UNSUPPORTED c: scoring_func'],
      [deepseekV3, { topk_method: 'greedy' }, 'CONFIG_UNSUPPORTED c: topk_method'],
      [deepseekV3, { n_group: 7 }, 'CONFIG_INVALID c: n_group'],
      [deepseekV3, { topk_group: 9 }, 'CONFIG_INVALID c: topk_group'],
      [deepseekV3, { first_k_dense_replace: 61 }, 'CONFIG_INVALID c: first_k_dense_replace'],
      [deepseekV3, { moe_layer_freq: 2 }, 'CONFIG_UNSUPPORTED c: moe_layer_freq'],
      [deepseekV3, { qk_rope_head_dim: 63 }, 'CONFIG_INVALID c: qk_rope_head_dim'],
      [deepseekV3, { quantization_config: { quant_method: 'fp8' } }, 'CONFIG_UNSUPPORTED c: quantization_config'],
      [deepseekV2Lite, { topk_method: 'group_limited_greedy' }, 'CONFIG_UNSUPPORTED c: topk_method'],
      [deepseekV2Lite, { num_key_value_heads: 4 }, 'CONFIG_UNSUPPORTED c: num_key_value_heads'],
    ];
    for (const [config, change, problem] of refused) expect(problemsOf({ ...config, ...change })).toEqual([problem]);
  });
});

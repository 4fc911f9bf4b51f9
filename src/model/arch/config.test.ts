// Configurations as published, against the shapes of spec; and every way in which one is refused.

import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import { IngotError } from '../../core/index.ts';
import { findLlm, type LlmShape } from '../../spec/index.ts';
import { parseConfig } from './index.ts';

type Config = Record<string, unknown>;

/** huggingface.co/meta-llama/Llama-3.1-8B-Instruct, config.json */
const llama31: Config = {
  architectures: ['LlamaForCausalLM'],
  attention_bias: false,
  attention_dropout: 0,
  bos_token_id: 128_000,
  eos_token_id: [128_001, 128_008, 128_009],
  hidden_act: 'silu',
  hidden_size: 4096,
  initializer_range: 0.02,
  intermediate_size: 14_336,
  max_position_embeddings: 131_072,
  mlp_bias: false,
  model_type: 'llama',
  num_attention_heads: 32,
  num_hidden_layers: 32,
  num_key_value_heads: 8,
  pretraining_tp: 1,
  rms_norm_eps: 1e-5,
  rope_scaling: {
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 8192,
    rope_type: 'llama3',
  },
  rope_theta: 500_000,
  tie_word_embeddings: false,
  torch_dtype: 'bfloat16',
  transformers_version: '4.42.3',
  use_cache: true,
  vocab_size: 128_256,
};

/** huggingface.co/mistralai/Mistral-7B-v0.1, config.json */
const mistral: Config = {
  architectures: ['MistralForCausalLM'],
  bos_token_id: 1,
  eos_token_id: 2,
  hidden_act: 'silu',
  hidden_size: 4096,
  initializer_range: 0.02,
  intermediate_size: 14_336,
  max_position_embeddings: 32_768,
  model_type: 'mistral',
  num_attention_heads: 32,
  num_hidden_layers: 32,
  num_key_value_heads: 8,
  rms_norm_eps: 1e-5,
  rope_theta: 10_000,
  sliding_window: 4096,
  tie_word_embeddings: false,
  torch_dtype: 'bfloat16',
  transformers_version: '4.34.0.dev0',
  use_cache: true,
  vocab_size: 32_000,
};

/** huggingface.co/Qwen/Qwen2-72B-Instruct, config.json */
const qwen2: Config = {
  architectures: ['Qwen2ForCausalLM'],
  attention_dropout: 0,
  bos_token_id: 151_643,
  eos_token_id: 151_645,
  hidden_act: 'silu',
  hidden_size: 8192,
  initializer_range: 0.02,
  intermediate_size: 29_568,
  max_position_embeddings: 32_768,
  max_window_layers: 80,
  model_type: 'qwen2',
  num_attention_heads: 64,
  num_hidden_layers: 80,
  num_key_value_heads: 8,
  rms_norm_eps: 1e-6,
  rope_theta: 1_000_000,
  sliding_window: 131_072,
  tie_word_embeddings: false,
  torch_dtype: 'bfloat16',
  transformers_version: '4.40.1',
  use_cache: true,
  use_sliding_window: false,
  vocab_size: 152_064,
};

/** huggingface.co/Qwen/Qwen3-0.6B, config.json */
const qwen3: Config = {
  architectures: ['Qwen3ForCausalLM'],
  attention_bias: false,
  attention_dropout: 0,
  bos_token_id: 151_643,
  eos_token_id: 151_645,
  head_dim: 128,
  hidden_act: 'silu',
  hidden_size: 1024,
  initializer_range: 0.02,
  intermediate_size: 3072,
  max_position_embeddings: 40_960,
  max_window_layers: 28,
  model_type: 'qwen3',
  num_attention_heads: 16,
  num_hidden_layers: 28,
  num_key_value_heads: 8,
  rms_norm_eps: 1e-6,
  rope_scaling: null,
  rope_theta: 1_000_000,
  sliding_window: null,
  tie_word_embeddings: true,
  torch_dtype: 'bfloat16',
  transformers_version: '4.51.0',
  use_cache: true,
  use_sliding_window: false,
  vocab_size: 151_936,
};

/** huggingface.co/mistralai/Mixtral-8x7B-v0.1, config.json */
const mixtral: Config = {
  ...mistral,
  architectures: ['MixtralForCausalLM'],
  model_type: 'mixtral',
  num_experts_per_tok: 2,
  num_local_experts: 8,
  output_router_logits: false,
  rope_theta: 1_000_000,
  router_aux_loss_coef: 0.02,
  sliding_window: null,
};

/** huggingface.co/Qwen/Qwen3-235B-A22B, config.json */
const qwen3Moe: Config = {
  ...qwen3,
  architectures: ['Qwen3MoeForCausalLM'],
  decoder_sparse_step: 1,
  hidden_size: 4096,
  intermediate_size: 12_288,
  max_window_layers: 94,
  mlp_only_layers: [],
  model_type: 'qwen3_moe',
  moe_intermediate_size: 1536,
  norm_topk_prob: true,
  num_attention_heads: 64,
  num_experts: 128,
  num_experts_per_tok: 8,
  num_hidden_layers: 94,
  num_key_value_heads: 4,
  output_router_logits: false,
  router_aux_loss_coef: 0.001,
  tie_word_embeddings: false,
};

/** huggingface.co/openai/gpt-oss-120b, config.json */
const gptOss: Config = {
  architectures: ['GptOssForCausalLM'],
  attention_bias: true,
  attention_dropout: 0,
  eos_token_id: 200_002,
  experts_per_token: 4,
  head_dim: 64,
  hidden_act: 'silu',
  hidden_size: 2880,
  initial_context_length: 4096,
  initializer_range: 0.02,
  intermediate_size: 2880,
  layer_types: Array.from({ length: 36 }, (_, i) => (i % 2 === 0 ? 'sliding_attention' : 'full_attention')),
  max_position_embeddings: 131_072,
  model_type: 'gpt_oss',
  num_attention_heads: 64,
  num_experts_per_tok: 4,
  num_hidden_layers: 36,
  num_key_value_heads: 8,
  num_local_experts: 128,
  output_router_logits: false,
  pad_token_id: 199_999,
  quantization_config: {
    modules_to_not_convert: ['model.layers.*.self_attn', 'model.layers.*.mlp.router', 'model.embed_tokens', 'lm_head'],
    quant_method: 'mxfp4',
  },
  rms_norm_eps: 1e-5,
  rope_scaling: {
    beta_fast: 32,
    beta_slow: 1,
    factor: 32,
    original_max_position_embeddings: 4096,
    rope_type: 'yarn',
    truncate: false,
  },
  rope_theta: 150_000,
  router_aux_loss_coef: 0.9,
  sliding_window: 128,
  swiglu_limit: 7,
  tie_word_embeddings: false,
  transformers_version: '4.55.0.dev0',
  use_cache: true,
  vocab_size: 201_088,
};

const without = (config: Config, ...keys: readonly string[]): Config =>
  Object.fromEntries(Object.entries(config).filter(([key]) => !keys.includes(key)));

const attentionOf = (config: Config): LlmShape['attention'] => parseConfig(config).shape.attention;

function problemsOf(config: unknown): readonly { code: string; where: string }[] {
  try {
    parseConfig(config);
  } catch (error) {
    if (error instanceof IngotError) return error.diagnostics.map(({ code, where }) => ({ code, where: where ?? '' }));
    throw error;
  }
  return [];
}

describe('published configurations', () => {
  it.each([
    ['llama-3.1-8b', llama31],
    ['mistral-7b', mistral],
    ['qwen2-72b', qwen2],
    ['qwen3-0.6b', qwen3],
    ['mixtral-8x7b', mixtral],
    ['qwen3-235b-a22b', qwen3Moe],
    ['gpt-oss-120b', gptOss],
  ])('%s parses to the shape that spec states', (id, config) => {
    expect(parseConfig(config).shape).toEqual(findLlm(id).shape);
  });

  it('reads the ids that begin and end a text', () => {
    expect(parseConfig(llama31)).toMatchObject({ bosTokenId: 128_000, eosTokenIds: [128_001, 128_008, 128_009] });
    expect(parseConfig(mistral)).toMatchObject({ bosTokenId: 1, eosTokenIds: [2] });
    const none = parseConfig({ ...qwen3, bos_token_id: null, eos_token_id: null });
    expect(none.bosTokenId).toBeUndefined();
    expect(none.eosTokenIds).toEqual([]);
  });
});

describe('forms and defaults', () => {
  it('rope_parameters says what rope_theta and rope_scaling said', () => {
    const old = without(llama31, 'rope_theta', 'rope_scaling');
    const parameters = { ...(llama31['rope_scaling'] as object), rope_theta: 500_000 };
    expect(parseConfig({ ...old, rope_parameters: parameters }).shape).toEqual(parseConfig(llama31).shape);
    const plain = { ...without(qwen3, 'rope_theta'), rope_parameters: { rope_type: 'default', rope_theta: 1_000_000 } };
    expect(parseConfig(plain).shape).toEqual(parseConfig(qwen3).shape);
  });
  it('the older name of rope_type', () => {
    const scaling = llama31['rope_scaling'] as Config;
    const older = { ...without(scaling, 'rope_type'), type: 'llama3' };
    expect(parseConfig({ ...llama31, rope_scaling: older }).shape).toEqual(parseConfig(llama31).shape);
  });
  it('what the first llama left out', () => {
    const first = without(
      llama31,
      'num_key_value_heads',
      'rope_theta',
      'rope_scaling',
      'tie_word_embeddings',
      'mlp_bias',
    );
    const { shape } = parseConfig(first);
    expect(shape.attention).toMatchObject({ heads: 32, kvHeads: 32, headDim: 128 });
    expect(shape.rope).toEqual({ theta: 10_000 });
    expect(shape.tiedEmbeddings).toBe(false);
  });
  it('attention_bias is on all four projections where the family has it', () => {
    expect(attentionOf({ ...llama31, attention_bias: true })).toMatchObject({ qkvBias: true, outBias: true });
    expect(attentionOf({ ...qwen3, attention_bias: true })).toMatchObject({ qkvBias: true, outBias: true });
    expect(attentionOf(qwen2)).toMatchObject({ qkvBias: true, outBias: false });
  });
});

describe('sliding windows', () => {
  const windowOf = (config: Config): number | undefined => {
    const attention = attentionOf(config);
    return attention.kind === 'gqa' ? attention.slidingWindow : undefined;
  };
  const layers = (kind: string, count: number): string[] => Array.from({ length: count }, () => kind);

  it('mistral has one where the configuration has one', () => {
    expect(windowOf(mistral)).toBe(4096);
    expect(windowOf({ ...mistral, sliding_window: null })).toBeUndefined();
    expect(windowOf({ ...mistral, layer_types: layers('full_attention', 32) })).toBeUndefined();
  });
  it('qwen has one behind its switch, from max_window_layers on', () => {
    const on = { ...qwen2, use_sliding_window: true };
    expect(windowOf(qwen2)).toBeUndefined();
    expect(windowOf(on)).toBeUndefined();
    expect(windowOf({ ...on, max_window_layers: 0 })).toBe(131_072);
    expect(problemsOf({ ...on, max_window_layers: 70 })).toEqual([
      { code: 'CONFIG_UNSUPPORTED', where: 'config.json: max_window_layers' },
    ]);
    expect(windowOf({ ...on, max_window_layers: 70, layer_types: layers('sliding_attention', 80) })).toBe(131_072);
    expect(windowOf({ ...on, max_window_layers: 0, layer_types: layers('full_attention', 80) })).toBeUndefined();
  });
});

describe('refusals', () => {
  const scaling = llama31['rope_scaling'] as Config;
  const refused: readonly (readonly [what: string, config: unknown, code: string, where: string])[] = [
    ['not an object', [], 'CONFIG_INVALID', 'config.json'],
    ['null', null, 'CONFIG_INVALID', 'config.json'],
    ['no model_type', without(llama31, 'model_type'), 'CONFIG_INVALID', 'model_type'],
    ['unknown model_type', { ...llama31, model_type: 'lama' }, 'ARCH_UNKNOWN', 'model_type'],
    [
      'another head',
      { ...llama31, architectures: ['LlamaForSequenceClassification'] },
      'CONFIG_UNSUPPORTED',
      'architectures',
    ],
    ['architectures as text', { ...llama31, architectures: 'LlamaForCausalLM' }, 'CONFIG_INVALID', 'architectures'],
    ['a missing width', without(llama31, 'hidden_size'), 'CONFIG_INVALID', 'hidden_size'],
    ['a width as text', { ...llama31, hidden_size: '4096' }, 'CONFIG_INVALID', 'hidden_size'],
    ['a width that is no whole number', { ...llama31, intermediate_size: 0.5 }, 'CONFIG_INVALID', 'intermediate_size'],
    ['zero layers', { ...llama31, num_hidden_layers: 0 }, 'CONFIG_INVALID', 'num_hidden_layers'],
    ['absurd layers', { ...llama31, num_hidden_layers: 1e9 }, 'CONFIG_INVALID', 'num_hidden_layers'],
    ['an absurd vocabulary', { ...llama31, vocab_size: 2 ** 40 }, 'CONFIG_INVALID', 'vocab_size'],
    ['heads that do not divide the width', { ...llama31, num_attention_heads: 24 }, 'CONFIG_INVALID', 'hidden_size'],
    [
      'KV heads that do not divide heads',
      { ...llama31, num_key_value_heads: 5 },
      'CONFIG_INVALID',
      'num_key_value_heads',
    ],
    ['an odd head', { ...llama31, head_dim: 127 }, 'CONFIG_INVALID', 'head_dim'],
    ['qwen3 without head_dim', without(qwen3, 'head_dim'), 'CONFIG_INVALID', 'head_dim'],
    ['a negative eps', { ...llama31, rms_norm_eps: -1 }, 'CONFIG_INVALID', 'rms_norm_eps'],
    ['no eps', without(llama31, 'rms_norm_eps'), 'CONFIG_INVALID', 'rms_norm_eps'],
    ['a flag as text', { ...llama31, tie_word_embeddings: 'yes' }, 'CONFIG_INVALID', 'tie_word_embeddings'],
    ['an eos outside the vocabulary', { ...llama31, eos_token_id: 128_256 }, 'CONFIG_INVALID', 'eos_token_id'],
    ['two bos', { ...llama31, bos_token_id: [1, 2] }, 'CONFIG_INVALID', 'bos_token_id'],
    ['another activation', { ...llama31, hidden_act: 'gelu' }, 'CONFIG_UNSUPPORTED', 'hidden_act'],
    ['mlp_bias', { ...llama31, mlp_bias: true }, 'CONFIG_UNSUPPORTED', 'mlp_bias'],
    ['attention_bias in mistral', { ...mistral, attention_bias: true }, 'CONFIG_UNSUPPORTED', 'attention_bias'],
    ['no attention_bias in qwen2', { ...qwen2, attention_bias: false }, 'CONFIG_UNSUPPORTED', 'attention_bias'],
    ['a window in llama', { ...llama31, sliding_window: 4096 }, 'CONFIG_UNSUPPORTED', 'sliding_window'],
    [
      'more active experts than there are',
      { ...mixtral, num_experts_per_tok: 9 },
      'CONFIG_INVALID',
      'num_experts_per_tok',
    ],
    ['layers without experts', { ...qwen3Moe, mlp_only_layers: [3] }, 'CONFIG_UNSUPPORTED', 'mlp_only_layers'],
    ['another bound of the unit', { ...gptOss, swiglu_limit: 9 }, 'CONFIG_UNSUPPORTED', 'swiglu_limit'],
    [
      'another way to quantize',
      { ...gptOss, quantization_config: { quant_method: 'fp8' } },
      'CONFIG_UNSUPPORTED',
      'quantization_config',
    ],
    ['quantization', { ...llama31, quantization_config: { bits: 4 } }, 'CONFIG_UNSUPPORTED', 'quantization_config'],
    ['partial rope', { ...llama31, partial_rotary_factor: 0.5 }, 'CONFIG_UNSUPPORTED', 'partial_rotary_factor'],
    [
      'another scaling',
      { ...qwen2, rope_scaling: { type: 'dynamic', factor: 4 } },
      'CONFIG_UNSUPPORTED',
      'rope_scaling',
    ],
    [
      'llama3 without factor',
      { ...llama31, rope_scaling: without(scaling, 'factor') },
      'CONFIG_INVALID',
      'rope_scaling.factor',
    ],
    [
      'llama3 with factors that cross',
      { ...llama31, rope_scaling: { ...scaling, high_freq_factor: 1 } },
      'CONFIG_INVALID',
      'rope_scaling.high_freq_factor',
    ],
    [
      'two kinds at once',
      { ...llama31, rope_scaling: { ...scaling, type: 'default' } },
      'CONFIG_INVALID',
      'rope_scaling.type',
    ],
    [
      'a key that llama3 scaling lacks',
      { ...llama31, rope_scaling: { ...scaling, mscale: 2 } },
      'CONFIG_UNSUPPORTED',
      'rope_scaling.mscale',
    ],
    ['scaling as text', { ...llama31, rope_scaling: 'llama3' }, 'CONFIG_INVALID', 'rope_scaling'],
    [
      'two thetas',
      { ...without(llama31, 'rope_scaling'), rope_parameters: { rope_theta: 10_000 } },
      'CONFIG_INVALID',
      'rope_theta',
    ],
    [
      'rope per kind of layer',
      { ...without(llama31, 'rope_scaling', 'rope_theta'), rope_parameters: { full_attention: { rope_theta: 1 } } },
      'CONFIG_UNSUPPORTED',
      'rope_parameters.full_attention',
    ],
    [
      'layers of two kinds',
      { ...qwen3, layer_types: [...Array.from({ length: 27 }, () => 'full_attention'), 'sliding_attention'] },
      'CONFIG_UNSUPPORTED',
      'layer_types',
    ],
    ['too few layer types', { ...qwen3, layer_types: ['full_attention'] }, 'CONFIG_INVALID', 'layer_types'],
    ['an unknown key', { ...llama31, logit_scale: 2 }, 'CONFIG_UNSUPPORTED', '"logit_scale"'],
  ];
  it.each(refused)('%s', (_what, config, code, where) => {
    const found = problemsOf(config);
    expect(found).toHaveLength(1);
    expect(found[0].code).toBe(code);
    expect(found[0].where.replace('config.json: ', '')).toBe(where);
  });

  it('suggests the architecture and the key that were meant', () => {
    const suggestionOf = (config: Config): string | undefined => {
      try {
        parseConfig(config);
      } catch (error) {
        if (error instanceof IngotError) return error.diagnostics.at(-1)?.suggestion;
      }
      return undefined;
    };
    expect(suggestionOf({ ...llama31, model_type: 'lama' })).toBe("did you mean 'llama'?");
    expect(suggestionOf({ ...llama31, ropetheta: 500_000 })).toBe("did you mean 'rope_theta'?");
  });

  it('reports all problems at once, up to a limit', () => {
    const codes = problemsOf({ ...llama31, hidden_act: 'gelu', mlp_bias: true, rms_norm_eps: 0, strange: 1 });
    expect(codes.map(({ where }) => where.replace('config.json: ', ''))).toEqual([
      'hidden_act',
      'mlp_bias',
      'rms_norm_eps',
      '"strange"',
    ]);
    const many = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`strange${i}`, i]));
    const found = problemsOf({ ...llama31, ...many });
    expect(found.length).toBeLessThan(20);
    expect(found.at(-1)?.code).toBe('MORE_PROBLEMS');
  });

  it('whatever a key holds, the answer is a sound shape or a diagnostic', () => {
    const base = fc.constantFrom(llama31, mistral, qwen2, qwen3);
    const key = fc.constantFrom(...new Set([llama31, mistral, qwen2, qwen3].flatMap((config) => Object.keys(config))));
    const value = fc.oneof(fc.jsonValue(), fc.integer(), fc.double(), fc.constantFrom('__proto__', -0, 1e308));
    fc.assert(
      fc.property(base, fc.dictionary(key, value, { minKeys: 1, maxKeys: 3 }), (config, changes) => {
        try {
          const { shape } = parseConfig({ ...config, ...changes });
          if (shape.attention.kind !== 'gqa') expect.fail('executable architectures have gqa');
          const { heads, kvHeads, headDim } = shape.attention;
          expect(heads % kvHeads).toBe(0);
          expect(headDim % 2).toBe(0);
          expect(Object.values(shape).every((field) => typeof field !== 'number' || field > 0)).toBe(true);
        } catch (error) {
          if (!(error instanceof IngotError)) throw error;
        }
      }),
      { numRuns: 500 },
    );
  });
});

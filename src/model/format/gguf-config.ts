// GGUF metadata as the `config.json` of the same model, so that one strict reader judges both. Keys:
// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md and gguf-py/gguf/constants.py of llama.cpp.

import { fail, IngotError, type Diagnostic } from '../../core/index.ts';
import { parseConfig, type ParsedConfig } from '../arch/index.ts';
import {
  groupedExpertKeys,
  latentConfig,
  latentHandledKeys,
  latentKeys,
  latentModelType,
  latentStretch,
} from './gguf-latent.ts';
import { ggufNames } from './gguf-names.ts';
import { llama3Scaling } from './gguf-rope.ts';
import type { GgufTensor, GgufValue } from './gguf.ts';
import type { JsonObject } from './json.ts';

/** Divisors of the rotary frequencies, which the converter writes for llama3 scaling. */
const ROPE_DIVISORS = 'rope_freqs.weight';

/** Divisors for LongRoPE, in force where the context is longer than the original one, and where it is not. */
const LONG_DIVISORS = 'rope_factors_long.weight';
const SHORT_DIVISORS = 'rope_factors_short.weight';
/** Tensors that are read as configuration. */
export const CONFIGURING_TENSORS: ReadonlySet<string> = new Set([ROPE_DIVISORS, LONG_DIVISORS, SHORT_DIVISORS]);

/** Values of `general.architecture` that are another `model_type` in Hugging Face format. */
const modelTypes: Readonly<Record<string, string>> = {
  qwen3moe: 'qwen3_moe',
  gemma2: 'gemma2',
  glm4moe: 'glm4_moe',
  'gpt-oss': 'gpt_oss',
};
/** Norm weights of these are offsets from 1, and the converter added it. */
const offsetNormFamilies: ReadonlySet<unknown> = new Set(['gemma2']);
/** Layers by which llama.cpp knows Gemma 2 27B, whose score scale the file does not state. */
const gemma27bLayers = 46;
/** Value of `expert_gating_func` for scores by sigmoid. */
const gatedBySigmoid = 2;
/** Rotary pairs of these are neighbours, so the converter reordered rows of query and key. */
const interleavedFamilies: ReadonlySet<unknown> = new Set(['llama']);

/** Keys of `<architecture>.` that stand for one key of config.json. */
const sameKeys: Readonly<Record<string, string>> = {
  context_length: 'max_position_embeddings',
  embedding_length: 'hidden_size',
  block_count: 'num_hidden_layers',
  feed_forward_length: 'intermediate_size',
  vocab_size: 'vocab_size',
  'attention.head_count': 'num_attention_heads',
  'attention.head_count_kv': 'num_key_value_heads',
  'attention.key_length': 'head_dim',
  'attention.layer_norm_rms_epsilon': 'rms_norm_eps',
  'attention.sliding_window': 'sliding_window',
  attn_logit_softcapping: 'attn_logit_softcapping',
  final_logit_softcapping: 'final_logit_softcapping',
  'rope.freq_base': 'rope_theta',
};
/** Keys of `<architecture>.` for a mixture, by `model_type`. */
const moeKeys: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  mixtral: { expert_count: 'num_local_experts', expert_used_count: 'num_experts_per_tok' },
  qwen3_moe: {
    expert_count: 'num_experts',
    expert_used_count: 'num_experts_per_tok',
    expert_feed_forward_length: 'moe_intermediate_size',
  },
  glm4_moe: {
    ...groupedExpertKeys,
    nextn_predict_layers: 'num_nextn_predict_layers',
  },
  gpt_oss: {
    expert_count: 'num_local_experts',
    expert_used_count: 'num_experts_per_tok',
    expert_feed_forward_length: 'intermediate_size',
  },
};
/** Keys of the tokenizer that config.json has too. */
const tokenKeys: Readonly<Record<string, string>> = {
  'tokenizer.ggml.bos_token_id': 'bos_token_id',
  'tokenizer.ggml.eos_token_id': 'eos_token_id',
};
/** Keys that have a part in the reading below, or cannot change a forward pass without scaling. */
const handledKeys: ReadonlySet<string> = new Set([
  'attention.value_length',
  'rope.dimension_count',
  'rope.scale_linear',
  'rope.scaling.type',
  'rope.scaling.factor',
  'rope.scaling.original_context_length',
  'rope.scaling.finetuned',
  'rope.scaling.attn_factor',
  'rope.scaling.yarn_beta_fast',
  'rope.scaling.yarn_beta_slow',
  'expert_count',
  'expert_used_count',
  // For embeddings.
  'pooling_type',
  // "Meta AI original pth": the same order of rows.
  'tensor_data_layout',
]);

export interface GgufConfig extends ParsedConfig {
  /** As config.json of the model would be. */
  readonly config: JsonObject;
  readonly interleaved: boolean;
  /** What the file adds to the norm weights of Hugging Face. */
  readonly normOffset: number;
}

/**
 * @param readDivisors reads the tensor `rope_freqs.weight`
 * @throws IngotError CONFIG_INVALID, CONFIG_UNSUPPORTED, ARCH_UNKNOWN, ARCH_UNSUPPORTED, GGUF_*, in terms of the
 *   keys of the file
 */
export function ggufConfig(
  metadata: ReadonlyMap<string, GgufValue>,
  tensors: readonly GgufTensor[],
  readDivisors: (tensor: GgufTensor) => Float32Array,
  where: string,
): GgufConfig {
  requireModel(metadata, tensors, where);
  const architecture = metadata.get('general.architecture');
  const prefix = `${String(architecture)}.`;
  const get = (key: string): unknown => plain(metadata.get(prefix + key));
  const config: Record<string, unknown> = { model_type: modelTypeOf(architecture, get) };
  const isLatent = architecture === 'deepseek2';
  const own = isLatent ? latentKeys : (moeKeys[String(config['model_type'])] ?? {});
  for (const key of metadata.keys()) {
    if (!key.startsWith(prefix)) continue;
    const suffix = key.slice(prefix.length);
    if (Object.hasOwn(own, suffix)) config[own[suffix]] = get(suffix);
    else if (isLatent && latentHandledKeys.includes(suffix)) continue;
    else if (Object.hasOwn(sameKeys, suffix)) config[sameKeys[suffix]] ??= get(suffix);
    // The reader of configurations refuses what it does not know, under this name.
    else if (!handledKeys.has(suffix)) config[key] = get(suffix);
  }
  // How the converter writes that there is none.
  if (config['sliding_window'] === 0) delete config['sliding_window'];
  for (const [key, name] of Object.entries(tokenKeys)) if (metadata.has(key)) config[name] = plain(metadata.get(key));

  const names = ggufNames(architecture);
  const shapes = new Map(tensors.map((tensor) => [names.huggingFace(tensor.name), tensor.shape]));
  config['vocab_size'] ??= shapes.get('model.embed_tokens.weight')?.[0] ?? null;
  config['tie_word_embeddings'] = !shapes.has('lm_head.weight');
  // Mistral and qwen2 leave no choice.
  if (['llama', 'qwen3', 'qwen3_moe'].includes(String(config['model_type'])))
    config['attention_bias'] = shapes.has('model.layers.0.self_attn.q_proj.bias');

  if (config['model_type'] === 'glm4_moe') {
    config['attention_bias'] = shapes.has('model.layers.0.self_attn.q_proj.bias');
    config['use_qk_norm'] = shapes.has('model.layers.0.self_attn.q_norm.weight');
    config['partial_rotary_factor'] = 1;
    // Layers that predict further tokens are counted with the others.
    config['num_hidden_layers'] = Number(config['num_hidden_layers']) - Number(config['num_nextn_predict_layers'] ?? 0);
    if (get('expert_gating_func') === gatedBySigmoid) delete config[`${prefix}expert_gating_func`];
  }
  // llama.cpp normalizes the weights of qwen3moe whatever its configuration said.
  if (config['model_type'] === 'qwen3_moe') config['norm_topk_prob'] = true;

  const headDim = Number(config['head_dim'] ?? Number(config['hidden_size']) / Number(config['num_attention_heads']));
  const valueDim = get('attention.value_length') ?? headDim;
  if (isLatent) Object.assign(config, latentConfig(get));
  else if (valueDim !== headDim && !Number.isNaN(headDim)) config[`${prefix}attention.value_length`] = valueDim;
  if (config['model_type'] === 'gemma2') {
    config['query_pre_attn_scalar'] =
      config['num_hidden_layers'] === gemma27bLayers
        ? Number(config['hidden_size']) / Number(config['num_attention_heads'])
        : headDim;
  }
  const rotated = get('rope.dimension_count') ?? headDim;
  if (!isLatent && rotated !== headDim && !Number.isNaN(headDim))
    config['partial_rotary_factor'] = Number(rotated) / headDim;
  const divisors = tensors.find(({ name }) => name === ROPE_DIVISORS);
  const recovered = divisors === undefined ? longRope() : recoverScaling(divisors);
  const isStatedTwice = recovered?.['rope_type'] === 'longrope' && get('rope.scaling.type') === 'longrope';
  const stated = isStatedTwice ? undefined : statedScaling(get);
  if (stated !== undefined && recovered !== undefined) {
    fail({
      code: 'GGUF_ROPE_UNSUPPORTED',
      message: 'the file has two kinds of rope scaling',
      where,
      found: `${prefix}rope.scaling.type ${String(stated['rope_type'])}, and the tensor ${ROPE_DIVISORS}`,
    });
  }
  const scaling = stated ?? recovered;
  if (scaling !== undefined) config['rope_scaling'] = isLatent ? { ...scaling, ...latentStretch(get) } : scaling;
  const parsed = inKeysOfTheFile(prefix, () => parseConfig(config, where));
  return {
    ...parsed,
    config,
    interleaved: interleavedFamilies.has(architecture),
    normOffset: offsetNormFamilies.has(architecture) ? 1 : 0,
  };

  function longRope(): JsonObject | undefined {
    const [long, short] = [LONG_DIVISORS, SHORT_DIVISORS].map((name) => tensors.find((tensor) => tensor.name === name));
    if (long === undefined && short === undefined) return undefined;
    const list = (tensor: GgufTensor | undefined): number[] | null =>
      tensor === undefined || tensor.shape.join() !== String(Number(rotated) / 2) ? null : [...readDivisors(tensor)];
    return {
      rope_type: 'longrope',
      long_factor: list(long),
      short_factor: list(short),
      original_max_position_embeddings: get('rope.scaling.original_context_length') ?? null,
      attention_factor: get('rope.scaling.attn_factor') ?? null,
    };
  }

  function recoverScaling(tensor: GgufTensor): JsonObject | undefined {
    const at = `${where}, tensor ${ROPE_DIVISORS}`;
    if (tensor.shape.join() !== String(headDim / 2)) {
      fail({
        code: 'CHECKPOINT_TENSOR_SHAPE',
        message: 'the tensor does not have one divisor for each pair of a head',
        where: at,
        expected: `[${headDim / 2}]`,
        found: `[${tensor.shape.join(', ')}]`,
      });
    }
    const theta = config['rope_theta'] ?? 10_000;
    // A theta that is no number is reported with the other keys.
    if (typeof theta !== 'number' || !(theta > 0)) return undefined;
    const found = llama3Scaling(theta, readDivisors(tensor), at);
    if (found === undefined) return undefined;
    return {
      rope_type: 'llama3',
      factor: found.factor,
      low_freq_factor: found.lowFreqFactor,
      high_freq_factor: found.highFreqFactor,
      original_max_position_embeddings: found.originalContext,
    };
  }
}

function modelTypeOf(architecture: unknown, get: (key: string) => unknown): unknown {
  if (architecture === 'deepseek2') return latentModelType(get);
  if (architecture !== 'llama') return modelTypes[String(architecture)] ?? architecture;
  // The converter writes mixtral and mistral as llama.
  if (Number(get('expert_count') ?? 0) > 0) return 'mixtral';
  return get('attention.sliding_window') === undefined ? 'llama' : 'mistral';
}

/** Scaling by key, as `rope_scaling` would say it; a factor without a type is linear, as in llama.cpp. */
function statedScaling(get: (key: string) => unknown): JsonObject | undefined {
  const factor = get('rope.scaling.factor') ?? get('rope.scale_linear') ?? 1;
  const type = get('rope.scaling.type') ?? (factor === 1 || factor === 0 ? 'none' : 'linear');
  if (type === 'none' || (type === 'linear' && (factor === 1 || factor === 0))) return undefined;
  if (type !== 'yarn') return { rope_type: type, factor };
  const attention = get('rope.scaling.attn_factor');
  const stretched = typeof factor === 'number' && typeof attention === 'number';
  return {
    rope_type: type,
    factor,
    original_max_position_embeddings: get('rope.scaling.original_context_length') ?? get('context_length'),
    beta_fast: get('rope.scaling.yarn_beta_fast') ?? null,
    beta_slow: get('rope.scaling.yarn_beta_slow') ?? null,
    attention_factor: stretched ? attention * (0.1 * Math.log(factor) + 1) : null,
    // The format leaves it to llama.cpp, which rounds (ggml_rope_yarn_corr_dims).
    truncate: true,
  };
}

interface Requirement {
  readonly key: string;
  /** Values that pass; a file without the key has the first. */
  readonly allowed: readonly number[] | readonly string[];
  readonly message: string;
  readonly suggestion?: string;
}

const requirements: readonly Requirement[] = [
  { key: 'general.type', allowed: ['model'], message: 'the file is not a language model by itself' },
  {
    key: 'split.count',
    allowed: [1, 0],
    message: 'the file is one part of a model',
    suggestion: 'join the parts with llama-gguf-split --merge',
  },
];
const blockLayout: Requirement = {
  key: 'general.quantization_version',
  allowed: [2],
  message: 'the blocks are of a layout that is no longer in use',
  suggestion: 'quantize the model again with a current llama.cpp',
};

/** Refuses what is not a whole language model. */
function requireModel(metadata: ReadonlyMap<string, GgufValue>, tensors: readonly GgufTensor[], where: string): void {
  const hasBlocks = tensors.some(({ type }) => type.blockElements > 1);
  for (const { key, allowed, message, suggestion } of hasBlocks ? [...requirements, blockLayout] : requirements) {
    const value = metadata.get(key) ?? allowed[0];
    if (allowed.some((one) => one === value)) continue;
    const found = JSON.stringify(plain(value)).slice(0, 80);
    fail({
      code: 'GGUF_UNSUPPORTED',
      message,
      where: `${where}: ${key}`,
      expected: JSON.stringify(allowed[0]),
      found,
      suggestion,
    });
  }
  if (tensors.length > 0) return;
  fail({
    code: 'GGUF_UNSUPPORTED',
    message: 'the file has no tensors: it is a vocabulary without a model',
    where,
    suggestion: 'fetch the file with the weights',
  });
}

/** Elements of an array that a message or a check can need. */
const MAX_LISTED = 2_048;

/**
 * A metadata value as JSON has it. A float32 becomes the shortest decimal that rounds to it: converters wrote the
 * decimal of config.json (1e-5) as float32, and it is meant. An array of one value for every layer is that value.
 */
function plain(value: GgufValue | undefined): unknown {
  if (typeof value === 'number') return Math.fround(value) === value ? shortestDecimal(value) : value;
  if (typeof value === 'bigint') return Number(value);
  if (typeof value !== 'object') return value;
  const list = Array.from(value.slice(0, MAX_LISTED) as ArrayLike<GgufValue>).map(plain);
  return list.length > 0 && list.every((item) => item === list[0]) && list.length === value.length ? list[0] : list;
}

function shortestDecimal(float: number): number {
  if (Number.isInteger(float) || !Number.isFinite(float)) return float;
  // Nine digits tell any two float32 apart.
  for (let digits = 1; digits < 9; digits++) {
    const decimal = Number(float.toPrecision(digits));
    if (Math.fround(decimal) === float) return decimal;
  }
  return float;
}

/** Names of config.json in diagnostics become those of the file. */
function inKeysOfTheFile<T>(prefix: string, read: () => T): T {
  const names = new Map([
    ...[...Object.values(moeKeys), ...(prefix === 'deepseek2.' ? [latentKeys] : [])].flatMap((keys) =>
      Object.entries(keys).map(([key, name]) => [name, prefix + key] as const),
    ),
    ...Object.entries(sameKeys).map(([key, name]) => [name, prefix + key] as const),
    ...Object.entries(tokenKeys).map(([key, name]) => [name, key] as const),
    ['model_type', 'general.architecture'],
    ['partial_rotary_factor', `${prefix}rope.dimension_count`],
    ['rope_scaling', `${prefix}rope.scaling.type`],
  ]);
  const translate = (text: string | undefined): string | undefined =>
    text?.replace(/\b[a-z]+(?:_[a-z]+)+\b/g, (word) => names.get(word) ?? word);
  try {
    return read();
  } catch (error) {
    if (!(error instanceof IngotError)) throw error;
    const diagnostics = error.diagnostics.map(
      ({ message, where, expected, suggestion, ...rest }): Diagnostic => ({
        ...rest,
        message: translate(message) ?? '',
        where: translate(where),
        expected: translate(expected),
        suggestion: translate(suggestion),
      }),
    );
    throw new IngotError(diagnostics, { cause: error });
  }
}

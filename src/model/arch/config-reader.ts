// Strict reading of a Hugging Face `config.json`. A key that changes the arithmetic is read or refused, never
// dropped: a model that runs with a setting ignored gives wrong text and no error. All problems of a config
// are collected and reported at once.

import { nearest } from '../../core/index.ts';
import type { RopeShape } from '../../spec/index.ts';
import { isJsonObject, type JsonObject } from '../format/json.ts';
import { createProblems } from '../format/problems.ts';

/** A configuration is untrusted; beyond these sizes it is a mistake or an attack, not a model. */
export const dimensionLimits = {
  /** Four times the widest published dense model (Llama-3.1-405B: 16,384). */
  hidden: 65_536,
  /** Eight times the deepest published (Llama-3.1-405B: 126). */
  layers: 1_024,
  /** Eight times the largest published vocabulary (Gemma: 256,000). */
  vocab: 2_097_152,
  heads: 1_024,
  headDim: 1_024,
  ffn: 1_048_576,
  /** Four times the most published (Qwen3-Next: 512). */
  experts: 2_048,
  /** Ten million tokens is the longest context advertised (Llama 4 Scout). */
  context: 16_777_216,
} as const;

/**
 * Keys that say how a checkpoint was made, stored, trained or sampled, and cannot change a forward pass.
 * Ids of special tokens are read by `parseConfig`.
 */
export const inertKeys: ReadonlySet<string> = new Set([
  '_name_or_path',
  '_attn_implementation',
  '_attn_implementation_autoset',
  'architectures',
  'attention_dropout',
  'cache_implementation',
  'bos_token_id',
  'do_sample',
  'dtype',
  'eos_token_id',
  'id2label',
  'initializer_range',
  'is_llama_config',
  'is_matryoshka',
  'label2id',
  'matryoshka_dimensions',
  'max_length',
  'max_new_tokens',
  'min_length',
  'model_type',
  'name_or_path',
  'output_attentions',
  'output_hidden_states',
  'pad_token_id',
  'pretraining_tp',
  'repetition_penalty',
  'return_dict',
  'temperature',
  'tokenizer_class',
  'top_k',
  'top_p',
  'torch_dtype',
  'transformers.js_config',
  'transformers_version',
  'unk_token_id',
  'unsloth_fixed',
  'unsloth_version',
  'use_cache',
]);

export interface ConfigReader {
  /** A whole number in [least, limit]; a missing key is an error unless there is a fallback. `null` is missing. */
  count(key: string, limit: number, fallback?: number, least?: number): number;
  /** A finite number above zero. */
  positive(key: string, fallback?: number): number;
  flag(key: string, fallback: boolean): boolean;
  /** Refuse every value but these (a missing key or `null` passes). */
  only(key: string, allowed: readonly unknown[], why: string): void;
  /** Refuse a list that has entries. */
  emptyList(key: string, why: string): void;
  /** Refuse a `quantization_config` but one of this method. */
  quantization(method?: string): void;
  has(key: string): boolean;
  isOneOf(key: string, values: readonly unknown[]): boolean;
  /** Rope from `rope_theta` and `rope_scaling`, or from the newer `rope_parameters`. */
  rope(): RopeShape;
  /** What DeepSeek multiplies scores by where YaRN stretches the context; 1 elsewhere. */
  scoreFactor(): number;
  /**
   * The window that all layers use, or undefined for full attention. `layer_types` may confirm either for all
   * layers; a mixture is refused.
   */
  uniformLayers(layers: number): 'full' | 'sliding' | undefined;
  /** n where `layer_types` says that every n-th layer attends in full and the others in a window; `fallback` where it is absent. */
  fullAttentionEvery(layers: number, fallback: number): number;
  /** `architectures`, where stated, must name a causal language model: other heads compute something else. */
  architectures(): void;
  /** A token id or a list of them; none if absent. */
  tokenIds(key: string, vocab: number): number[];
  /** No problem so far: relations between values are worth checking only if each was read. */
  readonly sound: boolean;
  invalid(key: string, expected: string, found: unknown): void;
  unsupported(key: string, message: string, found: unknown, expected?: string): void;
  /** Add a problem for each key that nobody read and nobody knows; throw if there is any problem. */
  finish(): void;
}

/** JSON text, cut so that a hostile value cannot flood a terminal. */
export const show = (value: unknown): string => {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
};

/** @param where what to call the file in diagnostics */
export function createConfigReader(config: JsonObject, where: string): ConfigReader {
  const problems = createProblems();
  const read = new Set<string>();

  const invalid = (key: string, expected: string, found: unknown): void => {
    problems.add({
      code: 'CONFIG_INVALID',
      message: found === undefined ? `the key '${key}' is missing` : `the key '${key}' has a wrong value`,
      where: `${where}: ${key}`,
      expected,
      found: found === undefined ? 'nothing' : show(found),
    });
  };
  const unsupported = (key: string, message: string, found: unknown, expected?: string): void => {
    problems.add({
      code: 'CONFIG_UNSUPPORTED',
      message,
      where: `${where}: ${key}`,
      expected,
      found: show(found),
      suggestion: 'use a checkpoint without this feature; ignoring it would change what the model computes',
    });
  };
  const get = (object: JsonObject, key: string): unknown => {
    if (object === config) read.add(key);
    return Object.hasOwn(object, key) && object[key] !== null ? object[key] : undefined;
  };
  /** Problems name the path; a fallback stands in after a problem, so that reading can go on. */
  const positiveIn = (object: JsonObject, key: string, path: string, fallback?: number): number => {
    const value = get(object, key);
    if (value === undefined && fallback !== undefined) return fallback;
    if (typeof value === 'number' && Number.isFinite(value) && value > 0) return value;
    invalid(path, 'a finite number above 0', value);
    return 1;
  };

  /** What YaRN stretches vectors by (arXiv 2309.00071, equation 22), its logarithm weighted as DeepSeek does. */
  const yarnStretch = (factor: number, scale: number): number => (factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1);

  /**
   * LongRoPE as transformers has it (modeling_rope_utils.py, _compute_longrope_parameters), 'su' being its first name. Which
   * list holds is taken from the longest context that the model is configured for and not from the length of each
   * sequence, as in vLLM and llama.cpp: what is cached under one list is wrong under the other.
   */
  const longRopeOf = (object: JsonObject, path: string): RopeShape['scaling'] => {
    const known = ['rope_type', 'type', 'rope_theta', 'partial_rotary_factor', 'short_factor', 'long_factor'];
    known.push('attention_factor', 'factor', 'original_max_position_embeddings');
    for (const key of Object.keys(object))
      if (!known.includes(key) && object[key] !== null)
        unsupported(`${path}.${key}`, "a key that 'longrope' does not have", object[key]);
    const list = (key: string): readonly number[] => {
      const value = get(object, key);
      const isFactor = (x: unknown): x is number => typeof x === 'number' && Number.isFinite(x) && x > 0;
      if (Array.isArray(value) && value.length <= dimensionLimits.headDim && value.every(isFactor)) return value;
      invalid(`${path}.${key}`, 'an array of finite numbers above 0', value);
      return [];
    };
    const [short, long] = [list('short_factor'), list('long_factor')];
    const context = positiveIn(config, 'max_position_embeddings', 'max_position_embeddings');
    const stated = get(config, 'original_max_position_embeddings');
    const original =
      stated === undefined
        ? positiveIn(object, 'original_max_position_embeddings', `${path}.original_max_position_embeddings`, context)
        : positiveIn(config, 'original_max_position_embeddings', 'original_max_position_embeddings');
    const factor = positiveIn(object, 'factor', `${path}.factor`, context / original);
    const stretch = factor <= 1 || original <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original));
    const attentionFactor = positiveIn(object, 'attention_factor', `${path}.attention_factor`, stretch);
    return { kind: 'longrope', divisors: context > original ? long : short, attentionFactor };
  };

  const scalingOf = (object: JsonObject, path: string): RopeShape['scaling'] => {
    const kind = get(object, 'rope_type') ?? get(object, 'type') ?? 'default';
    const oldName = get(object, 'type') ?? kind;
    if (oldName !== kind) invalid(`${path}.type`, `${show(kind)}, as in rope_type`, oldName);
    const known = ['rope_type', 'type', 'partial_rotary_factor'];
    if (path === 'rope_parameters') known.push('rope_theta');
    if (kind === 'llama3') {
      known.push('factor', 'low_freq_factor', 'high_freq_factor', 'original_max_position_embeddings');
    } else if (kind === 'yarn') {
      known.push('factor', 'original_max_position_embeddings', 'beta_fast', 'beta_slow', 'truncate');
      known.push('attention_factor', 'mscale', 'mscale_all_dim');
    } else if (kind === 'longrope' || kind === 'su') {
      return longRopeOf(object, path);
    } else if (kind !== 'default') {
      const known = "'default', 'llama3', 'yarn' or 'longrope'";
      unsupported(path, 'this kind of rope scaling is not supported', kind, known);
      return undefined;
    }
    const share = get(object, 'partial_rotary_factor');
    if (share !== undefined && share !== 1)
      unsupported(`${path}.partial_rotary_factor`, 'rotating a part of each head is not supported', share, '1');
    for (const key of Object.keys(object)) {
      if (!known.includes(key) && object[key] !== null)
        unsupported(`${path}.${key}`, `a key that '${String(kind)}' rope does not have`, object[key]);
    }
    if (kind === 'default') return undefined;
    const positive = (key: string, fallback?: number): number => positiveIn(object, key, `${path}.${key}`, fallback);
    const factor = positive('factor');
    const originalContext = positive('original_max_position_embeddings');
    if (kind === 'yarn') {
      const truncate = get(object, 'truncate') ?? true;
      if (typeof truncate !== 'boolean') invalid(`${path}.truncate`, 'true or false', truncate);
      // Defaults as in transformers (modeling_rope_utils.py, _compute_yarn_parameters).
      const [betaFast, betaSlow] = [positive('beta_fast', 32), positive('beta_slow', 1)];
      if (problems.count === 0 && betaFast < betaSlow) invalid(`${path}.beta_fast`, 'beta_slow or more', betaFast);
      const both = get(object, 'mscale') !== undefined && get(object, 'mscale_all_dim') !== undefined;
      const stated = both
        ? yarnStretch(factor, positive('mscale')) / yarnStretch(factor, positive('mscale_all_dim'))
        : yarnStretch(factor, 1);
      const attentionFactor = positive('attention_factor', stated);
      return { kind, factor, originalContext, betaFast, betaSlow, attentionFactor, truncate: truncate === true };
    }
    const scaling = {
      kind: 'llama3' as const,
      factor,
      lowFreqFactor: positive('low_freq_factor'),
      highFreqFactor: positive('high_freq_factor'),
      originalContext,
    };
    if (problems.count === 0 && scaling.highFreqFactor <= scaling.lowFreqFactor)
      invalid(`${path}.high_freq_factor`, 'more than low_freq_factor', scaling.highFreqFactor);
    return scaling;
  };

  return {
    count(key, limit, fallback, least = 1) {
      const value = get(config, key);
      if (value === undefined && fallback !== undefined) return fallback;
      if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= limit) return value;
      invalid(key, `a whole number from ${least} to ${limit}`, value);
      return 1;
    },
    positive: (key, fallback) => positiveIn(config, key, key, fallback),
    flag(key, fallback) {
      const value = get(config, key) ?? fallback;
      if (typeof value === 'boolean') return value;
      invalid(key, 'true or false', value);
      return fallback;
    },
    only(key, allowed, why) {
      const value = get(config, key);
      if (value !== undefined && !allowed.includes(value))
        unsupported(key, why, value, allowed.length === 0 ? 'nothing' : allowed.map(show).join(' or '));
    },
    emptyList(key, why) {
      const value = get(config, key);
      if (value !== undefined && !(Array.isArray(value) && value.length === 0)) unsupported(key, why, value, '[]');
    },
    quantization(method) {
      const value = get(config, 'quantization_config');
      if (value === undefined || (method !== undefined && isJsonObject(value) && value['quant_method'] === method))
        return;
      const expected = method === undefined ? 'nothing' : `quant_method '${method}'`;
      unsupported('quantization_config', 'this quantization of checkpoints is not supported', value, expected);
    },
    has: (key) => get(config, key) !== undefined,
    isOneOf: (key, values) => values.includes(get(config, key)),
    rope() {
      const parameters = get(config, 'rope_parameters');
      const scaling = get(config, 'rope_scaling');
      const topTheta =
        get(config, 'rope_theta') === undefined ? undefined : positiveIn(config, 'rope_theta', 'rope_theta');
      // 10,000 is what Hugging Face and the first llama use where the key is absent.
      const defaultTheta = 10_000;
      if (parameters === undefined) {
        const theta = topTheta ?? defaultTheta;
        if (scaling === undefined) return { theta };
        if (!isJsonObject(scaling)) {
          invalid('rope_scaling', 'an object', scaling);
          return { theta };
        }
        const parsed = scalingOf(scaling, 'rope_scaling');
        return parsed === undefined ? { theta } : { theta, scaling: parsed };
      }
      if (!isJsonObject(parameters)) {
        invalid('rope_parameters', 'an object', parameters);
        return { theta: defaultTheta };
      }
      const theta = positiveIn(parameters, 'rope_theta', 'rope_parameters.rope_theta', topTheta ?? defaultTheta);
      if (topTheta !== undefined && topTheta !== theta)
        invalid('rope_theta', `${theta}, as in rope_parameters.rope_theta`, topTheta);
      if (scaling !== undefined && JSON.stringify(scaling) !== JSON.stringify(parameters))
        invalid('rope_scaling', 'nothing beside rope_parameters', scaling);
      const parsed = scalingOf(parameters, 'rope_parameters');
      return parsed === undefined ? { theta } : { theta, scaling: parsed };
    },
    scoreFactor() {
      const scaling = get(config, 'rope_parameters') ?? get(config, 'rope_scaling');
      if (!isJsonObject(scaling) || get(scaling, 'mscale_all_dim') === undefined) return 1;
      const path = 'rope_scaling';
      const factor = positiveIn(scaling, 'factor', `${path}.factor`);
      return yarnStretch(factor, positiveIn(scaling, 'mscale_all_dim', `${path}.mscale_all_dim`)) ** 2;
    },
    uniformLayers(layers) {
      const types = get(config, 'layer_types');
      if (types === undefined) return undefined;
      if (!Array.isArray(types) || types.length !== layers) {
        invalid('layer_types', `an array of ${layers} names, one per layer`, types);
        return undefined;
      }
      if (types.every((type) => type === 'full_attention')) return 'full';
      if (types.every((type) => type === 'sliding_attention')) return 'sliding';
      unsupported(
        'layer_types',
        'layers of several kinds are not supported',
        [...new Set(types)],
        "all 'full_attention' or all 'sliding_attention'",
      );
      return undefined;
    },
    fullAttentionEvery(layers, fallback) {
      const types = get(config, 'layer_types');
      if (types === undefined) return fallback;
      if (!Array.isArray(types) || types.length !== layers) {
        invalid('layer_types', `an array of ${layers} names, one per layer`, types);
        return fallback;
      }
      const first = types.indexOf('full_attention');
      const every = first < 0 ? layers + 1 : first + 1;
      const expected = (layer: number): string => ((layer + 1) % every === 0 ? 'full_attention' : 'sliding_attention');
      if (types.some((type, layer) => type !== expected(layer)))
        unsupported(
          'layer_types',
          'this order of full and windowed layers is not supported',
          types,
          'a window in all but every n-th layer',
        );
      return every;
    },
    architectures() {
      const names = get(config, 'architectures');
      if (names === undefined) return;
      if (!Array.isArray(names) || !names.every((name) => typeof name === 'string')) {
        invalid('architectures', 'an array of names', names);
      } else if (!names.some((name: string) => name.endsWith('ForCausalLM'))) {
        unsupported('architectures', 'the checkpoint is not a causal language model', names, "a name in 'ForCausalLM'");
      }
    },
    tokenIds(key, vocab) {
      const value = get(config, key);
      const ids: unknown[] = value === undefined ? [] : Array.isArray(value) ? value : [value];
      const isId = (id: unknown): id is number =>
        typeof id === 'number' && Number.isInteger(id) && id >= 0 && (id < vocab || problems.count > 0);
      if (ids.every(isId)) return ids;
      invalid(key, `token ids from 0 to ${vocab - 1}`, value);
      return [];
    },
    get sound() {
      return problems.count === 0;
    },
    invalid,
    unsupported,
    finish() {
      const unknown = Object.keys(config).filter(
        (key) => !read.has(key) && !inertKeys.has(key) && config[key] !== null,
      );
      for (const key of unknown) {
        const close = nearest(key, read);
        problems.add({
          code: 'CONFIG_UNSUPPORTED',
          message: 'this architecture has no such key, so it may ask for something that is not computed',
          where: `${where}: ${show(key)}`,
          found: show(config[key]),
          suggestion:
            close === undefined
              ? 'remove it if it does not change what the model computes'
              : `did you mean '${close}'?`,
        });
      }
      problems.throwIfAny();
    },
  };
}

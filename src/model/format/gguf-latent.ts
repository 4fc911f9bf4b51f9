// DeepSeek's latent attention in GGUF: its keys of metadata, and its up-projections, which the converter cuts in two.
// convert_hf_to_gguf.py (DeepseekV2Model) and src/models/deepseek2.cpp of https://github.com/ggml-org/llama.cpp

import type { WeightSource } from '../graph.ts';

/** What DeepSeek calls the weight of the logarithm in YaRN's stretch, the format multiplies by this first. */
const LOG_MULTIPLIER_UNIT = 0.1;
/** Values of `expert_gating_func` (llama-hparams.h). */
const SIGMOID_GATING = 2;

/** Keys of a mixture with groups of experts, shared ones and dense layers. */
export const groupedExpertKeys = {
  leading_dense_block_count: 'first_k_dense_replace',
  expert_count: 'n_routed_experts',
  expert_used_count: 'num_experts_per_tok',
  expert_feed_forward_length: 'moe_intermediate_size',
  expert_shared_count: 'n_shared_experts',
  expert_weights_scale: 'routed_scaling_factor',
  expert_weights_norm: 'norm_topk_prob',
  expert_group_count: 'n_group',
  expert_group_used_count: 'topk_group',
} as const;

/** Keys of `deepseek2.` that stand for one key of config.json. */
export const latentKeys: Readonly<Record<string, string>> = {
  'attention.q_lora_rank': 'q_lora_rank',
  'attention.kv_lora_rank': 'kv_lora_rank',
  'rope.dimension_count': 'qk_rope_head_dim',
  ...groupedExpertKeys,
};
/** Keys that have a part in the reading below. */
export const latentHandledKeys: readonly string[] = [
  'attention.head_count_kv',
  'attention.key_length',
  'attention.value_length',
  'attention.key_length_mla',
  'attention.value_length_mla',
  'expert_gating_func',
  'rope.scaling.yarn_log_multiplier',
];

/** `model_type` of a file of architecture deepseek2: V3 scores experts by sigmoid, V2 by softmax. */
export const latentModelType = (get: (key: string) => unknown): string =>
  get('expert_gating_func') === SIGMOID_GATING ? 'deepseek_v3' : 'deepseek_v2';

/** What does not follow from one key alone: widths of heads, and the stretch of scores in `rope_scaling`. */
export function latentConfig(get: (key: string) => unknown): Record<string, unknown> {
  // Newer files state the widths of the cache under the usual names.
  const key = get('attention.key_length_mla') ?? get('attention.key_length');
  const value = get('attention.value_length_mla') ?? get('attention.value_length');
  return { qk_nope_head_dim: Number(key) - Number(get('rope.dimension_count')), v_head_dim: value ?? null };
}

/** Keys of `rope_scaling` for YaRN: cosines and sines are not stretched, scores are where the file says so. */
export function latentStretch(get: (key: string) => unknown): Record<string, unknown> {
  const multiplier = get('rope.scaling.yarn_log_multiplier');
  if (typeof multiplier !== 'number' || multiplier === 0) return { attention_factor: 1 };
  // The format rounds to float32.
  const weight = Number((multiplier / LOG_MULTIPLIER_UNIT).toPrecision(6));
  return { mscale: weight, mscale_all_dim: weight };
}

const keyHalf = /^(model\.layers\.\d+\.self_attn\.)k_b_proj\.weight$/;

/**
 * The two up-projections of each layer, k_b [heads, rank, nope] and v_b [heads, value, rank], as the one that Hugging Face
 * has: kv_b [heads · (nope + value), rank].
 */
export function joinLatent(stored: WeightSource): WeightSource {
  const joined = new Map<string, { readonly keys: string; readonly values: string }>();
  for (const keys of stored.names) {
    const at = keyHalf.exec(keys)?.[1];
    const values = `${at ?? ''}v_b_proj.weight`;
    if (at === undefined || !stored.has(values)) continue;
    const [k, v] = [stored.shape(keys), stored.shape(values)];
    // Shapes that do not go together are reported as tensors that are not known.
    if (k.length === 3 && v.length === 3 && k[0] === v[0] && k[1] === v[2])
      joined.set(`${at}kv_b_proj.weight`, { keys, values });
  }
  if (joined.size === 0) return stored;
  const halves = new Set([...joined.values()].flatMap(({ keys, values }) => [keys, values]));

  const read = (name: string): Float32Array => {
    const parts = joined.get(name);
    if (parts === undefined) return stored.read(name);
    const [heads, rank, nope] = stored.shape(parts.keys);
    const value = stored.shape(parts.values)[1];
    const [k, v] = [stored.read(parts.keys), stored.read(parts.values)];
    const rows = nope + value;
    const out = new Float32Array(heads * rows * rank);
    for (let head = 0; head < heads; head++) {
      for (let i = 0; i < nope; i++)
        for (let j = 0; j < rank; j++) out[(head * rows + i) * rank + j] = k[(head * rank + j) * nope + i];
      out.set(v.subarray(head * value * rank, (head + 1) * value * rank), (head * rows + nope) * rank);
    }
    return out;
  };
  return {
    names: [...stored.names.filter((name) => !halves.has(name)), ...joined.keys()],
    has: (name) => joined.has(name) || (stored.has(name) && !halves.has(name)),
    shape(name) {
      const parts = joined.get(name);
      if (parts === undefined) return stored.shape(name);
      const [heads, rank, nope] = stored.shape(parts.keys);
      return [heads * (nope + stored.shape(parts.values)[1]), rank];
    },
    dtype: (name) => (joined.has(name) ? 'f32' : stored.dtype(name)),
    read,
    readRows(name, from, to, target) {
      if (!joined.has(name)) return stored.readRows(name, from, to, target);
      const rank = stored.shape(joined.get(name)?.keys ?? '')[1];
      target.set(new Uint8Array(read(name).slice(from * rank, to * rank).buffer));
    },
  };
}

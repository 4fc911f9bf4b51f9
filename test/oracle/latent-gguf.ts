// DeepSeek's latent attention as GGUF has it. With a bottleneck of the queries the up-projection is cut in two, as newer
// files have it; without (V2-Lite) it is whole, as in older ones.

import type { LlmShape, MlaShape, MoeShape } from '../../src/spec/index.ts';
import type { GgufTensor, GgufValue } from './gguf-writer.ts';

export const latentNames: readonly (readonly [RegExp, string])[] = [
  [/^model\.layers\.(\d+)\.self_attn\.q_a_proj\./, 'blk.$1.attn_q_a.'],
  [/^model\.layers\.(\d+)\.self_attn\.q_a_layernorm\./, 'blk.$1.attn_q_a_norm.'],
  [/^model\.layers\.(\d+)\.self_attn\.q_b_proj\./, 'blk.$1.attn_q_b.'],
  [/^model\.layers\.(\d+)\.self_attn\.kv_a_proj_with_mqa\./, 'blk.$1.attn_kv_a_mqa.'],
  [/^model\.layers\.(\d+)\.self_attn\.kv_a_layernorm\./, 'blk.$1.attn_kv_a_norm.'],
  [/^model\.layers\.(\d+)\.self_attn\.kv_b_proj\./, 'blk.$1.attn_kv_b.'],
];

export function latentKeys(a: MlaShape, architecture: string): Record<string, GgufValue> {
  const width = a.nopeHeadDim + a.ropeHeadDim;
  const keys: Record<string, number> = {
    'attention.head_count': a.heads,
    'attention.kv_lora_rank': a.kvRank,
    'rope.dimension_count': a.ropeHeadDim,
    ...(a.queryRank === undefined
      ? { 'attention.head_count_kv': a.heads, 'attention.key_length': width, 'attention.value_length': a.valueHeadDim }
      : {
          'attention.q_lora_rank': a.queryRank,
          'attention.head_count_kv': 1,
          'attention.key_length': a.kvRank + a.ropeHeadDim,
          'attention.value_length': a.kvRank,
          'attention.key_length_mla': width,
          'attention.value_length_mla': a.valueHeadDim,
        }),
  };
  return Object.fromEntries(Object.entries(keys).map(([key, u32]) => [`${architecture}.${key}`, { u32 }]));
}

/** Keys of mixtures with a choice of routings. */
export const routingKeys = (mlp: MoeShape, architecture: string): Record<string, GgufValue> => ({
  [`${architecture}.leading_dense_block_count`]: { u32: mlp.denseLayers },
  [`${architecture}.expert_shared_count`]: { u32: mlp.sharedExperts },
  [`${architecture}.expert_weights_scale`]: { f32: mlp.routing.scale },
  [`${architecture}.expert_weights_norm`]: { bool: mlp.routing.normalize },
  [`${architecture}.expert_gating_func`]: { u32: mlp.routing.score === 'sigmoid' ? 2 : 1 },
  ...(mlp.routing.groups === undefined
    ? {}
    : {
        [`${architecture}.expert_group_count`]: { u32: mlp.routing.groups.count },
        [`${architecture}.expert_group_used_count`]: { u32: mlp.routing.groups.active },
      }),
});

/** kv_b as k_b, transposed for each head, and v_b. */
export function cutUpProjections({ attention: a }: LlmShape, tensors: readonly GgufTensor[]): GgufTensor[] {
  if (a.kind !== 'mla' || a.queryRank === undefined) return [...tensors];
  const { heads, kvRank: rank, nopeHeadDim: nope, valueHeadDim: value } = a;
  return tensors.flatMap((tensor) => {
    if (!tensor.name.endsWith('.attn_kv_b.weight')) return [tensor];
    const keys = new Float32Array(heads * rank * nope);
    const values = new Float32Array(heads * value * rank);
    for (let head = 0; head < heads; head++) {
      const from = head * (nope + value);
      for (let i = 0; i < nope; i++)
        for (let j = 0; j < rank; j++) keys[(head * rank + j) * nope + i] = tensor.values[(from + i) * rank + j];
      values.set(tensor.values.subarray((from + nope) * rank, (from + nope + value) * rank), head * value * rank);
    }
    const name = (part: string): string => tensor.name.replace('attn_kv_b', part);
    return [
      { ...tensor, name: name('attn_k_b'), shape: [heads, rank, nope], values: keys },
      { ...tensor, name: name('attn_v_b'), shape: [heads, value, rank], values },
    ];
  });
}

// Tensors of a GGUF file by the names of Hugging Face checkpoints, which all of Ingot uses.
// Names: gguf-py/gguf/constants.py (TENSOR_NAMES) of https://github.com/ggml-org/llama.cpp

/** Stands for the number of an expert: GGUF keeps the experts of a layer as one tensor, one after another. */
export const EXPERT = '{expert}';

/** Module of the whole model: as in GGUF, as in Hugging Face. */
const modelModules: readonly (readonly [string, string])[] = [
  ['token_embd', 'model.embed_tokens'],
  ['output_norm', 'model.norm'],
  ['output', 'lm_head'],
];
/** Module of a layer: blk.N.… and model.layers.N.… */
const layerModules: readonly (readonly [string, string])[] = [
  ['attn_norm', 'input_layernorm'],
  ['attn_q', 'self_attn.q_proj'],
  ['attn_k', 'self_attn.k_proj'],
  ['attn_v', 'self_attn.v_proj'],
  ['attn_q_norm', 'self_attn.q_norm'],
  ['attn_k_norm', 'self_attn.k_norm'],
  ['attn_output', 'self_attn.o_proj'],
  ['ffn_norm', 'post_attention_layernorm'],
  ['ffn_gate', 'mlp.gate_proj'],
  ['ffn_up', 'mlp.up_proj'],
  ['ffn_down', 'mlp.down_proj'],
  ['ffn_gate_inp', 'mlp.gate'],
  ['ffn_gate_exps', `mlp.experts.${EXPERT}.gate_proj`],
  ['ffn_up_exps', `mlp.experts.${EXPERT}.up_proj`],
  ['ffn_down_exps', `mlp.experts.${EXPERT}.down_proj`],
  ['ffn_gate_shexp', 'mlp.shared_experts.gate_proj'],
  ['ffn_up_shexp', 'mlp.shared_experts.up_proj'],
  ['ffn_down_shexp', 'mlp.shared_experts.down_proj'],
];
/** Modules of a layer that an architecture has besides, or under another name. */
const ownModules: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
  phi3: [
    ['attn_qkv', 'self_attn.qkv_proj'],
    ['ffn_up', 'mlp.gate_up_proj'],
  ],
  gemma2: [
    ['post_attention_norm', 'post_attention_layernorm'],
    ['ffn_norm', 'pre_feedforward_layernorm'],
    ['post_ffw_norm', 'post_feedforward_layernorm'],
  ],
  // Mixtral; other models under this name have no experts.
  llama: [
    ['ffn_gate_inp', 'block_sparse_moe.gate'],
    ['ffn_gate_exps', `block_sparse_moe.experts.${EXPERT}.w1`],
    ['ffn_up_exps', `block_sparse_moe.experts.${EXPERT}.w3`],
    ['ffn_down_exps', `block_sparse_moe.experts.${EXPERT}.w2`],
  ],
  deepseek2: [
    ['attn_q_a', 'self_attn.q_a_proj'],
    ['attn_q_a_norm', 'self_attn.q_a_layernorm'],
    ['attn_q_b', 'self_attn.q_b_proj'],
    ['attn_kv_a_mqa', 'self_attn.kv_a_proj_with_mqa'],
    ['attn_kv_a_norm', 'self_attn.kv_a_layernorm'],
    ['attn_kv_b', 'self_attn.kv_b_proj'],
    // The halves of kv_b in newer files.
    ['attn_k_b', 'self_attn.k_b_proj'],
    ['attn_v_b', 'self_attn.v_b_proj'],
  ],
  glm4moe: [['post_attention_norm', 'post_attention_layernorm']],
  'gpt-oss': [
    ['post_attention_norm', 'post_attention_layernorm'],
    ['ffn_gate_inp', 'mlp.router'],
  ],
};
/** Tensors of a layer that are no module's weight or bias in Hugging Face. */
const layerTensors: readonly (readonly [string, string])[] = [
  ['attn_sinks.weight', 'self_attn.sinks'],
  ['exp_probs_b.bias', 'mlp.gate.e_score_correction_bias'],
];
const turned = (pairs: readonly (readonly [string, string])[]): ReadonlyMap<string, string> =>
  new Map(pairs.map(([a, b]) => [b, a]));

/** Modules of a layer of an architecture, by `general.architecture`. */
function layerPairs(architecture: unknown): readonly (readonly [string, string])[] {
  const own = Object.hasOwn(ownModules, String(architecture)) ? ownModules[String(architecture)] : [];
  const kept = layerModules.filter(([gguf]) => !own.some(([name]) => name === gguf));
  return [...kept, ...own];
}

const toHuggingFace = new Map(modelModules);
const tensorsToHuggingFace = new Map(layerTensors);
const tensorsToGguf = turned(layerTensors);
const toGguf = turned(modelModules);

const ggufLayer = /^blk\.(0|[1-9]\d*)\.((\w+)\.(weight|bias))$/;
const huggingFaceLayer = /^model\.layers\.(\d+)\.([\w.{}]+)\.(weight|bias)$/;
const huggingFaceTensor = /^model\.layers\.(\d+)\.([\w.]+)$/;
const anyExpert = /\.experts\.\d+\./;
const anyModule = /^([\w.]+)\.(weight|bias)$/;

/** Both directions of the names of one architecture. */
export interface GgufNames {
  /** Undefined for a name that the architecture does not have; with `{expert}` for a tensor of all experts of a layer. */
  huggingFace(name: string): string | undefined;
  /** What GGUF calls a tensor; a name without a counterpart stays as it is. */
  gguf(name: string): string;
}

/** @param architecture value of `general.architecture` */
export function ggufNames(architecture: unknown): GgufNames {
  const pairs = layerPairs(architecture);
  const layers = { huggingFace: new Map(pairs), gguf: turned(pairs) };
  return {
    huggingFace(name) {
      const [, layer, tensor, part, kind] = ggufLayer.exec(name) ?? [];
      if (layer !== undefined) {
        const known = tensorsToHuggingFace.get(tensor);
        if (known !== undefined) return `model.layers.${layer}.${known}`;
        const module = layers.huggingFace.get(part);
        return module === undefined ? undefined : `model.layers.${layer}.${module}.${kind}`;
      }
      const [, whole, wholeKind] = anyModule.exec(name) ?? [];
      const module = toHuggingFace.get(whole ?? '');
      return module === undefined ? undefined : `${module}.${wholeKind}`;
    },
    gguf(name) {
      const [, at, tensor] = huggingFaceTensor.exec(name) ?? [];
      const known = tensorsToGguf.get(tensor ?? '');
      if (known !== undefined) return `blk.${at}.${known}`;
      const generic = name.replace(anyExpert, `.experts.${EXPERT}.`);
      const [, layer, part, kind] = huggingFaceLayer.exec(generic) ?? [];
      const layerModule = layers.gguf.get(part ?? '');
      if (layerModule !== undefined) return `blk.${layer}.${layerModule}.${kind}`;
      const [, whole, wholeKind] = anyModule.exec(name) ?? [];
      const module = toGguf.get(whole ?? '');
      return module === undefined ? name : `${module}.${wholeKind}`;
    },
  };
}

/**
 * Weights and biases whose rows llama.cpp's converter reorders for architectures that rotate neighbours: within each
 * head, rows i and i + headDim / 2 of Hugging Face stand at 2i and 2i + 1 (`permute` in convert_hf_to_gguf.py).
 */
export const isRotary = (huggingFace: string): boolean => /\.self_attn\.[qk]_proj\.(weight|bias)$/.test(huggingFace);

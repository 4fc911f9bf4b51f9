// A model of ours as the GGUF that llama.cpp expects: its tensor names, its order of rotary rows, its metadata.

import type { GqaShape, LlmShape, MoeShape, YarnScaling } from '../../src/spec/index.ts';
import type { WeightSource } from '../../src/model/index.ts';
import { cutUpProjections, latentKeys, latentNames, routingKeys } from './latent-gguf.ts';
import { encodeGguf, type GgufTensor, type GgufType, type GgufValue } from './gguf-writer.ts';

/** How llama.cpp runs an architecture of ours. */
interface Target {
  readonly architecture: string;
  /** Rotary pairs are neighbours (2i, 2i + 1), so rows of q and k are reordered; else they are halves, as ours. */
  readonly interleaved: boolean;
}

/**
 * llama.cpp has no architecture for mistral: its converter writes "llama", which ignores the window. With one, the
 * same layers are found under "granite_swa" (scales of 1, and sinks that weigh nothing).
 */
export function targetOf({ arch, attention }: LlmShape): Target {
  if (['qwen2', 'qwen3', 'gemma2', 'phi3'].includes(arch)) return { architecture: arch, interleaved: false };
  if (arch === 'qwen3_moe') return { architecture: 'qwen3moe', interleaved: false };
  if (arch === 'deepseek_v3') return { architecture: 'deepseek2', interleaved: false };
  if (arch === 'glm4_moe') return { architecture: 'glm4moe', interleaved: false };
  if (arch === 'gpt_oss') return { architecture: 'gpt-oss', interleaved: false };
  const windowed = attention.kind === 'gqa' && attention.slidingWindow !== undefined;
  return { architecture: windowed ? 'granite_swa' : 'llama', interleaved: true };
}

const tensorNames: readonly (readonly [RegExp, string])[] = [
  [/^model\.embed_tokens\./, 'token_embd.'],
  [/^model\.norm\./, 'output_norm.'],
  [/^lm_head\./, 'output.'],
  [/^model\.layers\.(\d+)\.input_layernorm\./, 'blk.$1.attn_norm.'],
  [/^model\.layers\.(\d+)\.post_attention_layernorm\./, 'blk.$1.ffn_norm.'],
  [/^model\.layers\.(\d+)\.self_attn\.([qkv])_proj\./, 'blk.$1.attn_$2.'],
  [/^model\.layers\.(\d+)\.self_attn\.o_proj\./, 'blk.$1.attn_output.'],
  [/^model\.layers\.(\d+)\.self_attn\.([qk])_norm\./, 'blk.$1.attn_$2_norm.'],
  [/^model\.layers\.(\d+)\.mlp\.(gate|up|down)_proj\./, 'blk.$1.ffn_$2.'],
];

/** Architectures of GGUF that leave the routing to the file. */
const statesRouting: ReadonlySet<string> = new Set(['deepseek2', 'glm4moe']);

/** Experts are one tensor in GGUF; `stackExperts` joins what has the same name. */
const expertNames: readonly (readonly [RegExp, string])[] = [
  [/^model\.layers\.(\d+)\.block_sparse_moe\.gate\./, 'blk.$1.ffn_gate_inp.'],
  [/^model\.layers\.(\d+)\.block_sparse_moe\.experts\.\d+\.w1\./, 'blk.$1.ffn_gate_exps.'],
  [/^model\.layers\.(\d+)\.block_sparse_moe\.experts\.\d+\.w2\./, 'blk.$1.ffn_down_exps.'],
  [/^model\.layers\.(\d+)\.block_sparse_moe\.experts\.\d+\.w3\./, 'blk.$1.ffn_up_exps.'],
  [/^model\.layers\.(\d+)\.mlp\.gate\.e_score_correction_bias$/, 'blk.$1.exp_probs_b.bias'],
  [/^model\.layers\.(\d+)\.mlp\.shared_experts\.(gate|up|down)_proj\./, 'blk.$1.ffn_$2_shexp.'],
  [/^model\.layers\.(\d+)\.mlp\.(?:gate|router)\.(weight|bias)/, 'blk.$1.ffn_gate_inp.$2'],
  [/^model\.layers\.(\d+)\.mlp\.experts\.\d+\.(gate|up|down)_proj\./, 'blk.$1.ffn_$2_exps.'],
];

/** Names that an architecture has instead. */
const ownNames: Readonly<Record<string, readonly (readonly [RegExp, string])[]>> = {
  phi3: [
    [/^model\.layers\.(\d+)\.self_attn\.qkv_proj\./, 'blk.$1.attn_qkv.'],
    [/^model\.layers\.(\d+)\.mlp\.gate_up_proj\./, 'blk.$1.ffn_up.'],
  ],
  gemma2: [
    [/^model\.layers\.(\d+)\.post_attention_layernorm\./, 'blk.$1.post_attention_norm.'],
    [/^model\.layers\.(\d+)\.pre_feedforward_layernorm\./, 'blk.$1.ffn_norm.'],
    [/^model\.layers\.(\d+)\.post_feedforward_layernorm\./, 'blk.$1.post_ffw_norm.'],
  ],
  deepseek_v3: latentNames,
  glm4_moe: [[/^model\.layers\.(\d+)\.post_attention_layernorm\./, 'blk.$1.post_attention_norm.']],
  gpt_oss: [
    [/^model\.layers\.(\d+)\.post_attention_layernorm\./, 'blk.$1.post_attention_norm.'],
    [/^model\.layers\.(\d+)\.self_attn\.sinks$/, 'blk.$1.attn_sinks.weight'],
  ],
};

function ggufName(name: string, arch: string): string {
  const found = [...(ownNames[arch] ?? []), ...expertNames, ...tensorNames].find(([pattern]) => pattern.test(name));
  if (found === undefined) throw new Error(`no GGUF name for ${name}`);
  return name.replace(found[0], found[1]);
}

/** Within each head, row i and row i + headDim / 2 become rows 2i and 2i + 1. */
function interleaveRows(values: Float32Array, headDim: number, rows: number): Float32Array {
  const width = values.length / rows;
  const out = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    const head = Math.floor(row / headDim);
    const within = row % headDim;
    const half = headDim / 2;
    const to = head * headDim + (within < half ? 2 * within : 2 * (within - half) + 1);
    out.set(values.subarray(row * width, (row + 1) * width), to * width);
  }
  return out;
}

/**
 * Divisors of the rotary frequencies for llama3 scaling, by wavelength as Meta's release states them. Written
 * apart from `ropeInverseFrequencies`, so that the oracle checks that too.
 */
export function llama3Divisors({ theta, scaling }: LlmShape['rope'], headDim: number): Float32Array | undefined {
  if (scaling?.kind !== 'llama3') return undefined;
  const { factor, lowFreqFactor, highFreqFactor, originalContext } = scaling;
  const longest = originalContext / lowFreqFactor;
  const shortest = originalContext / highFreqFactor;
  return Float32Array.from({ length: headDim / 2 }, (_, i) => {
    const wavelength = 2 * Math.PI * theta ** (i / (headDim / 2));
    if (wavelength < shortest) return 1;
    if (wavelength > longest) return factor;
    const smooth = (originalContext / wavelength - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}

/** How many times the original context models with LongRoPE are written to have, so that the long divisors hold. */
const longRopeStretch = 8;

function metadataOf(shape: LlmShape, architecture: string): Record<string, GgufValue> {
  const { attention, mlp, rope } = shape;
  // The smallest SentencePiece vocabulary that loads: special tokens, all bytes, then pieces that never match.
  const specials = ['<unk>', '<s>', '</s>'];
  const pieces = Array.from({ length: shape.vocab }, (_, id) => {
    if (id < 3) return { text: specials[id], score: 0, type: id === 0 ? 2 : 3 };
    if (id < 259) return { text: `<0x${(id - 3).toString(16).toUpperCase().padStart(2, '0')}>`, score: 0, type: 6 };
    return { text: `\u2581w${id}`, score: -id, type: 1 };
  });
  return {
    'general.architecture': { string: architecture },
    // Some names make llama.cpp look for special tokens.
    'general.name': { string: 'random' },
    [`${architecture}.vocab_size`]: { u32: shape.vocab },
    [`${architecture}.context_length`]: { u32: shape.maxContext },
    [`${architecture}.embedding_length`]: { u32: shape.hidden },
    [`${architecture}.block_count`]: { u32: shape.layers },
    [`${architecture}.feed_forward_length`]: {
      u32: mlp.kind === 'dense' ? mlp.ffn : mlp.denseLayers > 0 ? mlp.denseFfn : mlp.expertFfn,
    },
    ...(mlp.kind === 'dense' ? {} : mixtureKeys(mlp, architecture)),
    ...(mlp.kind === 'moe' && statesRouting.has(architecture) ? routingKeys(mlp, architecture) : {}),
    ...(rope.scaling?.kind === 'yarn' ? yarnKeys(rope.scaling, architecture) : {}),
    ...(rope.scaling?.kind === 'yarn' && attention.kind === 'mla' && attention.scoreFactor !== undefined
      ? yarnScoreKeys(rope.scaling, attention.scoreFactor, architecture)
      : {}),
    ...(attention.kind === 'mla' ? latentKeys(attention, architecture) : groupedKeys(attention, architecture)),
    [`${architecture}.attention.layer_norm_rms_epsilon`]: { f32: shape.normEps },
    [`${architecture}.rope.freq_base`]: { f32: shape.rope.theta },
    ...(shape.logitSoftcap === undefined
      ? {}
      : { [`${architecture}.final_logit_softcapping`]: { f32: shape.logitSoftcap } }),
    ...(shape.rope.scaling?.kind !== 'longrope'
      ? {}
      : {
          [`${architecture}.rope.scaling.original_context_length`]: { u32: shape.maxContext / longRopeStretch },
          [`${architecture}.rope.scaling.attn_factor`]: { f32: shape.rope.scaling.attentionFactor },
        }),
    ...(architecture !== 'granite_swa'
      ? {}
      : {
          [`${architecture}.attention.sliding_window_pattern`]: {
            i32s: Array.from({ length: shape.layers }, () => 1),
          },
          [`${architecture}.logit_scale`]: { f32: 1 },
        }),
    'tokenizer.ggml.model': { string: 'llama' },
    'tokenizer.ggml.tokens': { strings: pieces.map(({ text }) => text) },
    'tokenizer.ggml.scores': { f32s: pieces.map(({ score }) => score) },
    'tokenizer.ggml.token_type': { i32s: pieces.map(({ type }) => type) },
    'tokenizer.ggml.bos_token_id': { u32: 1 },
    'tokenizer.ggml.eos_token_id': { u32: 2 },
    'tokenizer.ggml.unknown_token_id': { u32: 0 },
  };
}

function groupedKeys(attention: GqaShape, architecture: string): Record<string, GgufValue> {
  const windowed = attention.slidingWindow;
  return {
    [`${architecture}.attention.head_count`]: { u32: attention.heads },
    [`${architecture}.attention.head_count_kv`]: { u32: attention.kvHeads },
    [`${architecture}.attention.key_length`]: { u32: attention.headDim },
    [`${architecture}.attention.value_length`]: { u32: attention.headDim },
    [`${architecture}.rope.dimension_count`]: { u32: attention.ropeHeadDim ?? attention.headDim },
    ...(attention.softcap === undefined
      ? {}
      : { [`${architecture}.attn_logit_softcapping`]: { f32: attention.softcap } }),
    ...(windowed === undefined ? {} : { [`${architecture}.attention.sliding_window`]: { u32: windowed } }),
  };
}

const mixtureKeys = (mlp: MoeShape, architecture: string): Record<string, GgufValue> => ({
  [`${architecture}.expert_count`]: { u32: mlp.experts },
  [`${architecture}.expert_used_count`]: { u32: mlp.activeExperts },
  // Of mixtral, feed_forward_length is the width of an expert.
  ...(architecture === 'llama' ? {} : { [`${architecture}.expert_feed_forward_length`]: { u32: mlp.expertFfn } }),
});

const yarnKeys = (scaling: YarnScaling, architecture: string): Record<string, GgufValue> => ({
  [`${architecture}.rope.scaling.type`]: { string: 'yarn' },
  [`${architecture}.rope.scaling.factor`]: { f32: scaling.factor },
  [`${architecture}.rope.scaling.original_context_length`]: { u32: scaling.originalContext },
  [`${architecture}.rope.scaling.yarn_beta_fast`]: { f32: scaling.betaFast },
  [`${architecture}.rope.scaling.yarn_beta_slow`]: { f32: scaling.betaSlow },
});

/** The weight of the logarithm in the stretch of which scores take the square. */
const yarnScoreKeys = (
  { factor }: YarnScaling,
  scoreFactor: number,
  architecture: string,
): Record<string, GgufValue> => ({
  [`${architecture}.rope.scaling.yarn_log_multiplier`]: { f32: (Math.sqrt(scoreFactor) - 1) / Math.log(factor) },
});

/** Tensors of one name, as the experts of a layer have it, become one, in the order in which they come. */
function stackExperts(tensors: readonly GgufTensor[]): GgufTensor[] {
  const byName = Map.groupBy(tensors, ({ name }) => name);
  return [...byName.values()].map((experts) => {
    const [first] = experts;
    if (!first.name.includes('_exps.')) return first;
    const values = new Float32Array(experts.length * first.values.length);
    for (const [i, expert] of experts.entries()) values.set(expert.values, i * first.values.length);
    return { ...first, shape: [experts.length, ...first.shape], values };
  });
}

/** What a GGUF file is made of. */
export interface GgufParts {
  readonly metadata: Readonly<Record<string, GgufValue>>;
  readonly tensors: readonly GgufTensor[];
}

/** The whole model as a GGUF file; `type` is that of the matrices. */
export function modelGguf(shape: LlmShape, weights: WeightSource, type: GgufType = 'f32'): Uint8Array<ArrayBuffer> {
  const { metadata, tensors } = modelParts(shape, weights, type);
  return encodeGguf(metadata, tensors);
}

/** The same before it is written, for tests that change it. */
export function modelParts(shape: LlmShape, weights: WeightSource, type: GgufType = 'f32'): GgufParts {
  const { attention } = shape;
  const { architecture, interleaved } = targetOf(shape);
  const named = weights.names.map((name): GgufTensor => {
    const extents = weights.shape(name);
    const values = weights.read(name);
    const rotary = interleaved && /\.self_attn\.[qk]_proj\./.test(name);
    return {
      name: ggufName(name, shape.arch),
      shape: extents,
      type: extents.length > 1 ? type : 'f32',
      values:
        rotary && attention.kind === 'gqa'
          ? interleaveRows(values, attention.headDim, extents[0])
          : // llama.cpp multiplies by the stored weight: the converter adds the 1.
            shape.arch === 'gemma2' && name.endsWith('norm.weight')
            ? values.map((x) => x + 1)
            : values,
    };
  });
  const tensors = cutUpProjections(shape, stackExperts(named));
  if (shape.rope.scaling?.kind === 'longrope') {
    const values = Float32Array.from(shape.rope.scaling.divisors);
    tensors.push({ name: 'rope_factors_long.weight', shape: [values.length], values });
    // Wrong wherever it is used.
    tensors.push({ name: 'rope_factors_short.weight', shape: [values.length], values: values.map((x) => 3 * x) });
  }
  const divisors = attention.kind === 'gqa' ? llama3Divisors(shape.rope, attention.headDim) : undefined;
  if (divisors !== undefined) tensors.push({ name: 'rope_freqs.weight', shape: [divisors.length], values: divisors });
  if (architecture === 'granite_swa') {
    // exp(-1e9) is 0: a sink that takes no weight.
    const values = new Float32Array(attention.heads).fill(-1e9);
    for (let layer = 0; layer < shape.layers; layer++)
      tensors.push({ name: `blk.${layer}.attn_sinks.weight`, shape: [attention.heads], values });
  }
  return { metadata: metadataOf(shape, architecture), tensors };
}

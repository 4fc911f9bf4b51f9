// The tensors of a checkpoint, named and shaped as Hugging Face transformers writes them, from the shape alone.
// Counts follow from the same list, so a parameter count and a placement can never disagree about the model.
// Not listed: multi-token-prediction layers (DeepSeek-V3, GLM-4.6), which decode one token at a time without,
// and the scales that go with quantized storage (fp8 blocks, MXFP4), which are no parameters. Experts are listed one by
// one, with gate and up apart; readers of checkpoints that store them together (gpt-oss, GGUF) show them so.

import { fail } from '../core/index.ts';
import type { DenseMlpShape, GqaShape, LlmShape, MlaShape, MoeShape } from '../spec/index.ts';
import type { WeightSpec } from './graph.ts';

/** How an architecture names the parts of its mixture of experts; everything else is named alike by all. */
export interface MoeNames {
  /** Module inside the layer that holds router and experts. */
  readonly block: string;
  readonly router: string;
  /** Name of the router's additive term, where it has one. */
  readonly routerBias: string;
  readonly gate: string;
  readonly up: string;
  readonly down: string;
}

const perExpert: MoeNames = {
  block: 'mlp',
  router: 'gate.weight',
  routerBias: 'gate.e_score_correction_bias',
  gate: 'gate_proj',
  up: 'up_proj',
  down: 'down_proj',
};

const moeNames: Readonly<Record<string, MoeNames>> = {
  mixtral: { ...perExpert, block: 'block_sparse_moe', gate: 'w1', up: 'w3', down: 'w2' },
  qwen3_moe: perExpert,
  glm4_moe: perExpert,
  deepseek_v3: perExpert,
  gpt_oss: { ...perExpert, router: 'router.weight', routerBias: 'router.bias' },
};

/**
 * Every weight of the model in the order in which a token meets it: embedding, layers, final norm, head. Linear
 * weights are [out, in]. A tied head is not listed.
 * @throws IngotError WEIGHT_NAMES_UNKNOWN for a mixture of experts whose names are not known
 */
export function* iterateWeights(shape: LlmShape): Generator<WeightSpec, void, undefined> {
  yield* embeddingWeights(shape);
  for (let layer = 0; layer < shape.layers; layer++) yield* layerWeights(shape, layer);
  yield* headWeights(shape);
}

/** `iterateWeights` as a list: about 70,000 entries for the largest mixtures, a thousand for a dense 405B. */
export const weightSpecs = (shape: LlmShape): WeightSpec[] => [...iterateWeights(shape)];

function* embeddingWeights({ vocab, hidden }: LlmShape): Generator<WeightSpec, void, undefined> {
  yield { name: 'model.embed_tokens.weight', shape: [vocab, hidden], role: 'embedding' };
}

function* headWeights({ vocab, hidden, tiedEmbeddings }: LlmShape): Generator<WeightSpec, void, undefined> {
  yield { name: 'model.norm.weight', shape: [hidden], role: 'norm' };
  if (!tiedEmbeddings) yield { name: 'lm_head.weight', shape: [vocab, hidden], role: 'head' };
}

type Role = WeightSpec['role'];
/** Makes the spec of one tensor of a layer. */
type Tensor = (name: string, role: Role, ...shape: number[]) => WeightSpec;

/** The weights of one layer. @param layer in [0, shape.layers) */
export function* layerWeights(shape: LlmShape, layer: number): Generator<WeightSpec, void, undefined> {
  const { hidden, attention, mlp } = shape;
  const tensor: Tensor = (name, role, ...dims) => ({
    name: `model.layers.${layer}.${name}`,
    shape: dims,
    role,
    layer,
  });
  yield tensor('input_layernorm.weight', 'norm', hidden);
  yield* attention.kind === 'gqa' ? gqaWeights(tensor, shape, attention) : mlaWeights(tensor, hidden, attention);
  yield tensor('post_attention_layernorm.weight', 'norm', hidden);
  if (shape.layerNorms === 4) yield tensor('pre_feedforward_layernorm.weight', 'norm', hidden);
  if (mlp.kind === 'moe' && layer >= mlp.denseLayers) yield* moeWeights(tensor, shape.arch, hidden, mlp);
  else if (shape.fusedProjections === true) {
    yield tensor('mlp.gate_up_proj.weight', 'mlp', 2 * denseWidth(mlp), hidden);
    yield tensor('mlp.down_proj.weight', 'mlp', hidden, denseWidth(mlp));
  } else yield* gatedWeights(tensor, 'mlp', 'mlp', hidden, denseWidth(mlp));
  if (shape.layerNorms === 4) yield tensor('post_feedforward_layernorm.weight', 'norm', hidden);
}

const denseWidth = (mlp: DenseMlpShape | MoeShape): number => (mlp.kind === 'dense' ? mlp.ffn : mlp.denseFfn);

function* gqaWeights(
  tensor: Tensor,
  { hidden, fusedProjections }: LlmShape,
  a: GqaShape,
): Generator<WeightSpec, void, undefined> {
  const outputs = [
    ['q', a.heads],
    ['k', a.kvHeads],
    ['v', a.kvHeads],
  ] as const;
  for (const [letter, heads] of outputs) {
    const rows = heads * a.headDim;
    if (fusedProjections !== true) yield tensor(`self_attn.${letter}_proj.weight`, 'attention', rows, hidden);
    if (a.qkvBias) yield tensor(`self_attn.${letter}_proj.bias`, 'bias', rows);
    if (a.qkNorm && letter !== 'v') yield tensor(`self_attn.${letter}_norm.weight`, 'norm', a.headDim);
  }
  if (fusedProjections === true)
    yield tensor('self_attn.qkv_proj.weight', 'attention', (a.heads + 2 * a.kvHeads) * a.headDim, hidden);
  if (a.sinks === true) yield tensor('self_attn.sinks', 'bias', a.heads);
  yield tensor('self_attn.o_proj.weight', 'attention', hidden, a.heads * a.headDim);
  if (a.outBias) yield tensor('self_attn.o_proj.bias', 'bias', hidden);
}

/** Queries and keys/values pass low-rank bottlenecks; the rotary part of the key is shared by all heads. */
function* mlaWeights(tensor: Tensor, hidden: number, a: MlaShape): Generator<WeightSpec, void, undefined> {
  const keyDim = a.nopeHeadDim + a.ropeHeadDim;
  if (a.queryRank === undefined) yield tensor('self_attn.q_proj.weight', 'attention', a.heads * keyDim, hidden);
  else {
    yield tensor('self_attn.q_a_proj.weight', 'attention', a.queryRank, hidden);
    yield tensor('self_attn.q_a_layernorm.weight', 'norm', a.queryRank);
    yield tensor('self_attn.q_b_proj.weight', 'attention', a.heads * keyDim, a.queryRank);
  }
  yield tensor('self_attn.kv_a_proj_with_mqa.weight', 'attention', a.kvRank + a.ropeHeadDim, hidden);
  yield tensor('self_attn.kv_a_layernorm.weight', 'norm', a.kvRank);
  yield tensor('self_attn.kv_b_proj.weight', 'attention', a.heads * (a.nopeHeadDim + a.valueHeadDim), a.kvRank);
  yield tensor('self_attn.o_proj.weight', 'attention', hidden, a.heads * a.valueHeadDim);
}

/** Gate, up and down projection of one gated MLP. */
function* gatedWeights(
  tensor: Tensor,
  module: string,
  role: Role,
  hidden: number,
  width: number,
  names: Pick<MoeNames, 'gate' | 'up' | 'down'> = perExpert,
  bias = false,
): Generator<WeightSpec, void, undefined> {
  const projections = [
    [names.gate, width, hidden],
    [names.up, width, hidden],
    [names.down, hidden, width],
  ] as const;
  for (const [name, n, k] of projections) {
    yield tensor(`${module}.${name}.weight`, role, n, k);
    if (bias) yield tensor(`${module}.${name}.bias`, 'bias', n);
  }
}

function* moeWeights(
  tensor: Tensor,
  arch: string,
  hidden: number,
  mlp: MoeShape,
): Generator<WeightSpec, void, undefined> {
  const names = moeNamesOf(arch);
  const { experts, expertFfn: width } = mlp;
  const module = `${names.block}.experts`;
  yield tensor(`${names.block}.${names.router}`, 'router', experts, hidden);
  if (mlp.routing.bias !== undefined) yield tensor(`${names.block}.${names.routerBias}`, 'bias', experts);
  for (let expert = 0; expert < experts; expert++)
    yield* gatedWeights(tensor, `${module}.${expert}`, 'expert', hidden, width, names, mlp.expertBias);
  // Several shared experts are stored as one MLP of their summed width.
  if (mlp.sharedExperts > 0)
    yield* gatedWeights(tensor, `${names.block}.shared_experts`, 'mlp', hidden, mlp.sharedExperts * mlp.sharedFfn);
}

/** @throws IngotError WEIGHT_NAMES_UNKNOWN */
export function moeNamesOf(arch: string): MoeNames {
  if (Object.hasOwn(moeNames, arch)) return moeNames[arch];
  return fail({
    code: 'WEIGHT_NAMES_UNKNOWN',
    message: `The tensor names of a mixture of experts of architecture "${arch}" are not known.`,
    where: 'shape.arch',
    expected: `one of ${Object.keys(moeNames).join(', ')}`,
    found: arch,
    suggestion: 'Add the names of its checkpoint to src/model/weights.ts.',
  });
}

/**
 * Parameters of the model, a tied head counted once, without multi-token-prediction layers. Equal to the sum over
 * `iterateWeights`, but counts one dense and one mixture layer instead of all.
 */
export function parameterCount(shape: LlmShape): number {
  const denseLayers = shape.mlp.kind === 'dense' ? shape.layers : shape.mlp.denseLayers;
  const rest = shape.layers - denseLayers;
  return (
    elements(embeddingWeights(shape)) +
    (denseLayers > 0 ? denseLayers * elements(layerWeights(shape, 0)) : 0) +
    (rest > 0 ? rest * elements(layerWeights(shape, shape.layers - 1)) : 0) +
    elements(headWeights(shape))
  );
}

/**
 * Parameters that one token passes: all but the routed experts it is not sent to. The embedding counts in full,
 * as in published counts of dense models, though a token reads one row of it.
 */
export function activeParameterCount(shape: LlmShape): number {
  const { hidden, layers, mlp } = shape;
  if (mlp.kind === 'dense') return parameterCount(shape);
  const perExpert = 3 * hidden * mlp.expertFfn + (mlp.expertBias ? 2 * mlp.expertFfn + hidden : 0);
  return parameterCount(shape) - (layers - mlp.denseLayers) * (mlp.experts - mlp.activeExperts) * perExpert;
}

/** Values that the KV cache keeps per token and layer: k and v of each KV head, or the latent and the rotary key. */
export function kvWidth({ attention: a }: LlmShape): number {
  return a.kind === 'gqa' ? 2 * a.kvHeads * a.headDim : a.kvRank + a.ropeHeadDim;
}

function elements(weights: Iterable<WeightSpec>): number {
  let sum = 0;
  for (const { shape } of weights) sum += shape.reduce((product, size) => product * size, 1);
  return sum;
}

// A language model as a graph of ops on named values. A value is a matrix [tokens, width] of one sequence;
// an op reads values by name and writes one. Weights are named as in the checkpoint.

import type { LlmShape, RopeShape, RoutingShape } from '../spec/index.ts';

interface OpBase {
  /** Name of the value that the op writes; unique within its section of the graph. */
  readonly out: string;
}

/** Rows of a table by token id, times `scale` (absent: 1). Reads the token ids of the step. */
export interface EmbeddingOp extends OpBase {
  readonly kind: 'embedding';
  readonly weight: string;
  readonly vocab: number;
  readonly width: number;
  readonly scale?: number;
}

/**
 * Root-mean-square norm over each of `groups` equal parts of the row (1: the whole row). The weight has
 * width / groups elements and is the same for every part; `offset` (absent: 0) is added to each of them. The `passed`
 * elements (absent: 0) that follow the row's first `width` are handed on as they are.
 */
export interface RmsNormOp extends OpBase {
  readonly kind: 'rmsnorm';
  readonly input: string;
  readonly weight: string;
  readonly width: number;
  readonly groups: number;
  readonly eps: number;
  readonly offset?: number;
  readonly passed?: number;
}

/**
 * out = input · weightᵀ (+ bias); weight is [n, k], row-major, as in PyTorch. With `rows`, the op has rows [from, from + n)
 * of a weight [of, k] that it shares with others.
 */
export interface LinearOp extends OpBase {
  readonly kind: 'linear';
  readonly input: string;
  readonly weight: string;
  readonly bias?: string;
  readonly rows?: { readonly from: number; readonly of: number };
  /** What the matrix is for: a program may hold each class of weights in a format of its own. */
  readonly role: 'attention' | 'mlp' | 'expert' | 'router' | 'head';
  readonly k: number;
  readonly n: number;
}

/**
 * A matrix for each head, x_h · M_h, followed by the `passed` elements that lie behind the k of the head. Head h has
 * `rows` rows of the weight [heads · rows, …] to itself; those from `from` on are M_h [k, n], or [n, k] transposed.
 */
export interface HeadLinearOp extends OpBase {
  readonly kind: 'head-linear';
  readonly input: string;
  readonly weight: string;
  readonly heads: number;
  readonly k: number;
  readonly n: number;
  readonly rows: number;
  readonly from: number;
  readonly stored: 'kn' | 'nk';
  readonly passed: number;
  /** Each head's input lies over all the tiles of its axis, as latent attention leaves it; else all heads' together do. */
  readonly isSpread: boolean;
}

/**
 * Rotary embedding of each head, or of `part` of each, the rest handed on: pairs are (i, i + width / 2) of the part
 * (half-split), or (2i, 2i + 1) with `neighbours`.
 */
export interface RopeOp extends OpBase {
  readonly kind: 'rope';
  readonly input: string;
  readonly heads: number;
  readonly headDim: number;
  readonly part?: { readonly from: number; readonly width: number };
  readonly neighbours?: boolean;
  readonly rope: RopeShape;
}

/**
 * Causal attention; appends this step's k and v to the layer's cache, then attends over the cache.
 * With a window, the query at position p sees the keys at positions p - slidingWindow < j <= p.
 */
export interface AttentionOp extends OpBase {
  readonly kind: 'attention';
  readonly q: string;
  readonly k: string;
  readonly v: string;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly scale: number;
  /** Scaled scores s become softcap · tanh(s / softcap). */
  readonly softcap?: number;
  readonly slidingWindow?: number;
  /** Name of a weight [heads]: a score of each head that takes its share of the softmax and brings no value. */
  readonly sinks?: string;
  /**
   * Latent attention in its absorbed form (DeepSeek-V2, arXiv 2405.04434, section 2.1): the values are the first
   * `valueHeadDim` elements of the keys, so that the cache keeps k alone; `v` is `k`.
   */
  readonly latent?: { readonly valueHeadDim: number };
}

/** Gated linear unit: out = activation(gate) ⊙ up; `clamped-silu` also bounds both and adds 1 to up. */
export interface GluOp extends OpBase {
  readonly kind: 'glu';
  readonly gate: string;
  readonly up: string;
  readonly activation: 'silu' | 'gelu-tanh' | 'clamped-silu';
  readonly width: number;
}

/** out = cap · tanh(input / cap): a bound that small values hardly feel. */
export interface SoftcapOp extends OpBase {
  readonly kind: 'softcap';
  readonly input: string;
  readonly cap: number;
  readonly width: number;
}

/** out = a + b. */
export interface AddOp extends OpBase {
  readonly kind: 'add';
  readonly a: string;
  readonly b: string;
  readonly width: number;
}

/**
 * Mixture of gated MLPs: a router picks `activeExperts` of `experts` for each token, and the outputs of these are summed
 * with the weights that it gives them.
 */
export interface MoeOp extends OpBase {
  readonly kind: 'moe';
  readonly input: string;
  /** Name of the router's weight, [experts, width]. */
  readonly router: string;
  /** Name of the router's bias, [experts]; `routing` says what it is added to. */
  readonly routerBias?: string;
  readonly routing: RoutingShape;
  readonly experts: number;
  readonly activeExperts: number;
  /**
   * Modules of an expert, `{expert}` standing for its number: `.weight` is [expertFfn, width] of gate and up and
   * [width, expertFfn] of down, and there is a `.bias` of each with `expertBias`.
   */
  readonly gate: string;
  readonly up: string;
  readonly down: string;
  readonly expertBias: boolean;
  readonly expertFfn: number;
  readonly activation: GluOp['activation'];
  readonly width: number;
}

export type Op =
  | EmbeddingOp
  | RmsNormOp
  | LinearOp
  | HeadLinearOp
  | RopeOp
  | AttentionOp
  | GluOp
  | SoftcapOp
  | AddOp
  | MoeOp;
export type OpKind = Op['kind'];

/**
 * `prologue` writes `x`; every layer reads `x` and writes `x`'s successor under the name `x` again;
 * `epilogue` reads `x` and writes `logits` [tokens, vocab].
 */
export interface Graph {
  readonly shape: LlmShape;
  readonly prologue: readonly Op[];
  readonly layers: readonly (readonly Op[])[];
  readonly epilogue: readonly Op[];
  /**
   * Features of the model that the ops do not compute yet, in words ("mixture of experts"). A graph with any
   * is for sizing only, and executors refuse it (`requireExecutable`).
   */
  readonly unsupported: readonly string[];
}

/** Element types that Ingot reads from checkpoints. */
export type DType = 'f32' | 'f16' | 'bf16';

export interface WeightSpec {
  readonly name: string;
  readonly shape: readonly number[];
  /** What the weight is for: memory reports and quantization group by it. */
  readonly role: 'embedding' | 'norm' | 'attention' | 'mlp' | 'expert' | 'router' | 'bias' | 'head';
  /** Layer index, or absent for embedding, final norm and head. */
  readonly layer?: number;
}

/** Read access to the weights of a checkpoint, whatever its format. */
export interface WeightSource {
  readonly names: readonly string[];
  has(name: string): boolean;
  shape(name: string): readonly number[];
  dtype(name: string): DType;
  /** The whole tensor widened to float32, row-major. For the reference and for small tensors. */
  read(name: string): Float32Array;
  /**
   * The bytes of rows [from, to) of the first dimension as stored (little-endian), written to `target`,
   * so that a loader can stream a large tensor without a second copy of it.
   */
  readRows(name: string, from: number, to: number, target: Uint8Array): void;
}

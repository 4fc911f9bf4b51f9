import type { Fact } from '../fact.ts';

/** Scaling of rotary frequencies as in the Llama 3.1 release. */
export interface Llama3Scaling {
  readonly kind: 'llama3';
  readonly factor: number;
  readonly lowFreqFactor: number;
  readonly highFreqFactor: number;
  readonly originalContext: number;
}

/** YaRN (Peng et al. 2023, arXiv 2309.00071), which also stretches the rotated vectors. */
export interface YarnScaling {
  readonly kind: 'yarn';
  readonly factor: number;
  readonly originalContext: number;
  /** Pairs that turn more often than this in the original context keep their frequency. */
  readonly betaFast: number;
  /** Pairs that turn less often than this have it divided by `factor`. */
  readonly betaSlow: number;
  /** Cosines and sines are multiplied by it. */
  readonly attentionFactor: number;
  /** Whether the bounds between kept and divided pairs are rounded outwards to whole pairs. */
  readonly truncate: boolean;
}

/** LongRoPE (Ding et al. 2024, arXiv 2402.13753): a divisor for the frequency of each pair, found by search. */
export interface LongRopeScaling {
  readonly kind: 'longrope';
  readonly divisors: readonly number[];
  /** Cosines and sines are multiplied by it. */
  readonly attentionFactor: number;
}

/** Rotary embedding (Su et al. 2021, arXiv 2104.09864). Scaling changes angles, neither size nor work. */
export interface RopeShape {
  readonly theta: number;
  readonly scaling?: Llama3Scaling | YarnScaling | LongRopeScaling;
}

/** Grouped-query attention (multi-head when kvHeads equals heads). */
export interface GqaShape {
  readonly kind: 'gqa';
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly qkvBias: boolean;
  readonly outBias: boolean;
  /** RMS norm over each head of q and k before RoPE. */
  readonly qkNorm: boolean;
  /** Tokens a query may look back, or none for full attention. */
  readonly slidingWindow?: number;
  /** Every n-th layer ignores the window and attends to the whole context; absent: the window holds in every layer. */
  readonly fullAttentionEvery?: number;
  /** Leading elements of each head of q and k that RoPE turns; absent: all. */
  readonly ropeHeadDim?: number;
  /** Scores are q · k / √scoreWidth; absent: headDim (gemma-2 calls it query_pre_attn_scalar). */
  readonly scoreWidth?: number;
  /** Scores s are bounded to softcap · tanh(s / softcap) before the softmax (gemma-2). */
  readonly softcap?: number;
  /** One learned logit per head (gpt-oss). */
  readonly sinks?: boolean;
}

/** Grouped queries, but for `features` without biases and without norms of heads. */
export const groupedQueries = (
  heads: number,
  kvHeads: number,
  headDim: number,
  features: Partial<GqaShape> = {},
): GqaShape => ({ kind: 'gqa', heads, kvHeads, headDim, qkvBias: false, outBias: false, qkNorm: false, ...features });

/** Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434). */
export interface MlaShape {
  readonly kind: 'mla';
  readonly heads: number;
  /** Absent where queries are projected at once (DeepSeek-V2-Lite). */
  readonly queryRank?: number;
  readonly kvRank: number;
  readonly nopeHeadDim: number;
  readonly ropeHeadDim: number;
  readonly valueHeadDim: number;
  /** Scores are this / √(nopeHeadDim + ropeHeadDim) · q · k; absent: 1. YaRN raises it with the stretch of the context. */
  readonly scoreFactor?: number;
}

export interface DenseMlpShape {
  readonly kind: 'dense';
  readonly ffn: number;
}

/**
 * How a token's experts follow from the router's logits, one for each expert. Scores are the softmax of the logits, or
 * their sigmoids; the best `activeExperts` are chosen, and weighted by their scores.
 */
export interface RoutingShape {
  readonly score: 'softmax' | 'sigmoid';
  /** The weights are divided by their sum. (A softmax of the chosen logits alone is the same.) */
  readonly normalize: boolean;
  /** The weights are multiplied by it. */
  readonly scale: number;
  /**
   * What the router's bias is added to, where it has one: the logits, or the scores by which experts are chosen, but
   * not those by which they are weighted (DeepSeek-V3, arXiv 2412.19437, section 2.1.2).
   */
  readonly bias?: 'logits' | 'choice';
  /**
   * Experts lie in `count` groups of neighbours, and only the `active` groups with the largest sums of their two best
   * scores are chosen from (DeepSeek-V3).
   */
  readonly groups?: { readonly count: number; readonly active: number };
}

export interface MoeShape {
  readonly kind: 'moe';
  readonly experts: number;
  readonly activeExperts: number;
  readonly expertFfn: number;
  /** Experts that every token passes, each `sharedFfn` wide. */
  readonly sharedExperts: number;
  readonly sharedFfn: number;
  /** Leading layers with a dense MLP of width `denseFfn`. */
  readonly denseLayers: number;
  readonly denseFfn: number;
  readonly routing: RoutingShape;
  readonly expertBias: boolean;
}

/** Experts in every layer, but for `features` none shared, and chosen by a softmax; the shares of the chosen sum to 1. */
export const mixtureOfExperts = (
  experts: number,
  activeExperts: number,
  expertFfn: number,
  features: Partial<MoeShape> = {},
): MoeShape => ({
  kind: 'moe',
  experts,
  activeExperts,
  expertFfn,
  sharedExperts: 0,
  sharedFfn: 0,
  denseLayers: 0,
  denseFfn: 0,
  routing: { score: 'softmax', normalize: true, scale: 1 },
  expertBias: false,
  ...features,
});

/** Everything that decides the size and the work of a decoder-only language model. */
export interface LlmShape {
  /** Architecture family, a key of `model/arch`. */
  readonly arch: string;
  readonly hidden: number;
  readonly layers: number;
  readonly vocab: number;
  readonly maxContext: number;
  readonly normEps: number;
  /** Norms per layer of width `hidden`: 2, or 4 where outputs are normed too (gemma-2). */
  readonly layerNorms: 2 | 4;
  readonly rope: RopeShape;
  readonly tiedEmbeddings: boolean;
  /** Query, key and value lie in one tensor, gate and up in another (phi-3). */
  readonly fusedProjections?: true;
  /** Logits l are bounded to logitSoftcap · tanh(l / logitSoftcap) (gemma-2). */
  readonly logitSoftcap?: number;
  readonly attention: GqaShape | MlaShape;
  readonly mlp: DenseMlpShape | MoeShape;
}

/** An open model that people serve, by its published name. */
export interface LlmFacts {
  /** Lower-case name used on the command line, e.g. `llama-3.1-8b`. */
  readonly id: string;
  readonly name: string;
  readonly shape: LlmShape;
  /** Where the shape comes from (the checkpoint's config.json, report). */
  readonly source: string;
  /** Parameter count as published, checked against the shape by a test. */
  readonly parameters: Fact;
}

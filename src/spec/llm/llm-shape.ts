import type { Fact } from '../fact.ts';

/**
 * Rotary embedding (Su et al. 2021); `llama3` scaling as in the Llama 3.1 release. YaRN (gpt-oss, DeepSeek, Kimi) is
 * not stated: it changes angles, neither size nor work, and no architecture that Ingot executes uses it.
 */
export interface RopeShape {
  readonly theta: number;
  readonly scaling?: {
    readonly kind: 'llama3';
    readonly factor: number;
    readonly lowFreqFactor: number;
    readonly highFreqFactor: number;
    readonly originalContext: number;
  };
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
  /** Scores are q · k / √scoreWidth; absent: headDim (gemma-2 calls it query_pre_attn_scalar). */
  readonly scoreWidth?: number;
  /** Scores s are bounded to softcap · tanh(s / softcap) before the softmax (gemma-2). */
  readonly softcap?: number;
  /** One learned logit per head (gpt-oss). */
  readonly sinks?: boolean;
}

/** Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434). */
export interface MlaShape {
  readonly kind: 'mla';
  readonly heads: number;
  readonly queryRank: number;
  readonly kvRank: number;
  readonly nopeHeadDim: number;
  readonly ropeHeadDim: number;
  readonly valueHeadDim: number;
}

export interface DenseMlpShape {
  readonly kind: 'dense';
  readonly ffn: number;
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
  readonly routerBias: boolean;
  readonly expertBias: boolean;
}

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

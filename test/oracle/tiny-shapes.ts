// The shape that models of the oracle tests vary, small enough to compare every logit.

import type { GqaShape, LlmShape } from '../../src/spec/index.ts';

export const attention: GqaShape = {
  kind: 'gqa',
  heads: 4,
  kvHeads: 2,
  headDim: 16,
  qkvBias: false,
  outBias: false,
  qkNorm: false,
};

export const tiny: LlmShape = {
  arch: 'llama',
  hidden: 64,
  layers: 3,
  vocab: 320,
  maxContext: 256,
  normEps: 1e-5,
  layerNorms: 2,
  rope: { theta: 10_000 },
  tiedEmbeddings: false,
  attention,
  mlp: { kind: 'dense', ffn: 160 },
};

/** With heads of 16, an original context of 128 puts frequencies in each of the three ranges of the scaling. */
export const llama3: LlmShape['rope'] = {
  theta: 10_000,
  scaling: { kind: 'llama3', factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalContext: 128 },
};

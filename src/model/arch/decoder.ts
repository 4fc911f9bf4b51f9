// The stack that all architectures here share: embedding, layers of attention and MLP around a residual
// stream, final norm, head. An architecture says only where it departs from this. Weight names are those of
// Hugging Face checkpoints.

import type { GqaShape, LlmShape, MlaShape } from '../../spec/index.ts';
import { moeNamesOf } from '../weights.ts';
import type { GluOp, Graph, Op } from '../graph.ts';

export interface DecoderVariant {
  readonly activation?: GluOp['activation'];
  /** What is added to the weights of the norms. */
  readonly normOffset?: number;
  readonly embeddingScale?: number;
  /** Names of the norms before attention and before the MLP. */
  readonly norms?: { readonly attention: string; readonly mlp: string };
  /** Names of the norms of the outputs of attention and MLP, where there are four norms per layer. */
  readonly outputNorms?: { readonly attention: string; readonly mlp: string };
  readonly unsupported?: readonly string[];
}

const embeddingWeight = 'model.embed_tokens.weight';

/** Query, key, value projections, rope, attention; writes `attended`. */
function gqaOps(shape: LlmShape, attention: GqaShape, layer: number, input: string): Op[] {
  const { heads, kvHeads, headDim, qkvBias, qkNorm } = attention;
  const at = `model.layers.${layer}.self_attn`;
  const project = (part: 'q' | 'k' | 'v', count: number): Op => ({
    kind: 'linear',
    input,
    weight: `${at}.${part}_proj.weight`,
    ...(qkvBias ? { bias: `${at}.${part}_proj.bias` } : {}),
    k: shape.hidden,
    n: count * headDim,
    out: part,
  });
  const turn = (part: 'q' | 'k', count: number): Op[] => {
    const rope: Op = {
      kind: 'rope',
      input: qkNorm ? `${part}.normed` : part,
      heads: count,
      headDim,
      rope: shape.rope,
      out: `${part}.turned`,
    };
    if (!qkNorm) return [rope];
    const norm: Op = {
      kind: 'rmsnorm',
      input: part,
      weight: `${at}.${part}_norm.weight`,
      width: count * headDim,
      groups: count,
      eps: shape.normEps,
      out: `${part}.normed`,
    };
    return [norm, rope];
  };
  const { slidingWindow, fullAttentionEvery } = attention;
  const isFull = fullAttentionEvery !== undefined && (layer + 1) % fullAttentionEvery === 0;
  return [
    project('q', heads),
    project('k', kvHeads),
    project('v', kvHeads),
    ...turn('q', heads),
    ...turn('k', kvHeads),
    {
      kind: 'attention',
      q: 'q.turned',
      k: 'k.turned',
      v: 'v',
      heads,
      kvHeads,
      headDim,
      scale: 1 / Math.sqrt(attention.scoreWidth ?? headDim),
      ...(attention.softcap === undefined ? {} : { softcap: attention.softcap }),
      ...(slidingWindow === undefined || isFull ? {} : { slidingWindow }),
      ...(attention.sinks === true ? { sinks: `${at}.sinks` } : {}),
      out: 'attended',
    },
  ];
}

/**
 * Latent attention (DeepSeek-V2, arXiv 2405.04434 §2.1) in its expanded form, for sizing: all projections with
 * their true sizes, scores over nope + rope dimensions. The rotation of the rope part is left out.
 */
function mlaOps(shape: LlmShape, attention: MlaShape, layer: number, input: string): Op[] {
  const { heads, queryRank, kvRank, nopeHeadDim, ropeHeadDim, valueHeadDim } = attention;
  const at = `model.layers.${layer}.self_attn`;
  const keyHeadDim = nopeHeadDim + ropeHeadDim;
  const project = (from: string, name: string, k: number, n: number, out: string): Op => ({
    kind: 'linear',
    input: from,
    weight: `${at}.${name}.weight`,
    k,
    n,
    out,
  });
  const norm = (from: string, name: string, width: number, out: string): Op => ({
    kind: 'rmsnorm',
    input: from,
    weight: `${at}.${name}.weight`,
    width,
    groups: 1,
    eps: shape.normEps,
    out,
  });
  return [
    project(input, 'q_a_proj', shape.hidden, queryRank, 'q.latent'),
    norm('q.latent', 'q_a_layernorm', queryRank, 'q.normed'),
    project('q.normed', 'q_b_proj', queryRank, heads * keyHeadDim, 'q'),
    project(input, 'kv_a_proj_with_mqa', shape.hidden, kvRank + ropeHeadDim, 'kv.latent'),
    norm('kv.latent', 'kv_a_layernorm', kvRank, 'kv.normed'),
    project('kv.normed', 'kv_b_proj', kvRank, heads * (nopeHeadDim + valueHeadDim), 'kv'),
    {
      kind: 'attention',
      q: 'q',
      k: 'kv',
      v: 'kv',
      heads,
      kvHeads: heads,
      headDim: keyHeadDim,
      scale: 1 / Math.sqrt(keyHeadDim),
      latent: { valueHeadDim, cacheWidth: kvRank + ropeHeadDim },
      out: 'attended',
    },
  ];
}

/** Writes `mlp`. */
function mlpOps(shape: LlmShape, layer: number, input: string, variant: DecoderVariant): Op[] {
  const { mlp, hidden } = shape;
  const activation = variant.activation ?? 'silu';
  const dense = (module: string, ffn: number, out: string): Op[] => {
    const at = `model.layers.${layer}.${module}`;
    return [
      { kind: 'linear', input, weight: `${at}.gate_proj.weight`, k: hidden, n: ffn, out: 'gate' },
      { kind: 'linear', input, weight: `${at}.up_proj.weight`, k: hidden, n: ffn, out: 'up' },
      { kind: 'glu', gate: 'gate', up: 'up', activation, width: ffn, out: 'gated' },
      { kind: 'linear', input: 'gated', weight: `${at}.down_proj.weight`, k: ffn, n: hidden, out },
    ];
  };
  if (mlp.kind === 'dense') return dense('mlp', mlp.ffn, 'mlp');
  if (layer < mlp.denseLayers) return dense('mlp', mlp.denseFfn, 'mlp');
  const names = moeNamesOf(shape.arch);
  const at = `model.layers.${layer}.${names.block}`;
  const isShared = mlp.sharedExperts > 0;
  const mixture: Op = {
    kind: 'moe',
    input,
    router: `${at}.${names.router}`,
    ...(mlp.routing.bias === undefined ? {} : { routerBias: `${at}.${names.routerBias}` }),
    routing: mlp.routing,
    experts: mlp.experts,
    activeExperts: mlp.activeExperts,
    gate: `${at}.experts.{expert}.${names.gate}`,
    up: `${at}.experts.{expert}.${names.up}`,
    down: `${at}.experts.{expert}.${names.down}`,
    expertBias: mlp.expertBias,
    expertFfn: mlp.expertFfn,
    activation,
    width: hidden,
    out: isShared ? 'routed' : 'mlp',
  };
  if (!isShared) return [mixture];
  // Shared experts see every token: one MLP of their summed width, beside the mixture.
  return [
    mixture,
    ...dense(`${names.block}.shared_experts`, mlp.sharedExperts * mlp.sharedFfn, 'shared'),
    { kind: 'add', a: 'routed', b: 'shared', width: hidden, out: 'mlp' },
  ];
}

function layerOps(shape: LlmShape, layer: number, variant: DecoderVariant): Op[] {
  const { hidden, normEps: eps, attention } = shape;
  const at = `model.layers.${layer}`;
  const offset = variant.normOffset === undefined ? {} : { offset: variant.normOffset };
  const norm = (input: string, name: string, out: string): Op => ({
    kind: 'rmsnorm',
    input,
    weight: `${at}.${name}.weight`,
    width: hidden,
    groups: 1,
    eps,
    ...offset,
    out,
  });
  const norms = variant.norms ?? { attention: 'input_layernorm', mlp: 'post_attention_layernorm' };
  const after = variant.outputNorms;
  const isGqa = attention.kind === 'gqa';
  const outputs = isGqa ? attention.heads * attention.headDim : attention.heads * attention.valueHeadDim;
  return [
    norm('x', norms.attention, 'x.normed'),
    ...(isGqa ? gqaOps(shape, attention, layer, 'x.normed') : mlaOps(shape, attention, layer, 'x.normed')),
    {
      kind: 'linear',
      input: 'attended',
      weight: `${at}.self_attn.o_proj.weight`,
      ...(isGqa && attention.outBias ? { bias: `${at}.self_attn.o_proj.bias` } : {}),
      k: outputs,
      n: hidden,
      out: 'attn',
    },
    ...(after === undefined ? [] : [norm('attn', after.attention, 'attn.normed')]),
    { kind: 'add', a: 'x', b: after === undefined ? 'attn' : 'attn.normed', width: hidden, out: 'y' },
    norm('y', norms.mlp, 'y.normed'),
    ...mlpOps(shape, layer, 'y.normed', variant),
    ...(after === undefined ? [] : [norm('mlp', after.mlp, 'mlp.normed')]),
    { kind: 'add', a: 'y', b: after === undefined ? 'mlp' : 'mlp.normed', width: hidden, out: 'x' },
  ];
}

/** The graph of a decoder-only model of this shape. */
export function decoderGraph(shape: LlmShape, variant: DecoderVariant = {}): Graph {
  const { hidden, vocab, normEps: eps, logitSoftcap: cap } = shape;
  const { embeddingScale: scale, normOffset: offset } = variant;
  const logits = cap === undefined ? 'logits' : 'logits.uncapped';
  return {
    shape,
    prologue: [
      {
        kind: 'embedding',
        weight: embeddingWeight,
        vocab,
        width: hidden,
        ...(scale === undefined ? {} : { scale }),
        out: 'x',
      },
    ],
    layers: Array.from({ length: shape.layers }, (_, layer) => layerOps(shape, layer, variant)),
    epilogue: [
      {
        kind: 'rmsnorm',
        input: 'x',
        weight: 'model.norm.weight',
        width: hidden,
        groups: 1,
        eps,
        ...(offset === undefined ? {} : { offset }),
        out: 'x.normed',
      },
      {
        kind: 'linear',
        input: 'x.normed',
        weight: shape.tiedEmbeddings ? embeddingWeight : 'lm_head.weight',
        k: hidden,
        n: vocab,
        out: logits,
      },
      ...(cap === undefined ? [] : [{ kind: 'softcap', input: logits, cap, width: vocab, out: 'logits' } as const]),
    ],
    unsupported: variant.unsupported ?? [],
  };
}

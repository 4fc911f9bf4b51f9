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
  const project = (part: 'q' | 'k' | 'v', count: number, before: number): Op => ({
    kind: 'linear',
    input,
    ...(shape.fusedProjections === true
      ? { weight: `${at}.qkv_proj.weight`, rows: { from: before * headDim, of: (heads + 2 * kvHeads) * headDim } }
      : { weight: `${at}.${part}_proj.weight` }),
    ...(qkvBias ? { bias: `${at}.${part}_proj.bias` } : {}),
    role: 'attention',
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
      ...(attention.ropeHeadDim === undefined ? {} : { part: { from: 0, width: attention.ropeHeadDim } }),
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
    project('q', heads, 0),
    project('k', kvHeads, heads),
    project('v', kvHeads, heads + kvHeads),
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
      softcap: attention.softcap,
      ...(slidingWindow === undefined || isFull ? {} : { slidingWindow }),
      ...(attention.sinks === true ? { sinks: `${at}.sinks` } : {}),
      out: 'attended',
    },
  ];
}

/**
 * Multi-head latent attention in its absorbed form: the up-projection of keys is applied to the queries and that of
 * values to what the attention gathers, so that keys and values stay latent; writes `attended`.
 */
function mlaOps(shape: LlmShape, attention: MlaShape, layer: number, input: string): Op[] {
  const { heads, queryRank, kvRank, nopeHeadDim, ropeHeadDim, valueHeadDim, scoreFactor = 1 } = attention;
  const at = `model.layers.${layer}.self_attn`;
  const keyHeadDim = nopeHeadDim + ropeHeadDim;
  const project = (from: string, name: string, k: number, n: number, out: string): Op => ({
    kind: 'linear',
    input: from,
    weight: `${at}.${name}.weight`,
    role: 'attention',
    k,
    n,
    out,
  });
  const norm = (from: string, name: string, width: number, passed: number, out: string): Op => ({
    kind: 'rmsnorm',
    input: from,
    weight: `${at}.${name}.weight`,
    width,
    groups: 1,
    eps: shape.normEps,
    ...(passed === 0 ? {} : { passed }),
    out,
  });
  /** Turns the last `ropeHeadDim` elements of each head. */
  const turn = (from: string, count: number, headDim: number, out: string): Op => ({
    kind: 'rope',
    input: from,
    heads: count,
    headDim,
    part: { from: headDim - ropeHeadDim, width: ropeHeadDim },
    neighbours: true,
    rope: shape.rope,
    out,
  });
  const up = {
    kind: 'head-linear',
    weight: `${at}.kv_b_proj.weight`,
    heads,
    rows: nopeHeadDim + valueHeadDim,
  } as const;
  const query: readonly Op[] =
    queryRank === undefined
      ? [project(input, 'q_proj', shape.hidden, heads * keyHeadDim, 'q')]
      : [
          project(input, 'q_a_proj', shape.hidden, queryRank, 'q.latent'),
          norm('q.latent', 'q_a_layernorm', queryRank, 0, 'q.normed'),
          project('q.normed', 'q_b_proj', queryRank, heads * keyHeadDim, 'q'),
        ];
  return [
    ...query,
    turn('q', heads, keyHeadDim, 'q.turned'),
    {
      ...up,
      input: 'q.turned',
      k: nopeHeadDim,
      n: kvRank,
      from: 0,
      stored: 'kn',
      passed: ropeHeadDim,
      isSpread: false,
      out: 'q.absorbed',
    },
    project(input, 'kv_a_proj_with_mqa', shape.hidden, kvRank + ropeHeadDim, 'kv.latent'),
    norm('kv.latent', 'kv_a_layernorm', kvRank, ropeHeadDim, 'kv.normed'),
    turn('kv.normed', 1, kvRank + ropeHeadDim, 'kv.turned'),
    {
      kind: 'attention',
      q: 'q.absorbed',
      k: 'kv.turned',
      v: 'kv.turned',
      heads,
      kvHeads: 1,
      headDim: kvRank + ropeHeadDim,
      scale: scoreFactor / Math.sqrt(keyHeadDim),
      latent: { valueHeadDim: kvRank },
      out: 'attended.latent',
    },
    {
      ...up,
      input: 'attended.latent',
      k: kvRank,
      n: valueHeadDim,
      from: nopeHeadDim,
      stored: 'nk',
      passed: 0,
      isSpread: true,
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
    const first = (part: 'gate' | 'up', from: number): Op => ({
      kind: 'linear',
      input,
      ...(shape.fusedProjections === true
        ? { weight: `${at}.gate_up_proj.weight`, rows: { from, of: 2 * ffn } }
        : { weight: `${at}.${part}_proj.weight` }),
      role: 'mlp',
      k: hidden,
      n: ffn,
      out: part,
    });
    return [
      first('gate', 0),
      first('up', ffn),
      { kind: 'glu', gate: 'gate', up: 'up', activation, width: ffn, out: 'gated' },
      { kind: 'linear', input: 'gated', weight: `${at}.down_proj.weight`, role: 'mlp', k: ffn, n: hidden, out },
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
      role: 'attention',
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
    prologue: [{ kind: 'embedding', weight: embeddingWeight, vocab, width: hidden, scale, out: 'x' }],
    layers: Array.from({ length: shape.layers }, (_, layer) => layerOps(shape, layer, variant)),
    epilogue: [
      {
        kind: 'rmsnorm',
        input: 'x',
        weight: 'model.norm.weight',
        width: hidden,
        groups: 1,
        eps,
        offset,
        out: 'x.normed',
      },
      {
        kind: 'linear',
        input: 'x.normed',
        weight: shape.tiedEmbeddings ? embeddingWeight : 'lm_head.weight',
        role: 'head',
        k: hidden,
        n: vocab,
        out: logits,
      },
      ...(cap === undefined ? [] : [{ kind: 'softcap', input: logits, cap, width: vocab, out: 'logits' } as const]),
    ],
    unsupported: variant.unsupported ?? [],
  };
}

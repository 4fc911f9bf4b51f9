// Small programs for tests: shapes whose tiles do not divide, on meshes chosen by hand.

import { graphOf } from '../../model/index.ts';
import {
  mixtureOfExperts,
  type GqaShape,
  type LlmShape,
  type MlaShape,
  type MoeShape,
  type RopeShape,
} from '../../spec/index.ts';
import type { MemoryPlan, Numerics, Program } from '../program.ts';

export interface TinyShape {
  readonly arch?: string;
  readonly hidden?: number;
  readonly layers?: number;
  readonly heads?: number;
  readonly kvHeads?: number;
  readonly headDim?: number;
  readonly ffn?: number;
  readonly vocab?: number;
  readonly tied?: boolean;
  readonly slidingWindow?: number;
  /** Of latent attention; absent: queries are projected at once. */
  readonly queryRank?: number;
  /** A mixture of experts `ffn` wide, with what departs from four experts, two of them active, softmax normalized. */
  readonly mixture?: Partial<MoeShape>;
}

/** For the two pairs that phi3 turns of each head. */
const longRope: RopeShape = {
  theta: 10_000,
  scaling: { kind: 'longrope', divisors: [1.5, 3], attentionFactor: 1.2 },
};

const yarn = {
  kind: 'yarn',
  factor: 4,
  originalContext: 32,
  betaFast: 4,
  betaSlow: 1,
  attentionFactor: 1.2,
  truncate: false,
} as const;

/** A shape of an executable architecture, with its biases, head norms, window, sinks or soft caps. */
export function tinyShape(tiny: TinyShape = {}): LlmShape {
  const { arch = 'llama', hidden = 24, layers = 2, ffn = 40, vocab = 50 } = tiny;
  return {
    arch,
    hidden,
    layers,
    vocab,
    maxContext: 128,
    normEps: 1e-5,
    layerNorms: arch === 'gemma2' ? 4 : 2,
    rope: arch === 'phi3' ? longRope : { theta: 10_000, ...(arch === 'gpt_oss' ? { scaling: yarn } : {}) },
    tiedEmbeddings: tiny.tied ?? false,
    ...(arch === 'gemma2' ? { logitSoftcap: 2 } : {}),
    ...(arch === 'phi3' ? { fusedProjections: true } : {}),
    attention: arch === 'deepseek_v3' ? tinyLatent(tiny) : tinyGrouped(tiny),
    mlp: tiny.mixture === undefined ? { kind: 'dense', ffn } : mixtureOfExperts(4, 2, ffn, tiny.mixture),
  };
}

function tinyGrouped({ arch, heads = 4, kvHeads = 2, headDim = 6, slidingWindow }: TinyShape): GqaShape {
  const isGptOss = arch === 'gpt_oss';
  return {
    kind: 'gqa',
    heads,
    kvHeads,
    headDim,
    qkvBias: arch === 'qwen2' || isGptOss,
    outBias: isGptOss,
    qkNorm: arch?.startsWith('qwen3') === true,
    ...(slidingWindow === undefined ? {} : { slidingWindow }),
    ...(isGptOss ? { sinks: true, fullAttentionEvery: 2 } : {}),
    ...(arch === 'phi3' ? { ropeHeadDim: 4 } : {}),
    ...(arch === 'gemma2' ? { softcap: 1.5, scoreWidth: 5, fullAttentionEvery: 2 } : {}),
  };
}

function tinyLatent({ heads = 4, headDim = 6, queryRank }: TinyShape): MlaShape {
  return {
    kind: 'mla',
    heads,
    ...(queryRank === undefined ? {} : { queryRank }),
    kvRank: 9,
    nopeHeadDim: headDim,
    ropeHeadDim: 4,
    valueHeadDim: headDim - 1,
    scoreFactor: 1.5,
  };
}

export interface TinyMesh {
  readonly width: number;
  readonly height: number;
  readonly groups: { readonly x: number; readonly y: number };
}

/** One of each way to route, and of each feature of a mixture. */
export const tinyMixtures: readonly TinyShape[] = [
  { arch: 'mixtral', mixture: {} },
  {
    arch: 'qwen3_moe',
    headDim: 10,
    mixture: { experts: 13, activeExperts: 5, routing: { score: 'softmax', normalize: false, scale: 1 } },
  },
  {
    arch: 'gpt_oss',
    slidingWindow: 5,
    mixture: { experts: 6, routing: { score: 'softmax', normalize: true, scale: 1, bias: 'logits' }, expertBias: true },
  },
  {
    arch: 'qwen3_moe',
    mixture: {
      experts: 12,
      activeExperts: 3,
      routing: { score: 'sigmoid', normalize: true, scale: 2.5, bias: 'choice', groups: { count: 4, active: 2 } },
      sharedExperts: 1,
      sharedFfn: 9,
      denseLayers: 1,
      denseFfn: 31,
    },
  },
];

/** Regions of the stages of a tiny program: the embedding is on the first, the head on the last. */
export type TinyStages = readonly (TinyMesh & { readonly layers: number })[];

/** A program on one mesh, or on several regions one after another; what the memory plan says, executors do not look at. */
export function tinyProgram(
  shape: LlmShape,
  mesh: TinyMesh | TinyStages,
  held: Numerics['weights'] | Partial<Numerics>,
): Program {
  const numerics = typeof held === 'string' ? { weights: held } : held;
  const stages: TinyStages = 'width' in mesh ? [{ ...mesh, layers: shape.layers }] : mesh;
  const memory = noMemory;
  let layer = 0;
  return {
    format: 'ingot-program',
    version: 2,
    target: 'wse-3',
    model: 'tiny',
    graph: graphOf(shape),
    numerics: { weights: 'bf16', activations: 'fp32', kv: 'fp32', ...numerics },
    prefillChunk: 1,
    stages: stages.map(({ width, height, groups, layers }, i) => ({
      wafer: 0,
      region: { x: 0, y: 0, width, height },
      groups,
      fromLayer: layer,
      toLayer: (layer += layers),
      hasEmbedding: i === 0,
      hasHead: i === stages.length - 1,
      memory,
    })),
  };
}

/** The memory plan of a stage that nobody planned. */
export const noMemory: MemoryPlan = {
  capacity: 0,
  system: 0,
  code: 0,
  weights: 0,
  padding: 0,
  activations: 0,
  kv: 0,
  kvPerToken: 0,
};

/** Latent attention and a mixture with groups, shared experts and a dense layer: all that DeepSeek-V3 has. */
export const tinyDeepseek: TinyShape = {
  arch: 'deepseek_v3',
  queryRank: 7,
  ffn: 12,
  layers: 3,
  mixture: {
    sharedExperts: 2,
    sharedFfn: 5,
    denseLayers: 1,
    denseFfn: 20,
    routing: { score: 'sigmoid', normalize: true, scale: 2.5, bias: 'choice', groups: { count: 2, active: 1 } },
  },
};

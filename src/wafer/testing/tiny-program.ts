// Small programs for tests: shapes whose tiles do not divide, on meshes chosen by hand.

import { graphOf } from '../../model/index.ts';
import type { LlmShape } from '../../spec/index.ts';
import type { Numerics, Program } from '../program.ts';

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
}

/** A shape of an executable architecture, with its biases, head norms or window. */
export function tinyShape(tiny: TinyShape = {}): LlmShape {
  const { arch = 'llama', hidden = 24, layers = 2, heads = 4, kvHeads = 2, headDim = 6, ffn = 40, vocab = 50 } = tiny;
  return {
    arch,
    hidden,
    layers,
    vocab,
    maxContext: 128,
    normEps: 1e-5,
    layerNorms: arch === 'gemma2' ? 4 : 2,
    rope: { theta: 10_000 },
    tiedEmbeddings: tiny.tied ?? false,
    ...(arch === 'gemma2' ? { logitSoftcap: 2 } : {}),
    attention: {
      kind: 'gqa',
      heads,
      kvHeads,
      headDim,
      qkvBias: arch === 'qwen2',
      outBias: false,
      qkNorm: arch === 'qwen3',
      ...(tiny.slidingWindow === undefined ? {} : { slidingWindow: tiny.slidingWindow }),
      ...(arch === 'gemma2' ? { softcap: 1.5, scoreWidth: 5, fullAttentionEvery: 2 } : {}),
    },
    mlp: { kind: 'dense', ffn },
  };
}

export interface TinyMesh {
  readonly width: number;
  readonly height: number;
  readonly groups: { readonly x: number; readonly y: number };
}

/** Regions of the stages of a tiny program: the embedding is on the first, the head on the last. */
export type TinyStages = readonly (TinyMesh & { readonly layers: number })[];

/** A program on one mesh, or on several regions one after another; what the memory plan says, executors do not look at. */
export function tinyProgram(shape: LlmShape, mesh: TinyMesh | TinyStages, weights: Numerics['weights']): Program {
  const stages: TinyStages = 'width' in mesh ? [{ ...mesh, layers: shape.layers }] : mesh;
  const memory = { capacity: 0, system: 0, code: 0, weights: 0, padding: 0, activations: 0, kv: 0, kvPerToken: 0 };
  let layer = 0;
  return {
    format: 'ingot-program',
    version: 2,
    target: 'wse-3',
    model: 'tiny',
    graph: graphOf(shape),
    numerics: { weights, activations: 'fp32', kv: 'fp32' },
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

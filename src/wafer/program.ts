// The program: what the compiler writes and the executors and simulators read. They share nothing else.
// It is a plain value (JSON-serialisable). First cut: every op of a model section runs on one square region
// of a wafer, spread over the whole region; PE-level code (tasks, colors, DSDs) is lowered from it.

import type { Graph } from '../model/index.ts';
import type { VectorType } from './phase.ts';
import type { Axis } from './reduction.ts';

export interface Region {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/**
 * Numbers as the PEs hold them. `activations` is also what crosses the fabric: fp32 is one value a wavelet,
 * fp16 is two. int8 weights are per output row with int8 activations and int32 accumulation.
 */
export interface Numerics {
  readonly weights: 'f32' | 'bf16' | 'f16' | 'int8';
  readonly activations: VectorType;
  readonly kv: VectorType;
}

/** Layers [from, to) on one wafer; the first stage also holds the embedding, the last the head. */
export interface Stage {
  readonly wafer: number;
  readonly fromLayer: number;
  readonly toLayer: number;
  readonly hasEmbedding: boolean;
  readonly hasHead: boolean;
  readonly region: Region;
  readonly memory: MemoryPlan;
}

/** Bytes on the fullest PE of a stage's region, by class. Never over `capacity`. */
export interface MemoryPlan {
  readonly capacity: number;
  /** Code, stack and system buffers. */
  readonly reserved: number;
  readonly weights: number;
  /** Values of one layer alive at once for a prefill chunk, and receive buffers. */
  readonly activations: number;
  /** What is left for the KV cache. */
  readonly kv: number;
  /** Bytes that one cached token takes on the PEs of the row that holds it. */
  readonly kvPerToken: number;
  /** Tokens, summed over all sequences, whose KV fits beside the rest. */
  readonly kvTokens: number;
}

export interface Program {
  readonly format: 'ingot-program';
  readonly version: 1;
  /** Id in `spec/wafer`. */
  readonly target: string;
  readonly model: string;
  readonly graph: Graph;
  readonly numerics: Numerics;
  /** PEs along each axis of the (square) region on which k and n are tiled; the same for every stage. */
  readonly mesh: { readonly width: number; readonly height: number };
  /** Prompt tokens that stream through the decode placement together; prefill uses no other placement. */
  readonly prefillChunk: number;
  /**
   * PEs per group of the two-level reduce along each axis. With the mesh it fixes the order of every sum: see
   * `reductionAlong`, with the axis of an op's input from `inputAxes`.
   */
  readonly groups: Readonly<Record<Axis, number>>;
  readonly stages: readonly Stage[];
}

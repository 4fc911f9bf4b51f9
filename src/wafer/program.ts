// The program: what the compiler writes and the executors and simulators read. They share nothing else.
// It is a plain value (JSON-serialisable). A stage is a region of a wafer with the ops that run there, spread over
// the whole region; PE-level code (tasks, colors, DSDs) is lowered from it.

import type { Graph, Pruning } from '../model/index.ts';
import type { VectorType } from './phase.ts';
import type { Axis } from './reduction.ts';
import type { KvType, WeightFormat } from './weight-formats.ts';

/** A rectangle of PEs; (x, y) is its north-west corner on the program rectangle of the wafer. */
export interface Region {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Classes of weights that may each have a format. Norms and biases are held as activations are, routers and matrices of heads as tables. */
export const weightClasses = ['embedding', 'attention', 'mlp', 'expert', 'head'] as const;
export type WeightClass = (typeof weightClasses)[number];

/**
 * Numbers as the PEs hold them. `activations` is also what crosses the fabric: fp32 is one value a wavelet,
 * fp16 is two. int8 weights are per output row with int8 activations and int32 accumulation; fp8 and int4 weights are
 * widened as they are read.
 */
export interface Numerics {
  readonly weights: WeightFormat;
  /** Classes whose weights are held in another format. */
  readonly classes?: Readonly<Partial<Record<WeightClass, WeightFormat>>>;
  readonly activations: VectorType;
  readonly kv: KvType;
}

/**
 * One region and what runs on it: the embedding, layers [fromLayer, toLayer) one after another, the head; each may
 * be absent. Regions of one wafer do not overlap.
 */
export interface Stage {
  readonly wafer: number;
  readonly region: Region;
  /**
   * PEs per group of the two-level reduce along each axis. With the region's sides it fixes the order of every sum
   * of the stage: see `reductionAlong`, with the axis of an op's input from `inputAxes`.
   */
  readonly groups: Readonly<Record<Axis, number>>;
  readonly fromLayer: number;
  readonly toLayer: number;
  readonly hasEmbedding: boolean;
  readonly hasHead: boolean;
  readonly memory: MemoryPlan;
  /** Hops that an all-reduce takes more on the worst line of the region along either axis of a repaired wafer; 0 when absent. */
  readonly detours?: Readonly<Record<Axis, number>>;
}

/** Bytes on the fullest PE of a stage's region, by class. The first six add up to `capacity`. */
export interface MemoryPlan {
  readonly capacity: number;
  /** Stack and what the machine itself keeps. */
  readonly system: number;
  /** Code of every kernel that runs on the region. */
  readonly code: number;
  readonly weights: number;
  /** Between columns of weights, so that no instruction reads two operands from one bank. */
  readonly padding: number;
  /** Values of one layer alive at once for a prefill chunk, receive buffers, and the next chunk's input. */
  readonly activations: number;
  /** What is left for the KV cache. */
  readonly kv: number;
  /** Bytes that one cached token takes on the PEs of the row that holds it. */
  readonly kvPerToken: number;
  /** Tokens, summed over all sequences, whose KV fits beside the rest; absent where the stage caches nothing. */
  readonly kvTokens?: number;
}

export interface Program {
  readonly format: 'ingot-program';
  readonly version: 2;
  /** Id in `spec/wafer`. */
  readonly target: string;
  readonly model: string;
  /** The pruned one, where anything is. */
  readonly graph: Graph;
  readonly numerics: Numerics;
  /** What is left out of the weights of the checkpoint; executors do so as they read them. */
  readonly pruning?: Pruning;
  /** Most tokens that pass a stage together, in decode and in prefill, which uses no other placement. */
  readonly prefillChunk: number;
  /** In the order in which a token passes them. Every section of the graph is in exactly one. */
  readonly stages: readonly Stage[];
}

/** Wafers that the program takes. */
export const wafersOf = ({ stages }: Pick<Program, 'stages'>): number => 1 + (stages.at(-1)?.wafer ?? -1);

/** Tokens, summed over all sequences, for whose KV every stage has room. */
export const kvTokensOf = ({ stages }: Pick<Program, 'stages'>): number =>
  stages.reduce((least, { memory }) => Math.min(least, memory.kvTokens ?? Infinity), Infinity);

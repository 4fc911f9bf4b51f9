// What a compilation is asked for, and what it is told about cost.

import type { Graph, Op, Pruning } from '../model/index.ts';
import type { Wafer } from '../spec/index.ts';
import type { Numerics, Region } from '../wafer/index.ts';
import type { Mesh } from './memory.ts';

/** What is made as good as possible, among placements that fit. */
export type Objective =
  /** The fewest wafers; of those the one with the shortest request. */
  | 'wafers'
  /** The shortest request of one user: seconds of a prompt token and of an output token, added. */
  | 'latency'
  /** The most tokens a second for each wafer, with as many sequences as there is room for. */
  | 'throughput';

/** Tokens of a step: `sequences` that process `tokens` new ones each, with `cached` behind them. */
export interface Batch {
  readonly sequences: number;
  readonly tokens: number;
  readonly cached: number;
}

/** What a placement costs. The placer knows no simulator: it is told. All in seconds. */
export interface PlacementCost {
  /** One section of the graph, such as a layer, on a region of this shape. */
  section(ops: readonly Op[], mesh: Mesh, batch: Batch): number;
  /** The values of so many tokens from one region to the next on the same wafer. */
  move(from: Region, to: Region, tokens: number): number;
  /** From one wafer to the next, from region to region. */
  cross(from: Region, to: Region, tokens: number): number;
  /** Token ids in, and logits out. */
  host(tokens: number): number;
}

/** Extra hops of an all-reduce on the worst line of a region along either axis, on a repaired wafer. */
export interface Detours {
  readonly x: number;
  readonly y: number;
}

export interface CompileOptions {
  readonly model: string;
  readonly graph: Graph;
  readonly wafer: Wafer;
  readonly numerics: Numerics;
  /** What is left out of the weights; nothing when absent. */
  readonly pruning?: Pruning;
  /** Cached tokens, over all sequences, that must fit. */
  readonly kvTokens: number;
  /** At most this many wafers; as many as needed when absent. */
  readonly maxWafers?: number;
  /** Use regions of this shape for layers instead of searching. */
  readonly mesh?: Mesh;
  /** Default: 'wafers'. */
  readonly objective?: Objective;
  /** Seconds that one output token of one user may take. */
  readonly maxLatency?: number;
  readonly cost: PlacementCost;
  /** Of the repaired wafers, all alike; none when absent. */
  readonly detours?: (region: Region) => Detours;
}

/** Context at which placements are compared: all cached tokens, as far as the model takes them. */
export const contextOf = ({ kvTokens, graph }: CompileOptions): number => Math.min(kvTokens, graph.shape.maxContext);

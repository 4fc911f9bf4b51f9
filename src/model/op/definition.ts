// One op is one file that holds all its facets; this is what such a file must state.

import type { Op, OpKind } from '../graph.ts';

export type OpOf<K extends OpKind> = Extract<Op, { kind: K }>;

/** A weight that an op reads, by its name in the checkpoint. */
export interface WeightUse {
  readonly name: string;
  readonly shape: readonly number[];
}

/** A value that an op reads, and how wide the op takes it to be. */
export interface ValueUse {
  readonly name: string;
  readonly width: number;
}

/** Keys and values of one layer and one sequence: entry t is the row of position t. Held by the caller. */
export interface KvCache {
  readonly keys: Float32Array[];
  readonly values: Float32Array[];
}

/** What `evaluate` may see of the step. */
export interface StepView {
  /** Token ids of this step. */
  readonly tokens: readonly number[];
  /** Position of tokens[0] in the sequence. */
  readonly start: number;
  /** A value written earlier in this step, [tokens, width], row-major. Never modified. */
  value(name: string): Float32Array;
  weight(name: string): Float32Array;
  readonly cache: KvCache;
}

/**
 * All facets of an op.
 *
 * FLOPs count every addition, multiplication, division, comparison, root, exponential and tanh as one, so a
 * multiply-add is two. Rope angles come from a table and count nothing.
 */
export interface OpDefinition<K extends OpKind> {
  /** Values read. */
  inputs(op: OpOf<K>): readonly ValueUse[];
  /** Elements in a row of the value written. */
  width(op: OpOf<K>): number;
  /** FLOPs for `tokens` new tokens of a sequence that holds `context` tokens already. */
  flops(op: OpOf<K>, tokens: number, context: number): number;
  /** Named weights read. */
  weights(op: OpOf<K>): readonly WeightUse[];
  weightElements(op: OpOf<K>): number;
  /**
   * The meaning: the value written, [tokens, width]. Values and weights are float32; sums accumulate in
   * float64 and are rounded once, so the result is as near to exact as float32 storage allows.
   */
  evaluate(op: OpOf<K>, step: StepView): Float32Array;
}

export const elementsOf = (weights: readonly WeightUse[]): number =>
  weights.reduce((sum, weight) => sum + weight.shape.reduce((product, extent) => product * extent, 1), 0);

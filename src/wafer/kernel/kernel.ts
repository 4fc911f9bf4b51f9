import type { Op } from '../../model/index.ts';
import { allReduce } from '../collective/all-reduce.ts';
import type { LineShape } from '../collective/collective.ts';
import { tileOf, type LanesOf } from '../head-tiles.ts';
import type { Phase, VectorType } from '../phase.ts';
import type { Numerics } from '../program.ts';
import type { Axis } from '../reduction.ts';

/** Where and on what a kernel runs. */
export interface KernelContext {
  readonly width: number;
  readonly height: number;
  /** Tokens processed in this step; 1 in decode. */
  readonly tokens: number;
  /** Tokens of this sequence already in the KV cache. */
  readonly cached: number;
  readonly type: VectorType;
  /** How weights and cached values lie; absent: as they are multiplied. */
  readonly numerics?: Numerics;
  /** PEs per group of the two-level reduce, for a line of that many PEs along an axis. */
  readonly group: (parts: number, axis: Axis) => number;
  /** Vector instructions of one exponential, its clamps included; `expVectors` of them as kernels are lowered. */
  readonly expVectors: number;
  /** Another all-reduce than `allReduce`: the counts of what a lowered kernel runs. */
  readonly allReduce?: (line: LineShape) => readonly Phase[];
  /** Which values lie by heads; absent: all lie in equal pieces. */
  readonly lanes?: LanesOf;
}

/** The all-reduce of `values` over `parts` PEs of a line along `axis`. */
export const allReduceOf = (parts: number, values: number, axis: Axis, context: KernelContext): readonly Phase[] =>
  (context.allReduce ?? allReduce)({ parts, values, type: context.type, group: context.group(parts, axis) });

/**
 * PE code for one op on a region. Vectors lie cut along one axis and replicated on the other, so that a
 * matrix-vector product leaves its output where the next one wants its input (WaferLLM, OSDI'25, section 4).
 */
export interface Kernel<O extends Op> {
  /** `axis`: along which the op's input is cut. */
  phases(op: O, axis: Axis, context: KernelContext): readonly Phase[];
}

/** Elements of a value on its fullest PE when it lies along an axis. */
export const tileAlong = (value: string, width: number, axis: Axis, context: KernelContext): number =>
  tileOf(value, width, along(axis, context), context.lanes);

/** PEs along an axis, and along the other. */
export const along = (axis: Axis, context: { width: number; height: number }): number =>
  axis === 'x' ? context.width : context.height;
export const across = (axis: Axis, context: { width: number; height: number }): number =>
  axis === 'x' ? context.height : context.width;

// Cycles of one section of a graph (the embedding, a layer, the head) on a region: what a step model adds up and a
// placer compares.

import type { Cycles } from '../../core/index.ts';
import type { AttentionOp, Op } from '../../model/index.ts';
import type { Wafer } from '../../spec/index.ts';
import {
  across,
  allReduce,
  expVectors,
  groupSize,
  inputAxes,
  positionsOnPe,
  sectionPhases,
} from '../../wafer/index.ts';
import type { KernelContext, Numerics, VectorType } from '../../wafer/index.ts';
import { emptyBreakdown, priceAll, total, type Breakdown } from './price.ts';

export interface MeshShape {
  readonly width: number;
  readonly height: number;
}

/** Extra hops of an all-reduce on the worst line of a region along either axis, on a repaired wafer. */
export interface Detours {
  readonly x: number;
  readonly y: number;
}

/**
 * The context of a kernel that runs on a region.
 * @param detours which axis a kernel sums along is its own matter, so the longer of the two counts: an upper bound
 */
export function kernelContext(
  mesh: MeshShape,
  tokens: number,
  cached: number,
  numerics: Numerics,
  detours: Detours = { x: 0, y: 0 },
): KernelContext {
  const { width, height } = mesh;
  const type = numerics.activations;
  const context = { width, height, tokens, cached, type, numerics, group: groupSize, expVectors };
  const hops = Math.max(detours.x, detours.y);
  if (hops === 0) return context;
  return {
    ...context,
    allReduce: (line) => allReduce(line).map((phase, i) => (i === 0 ? { ...phase, hops: phase.hops + hops } : phase)),
  };
}

/** Several sequences in one step: each processes `tokens` new ones with `cached` behind them. */
export interface StepItem {
  readonly tokens: number;
  readonly cached: number;
}

export const addTimes = (into: Breakdown, what: Breakdown, times: number): void => {
  for (const key of Object.keys(into) as (keyof Breakdown)[]) into[key] += what[key] * times;
};

/**
 * Prices one section on one shape of region. Matrices take all tokens of a step together; attention takes the
 * sequences one after another.
 */
export interface SectionCost {
  /** Where the cycles of a step go. */
  step(items: readonly StepItem[]): Breakdown;
  /** Cycles of everything but attention for so many tokens. */
  matrices(tokens: number): number;
  /** Cycles of attention for one sequence. */
  attention(item: StepItem): number;
}

/** Answers are kept: a question asked before costs a look-up. */
export function createSectionCost(
  ops: readonly Op[],
  mesh: MeshShape,
  numerics: Numerics,
  wafer: Wafer,
  detours?: Detours,
): SectionCost {
  const axes = inputAxes(ops, 'y');
  const attentions = ops.filter((op): op is AttentionOp => op.kind === 'attention');
  const isAttention = (op: Op): boolean => op.kind === 'attention';
  const isOther = (op: Op): boolean => op.kind !== 'attention';
  const matrices: number[] = [];
  /** By tokens, then by positions that a PE of the first attention sees; one table while all see alike. */
  const known = new Map<number, number[]>();
  const first = attentions.at(0);
  const rows = first === undefined ? 1 : across(axes.get(first) ?? 'y', mesh);

  const priced = (tokens: number, cached: number, wanted: (op: Op) => boolean): Breakdown =>
    priceAll(sectionPhases(ops, 'y', kernelContext(mesh, tokens, cached, numerics, detours), wanted), wafer);

  return {
    step(items) {
      const sum = emptyBreakdown();
      const tokens = items.reduce((n, item) => n + item.tokens, 0);
      addTimes(sum, priced(tokens, 0, isOther), 1);
      if (first !== undefined)
        for (const item of items) addTimes(sum, priced(item.tokens, item.cached, isAttention), 1);
      return sum;
    },
    matrices: (tokens) => (matrices[tokens] ??= total(priced(tokens, 0, isOther))),
    attention({ tokens, cached }) {
      if (first === undefined) return 0;
      let byPositions = known.get(tokens);
      if (byPositions === undefined) known.set(tokens, (byPositions = []));
      return (byPositions[positionsOnPe(first, rows, tokens, cached)] ??= total(priced(tokens, cached, isAttention)));
    },
  };
}

/** One decoder layer of a graph on a mesh, all in one type, for comparison with measurements of a layer. */
export const layerCycles = (
  ops: readonly Op[],
  mesh: MeshShape,
  type: VectorType,
  wafer: Wafer,
  item: StepItem,
): Cycles => {
  const numerics = { weights: type === 'fp16' ? 'f16' : 'f32', activations: type, kv: type } as const;
  return total(createSectionCost(ops, mesh, numerics, wafer).step([item]));
};

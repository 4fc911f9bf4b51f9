// What all PEs of a region do together, where phases count the critical path only: energy follows from it.

import type { Op } from '../model/index.ts';
import type { LineShape } from './collective/index.ts';
import type { KernelContext } from './kernel/index.ts';
import { waveletsOf, type VectorType } from './phase.ts';
import { sectionPhases } from './plan.ts';
import type { Axis } from './reduction.ts';

/** Sums over all PEs of a region. */
export interface Work {
  /** Elements of vector instructions, by type. */
  readonly elements: Readonly<Record<VectorType, number>>;
  /** Links crossed by wavelets. */
  readonly hops: number;
  /** Crossings between a router and its CE. */
  readonly ramps: number;
}

export const noWork: Work = { elements: { fp16: 0, fp32: 0 }, hops: 0, ramps: 0 };

/** Of several pieces of work, each done `times` times. */
export const sumOfWork = (pieces: readonly (readonly [work: Work, times: number])[]): Work => {
  const sum = (of: (work: Work) => number): number =>
    pieces.reduce((total, [work, times]) => total + of(work) * times, 0);
  return {
    elements: { fp16: sum((w) => w.elements.fp16), fp32: sum((w) => w.elements.fp32) },
    hops: sum((w) => w.hops),
    ramps: sum((w) => w.ramps),
  };
};

/**
 * The two-level all-reduce on one line: messages to each neighbour inside the groups, over a group's length among
 * their roots, and a multicast back to everybody. All PEs but one add what they receive.
 */
export function allReduceWork(line: LineShape): Work {
  const { parts, group, values, type } = line;
  if (parts <= 1) return noWork;
  const wavelets = waveletsOf(values, type);
  const groups = Math.ceil(parts / group);
  // Roots lie `group` apart, except that the last group may be short.
  const last = parts - (groups - 1) * group;
  const rootSpan = (groups - 1) * group + (last >> 1) - (Math.min(group, parts) >> 1);
  return {
    elements: { fp16: 0, fp32: 0, [type]: (parts - 1) * values },
    hops: wavelets * (parts - groups + rootSpan + (parts - 1)),
    ramps: wavelets * (2 * (parts - 1) + parts),
  };
}

/**
 * Work of a section of a graph (a layer, or the head) for one step. PEs have nearly equal tiles, so local work is that
 * of the fullest PE on all of them: an upper bound, like the cycles.
 */
export function sectionWork(ops: readonly Op[], axis: Axis, context: KernelContext): Work {
  const pes = context.width * context.height;
  const lines: LineShape[] = [];
  const local = sectionPhases(ops, axis, {
    ...context,
    allReduce(line) {
      lines.push(line);
      return [];
    },
  });
  const elements = { fp16: 0, fp32: 0 };
  let passed = 0;
  for (const { phases } of local) {
    for (const phase of phases) {
      for (const { count, length, type } of phase.vectors) elements[type] += phase.repeat * count * length * pes;
      // A message that is not part of an all-reduce passes a router once.
      passed += phase.repeat * phase.wavelets * pes;
    }
  }
  return sumOfWork([
    [{ elements, hops: passed, ramps: passed }, 1],
    ...lines.map((line) => [allReduceWork(line), pes / line.parts] as const),
  ]);
}

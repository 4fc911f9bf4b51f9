// Runs a lowered kernel untimed and timed, and states what its cycles should be.
import { expect } from 'vitest';
import { createRng } from '../../../core/index.ts';
import { findWafer, resolveWafer } from '../../../spec/index.ts';
import { priceSequence, collectiveCycles } from '../../../sim/index.ts';
import { simulate, simulateCollective } from '../../../sim/cycle/index.ts';
import type { Collective, LineShape } from '../../index.ts';
import { interpret } from '../../machine/index.ts';
import type { LoweredKernel, Tensors } from '../lower/lowering.ts';

export const wse2 = resolveWafer(findWafer('wse2'));

export interface LoweredRun {
  readonly values: Float64Array;
  readonly cycles: number;
  /** What the closed form says. */
  readonly priced: number;
}

/** Both ways give the same values, in whatever order the interpreter visits the PEs. */
export function runLowered(kernel: LoweredKernel, tensors: Tensors, seed = 1): LoweredRun {
  const timed = simulate(kernel.program, wse2, { inputs: kernel.inputs(tensors) });
  const values = kernel.readback(timed);
  const rng = createRng(seed);
  expect(kernel.readback(interpret(kernel.program, wse2, { inputs: kernel.inputs(tensors), rng }))).toEqual(values);
  return { values, cycles: timed.cycles, priced: priceSequence(kernel.phases, wse2) };
}

/**
 * Simulated cycles of an all-reduce inside a kernel, beyond its closed form: those of the collective alone, whose
 * own laws stand beside it, less its task start. The broadcast is exact.
 */
export function allReduceBeyond(collective: Collective, line: LineShape): number {
  if (line.parts === 1) return 0;
  const reduce = simulateCollective(collective.id, line, wse2).cycles - collectiveCycles(collective, line, wse2);
  return reduce - wse2.taskStart;
}

export function normals(length: number, seed: number): Float64Array {
  const rng = createRng(seed);
  return Float64Array.from({ length }, () => rng.normal());
}

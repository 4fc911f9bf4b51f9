// One collective on a line of PEs, from its name to cycles and values.

import { fail, didYouMean, type Cycles } from '../../../core/index.ts';
import type { Wafer } from '../../../spec/index.ts';
import { collectives, type LineShape } from '../../../wafer/index.ts';
import type { MemoryImage } from '../../../wafer/machine/index.ts';
import type { Breakdown } from '../critical-path.ts';
import { simulate, type Simulation, type SimulateOptions } from '../simulate.ts';

export interface CollectiveSimulation {
  readonly cycles: Cycles;
  readonly breakdown: Breakdown;
  /** Link traversals of all wavelets. */
  readonly hops: number;
  /** Colors that the program routes. */
  readonly colors: number;
  /** Positions along the line that hold the outcome, and the outcome at the first of them. */
  readonly results: readonly number[];
  readonly values: Float64Array;
  readonly simulation: Simulation;
}

/**
 * Run a collective cycle by cycle. All PEs start their tasks in cycle 0, so the cycles include the first task's
 * start and the vector start-ups, which the closed form of posted collectives leaves out.
 * @param id a key of `collectives`
 * @param contribution values of PE `position`; default position + 1 everywhere
 * @throws IngotError COLLECTIVE_UNKNOWN, LINE_SHAPE, and what `simulate` throws
 */
export function simulateCollective(
  id: string,
  line: LineShape,
  wafer: Wafer,
  contribution?: (position: number) => ArrayLike<number>,
  options: Omit<SimulateOptions, 'inputs' | 'explain'> = {},
): CollectiveSimulation {
  if (!Object.hasOwn(collectives, id)) {
    fail({
      code: 'COLLECTIVE_UNKNOWN',
      message: `no collective is named "${id}"`,
      expected: Object.keys(collectives).join(', '),
      suggestion: didYouMean(id, Object.keys(collectives)),
    });
  }
  for (const [name, value] of Object.entries({ parts: line.parts, values: line.values, group: line.group }))
    if (!(Number.isInteger(value) && value >= 1))
      fail({ code: 'LINE_SHAPE', message: `${name} must be a positive integer`, found: String(value) });
  const { program, results, outcome = 'x' } = collectives[id].lower(line, wafer);
  const valuesOf = contribution ?? ((position: number) => new Float64Array(line.values).fill(position + 1));
  const inputs: MemoryImage[] = Array.from({ length: line.parts }, (_, x) => ({
    x,
    y: 0,
    object: 'x',
    values: valuesOf(x),
  }));
  const simulation = simulate(program, wafer, { ...options, inputs, explain: true });
  return {
    cycles: simulation.cycles,
    breakdown: simulation.breakdown as Breakdown,
    hops: simulation.counts.hops,
    colors: new Set(program.routes.map((rule) => rule.color)).size,
    results,
    values: simulation.read(results[0], 0, outcome).subarray(0, line.values),
    simulation,
  };
}

import { phase, waveletsOf } from '../phase.ts';
import type { Collective } from './collective.ts';
import { createLineProgram, type LineProgram } from './line-program.ts';

/**
 * Reduce along a line to its first PE: each PE adds what arrives to its own values and passes the sum on,
 * element by element. All PEs post the operation beforehand, so a stage costs one hop, two ramps and one
 * add for the first element, and the rest stream behind it: B + (2 T_R + 2)(P - 1).
 * Source: Luczynski et al., HPDC'24 (arXiv 2404.15888), chain reduce.
 */
export const chain: Collective = {
  id: 'chain',
  does: 'reduce',
  about: 'reduce along the line, one PE after another',
  colors: 2,
  phases: ({ parts, values, type }) => {
    const stages = parts - 1;
    if (stages === 0) return [];
    return [phase('chain', { hops: stages, ramps: 2 * stages, steps: stages, wavelets: waveletsOf(values, type) })];
  },
  follows: ({ parts, values, type }) =>
    parts === 1
      ? []
      : [phase('chain again', { wavelets: waveletsOf(values, type), vectors: [{ count: 1, length: 0, type }] })],
  lower: (line, wafer) => {
    const program = createLineProgram(line, 'posted', wafer);
    chainSteps(
      program,
      Array.from({ length: line.parts }, (_, i) => i),
      [0, 1],
    );
    return program.build([0]);
  },
};

/**
 * Sum along `pes`, from the last to the first. Neighbours in the chain use two colors in turn, because a PE
 * receives and sends at once.
 */
export function chainSteps(program: LineProgram, pes: readonly number[], colors: readonly [number, number]): void {
  for (let i = pes.length - 1; i > 0; i--) {
    const color = colors[i & 1];
    program.message(color, pes[i], pes[i - 1]);
    if (i === pes.length - 1) program.does(pes[i], { do: 'send', color });
    else program.does(pes[i], { do: 'relay', color: colors[(i + 1) & 1], to: color });
  }
  if (pes.length > 1) program.does(pes[0], { do: 'add', color: colors[1] });
}

import type { Wafer } from '../../spec/index.ts';
import { phase, waveletsOf, type Phase } from '../phase.ts';
import { rootOf } from '../reduction.ts';
import type { Collective, LineShape } from './collective.ts';
import { createLineProgram, type LoweredCollective } from './line-program.ts';

/**
 * From the middle of the line to both ends. Routers copy a wavelet to the ramp and onwards in one cycle
 * (multicast is free), so it costs the distance, two ramps and the stream, after the start-up of its instruction.
 * Source: HPDC'24, broadcast, with the root in the middle.
 */
export const broadcast: Collective = {
  id: 'broadcast',
  does: 'broadcast',
  about: 'from the middle PE to both ends by multicast routes',
  colors: 1,
  phases: (line) => broadcastPhases(line, rootOf(line.parts)),
  lower: (line, wafer) => lowerBroadcast(line, rootOf(line.parts), wafer),
};

/** The broadcast from any PE of the line. */
export function broadcastPhases({ parts, values, type }: LineShape, root: number): readonly Phase[] {
  if (parts <= 1) return [];
  return [
    phase('broadcast', {
      hops: Math.max(root, parts - 1 - root),
      ramps: 2,
      steps: 1,
      wavelets: waveletsOf(values, type),
      vectors: [{ count: 1, length: 0, type }],
    }),
  ];
}

export function lowerBroadcast(line: LineShape, root: number, wafer: Wafer): LoweredCollective {
  const program = createLineProgram(line, 'posted', wafer);
  if (line.parts > 1) {
    program.multicast(0, root, 0, line.parts - 1);
    for (let pe = 0; pe < line.parts; pe++)
      program.does(pe, pe === root ? { do: 'send', color: 0 } : { do: 'take', color: 0 });
  }
  return program.build(Array.from({ length: line.parts }, (_, i) => i));
}

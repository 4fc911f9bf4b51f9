import { phase, waveletsOf } from '../phase.ts';
import { chainSteps } from './chain.ts';
import type { Collective } from './collective.ts';
import { createLineProgram } from './line-program.ts';

/**
 * All-reduce by one chain along the whole line and the way back, each PE starting a task for what arrives:
 * 2 N hops and N routing stages, as the vendor's GEMV does it (WaferLLM, OSDI'25, section 5).
 */
export const pipeline: Collective = {
  id: 'pipeline',
  about: 'all-reduce by one task-driven chain along the line and a broadcast back',
  colors: 3,
  phases: ({ parts, values, type }) => {
    const stages = parts - 1;
    if (stages === 0) return [];
    const wavelets = waveletsOf(values, type);
    return [
      phase('chain', {
        hops: stages,
        ramps: 2 * stages,
        tasks: stages,
        wavelets,
        vectors: [{ count: stages, length: 0, type }],
      }),
      phase('back', { hops: stages, ramps: 2, tasks: 1, wavelets, vectors: [{ count: 1, length: 0, type }] }),
    ];
  },
  lower: (line, wafer) => {
    const program = createLineProgram(line, 'driven', wafer);
    const all = Array.from({ length: line.parts }, (_, i) => i);
    chainSteps(program, all, [0, 1]);
    if (line.parts > 1) {
      program.multicast(2, 0, 0, line.parts - 1);
      for (const pe of all) program.does(pe, pe === 0 ? { do: 'send', color: 2 } : { do: 'take', color: 2 });
    }
    return program.build(all);
  },
};

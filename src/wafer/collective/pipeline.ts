import { phase, waveletsOf } from '../phase.ts';
import { chainSteps } from './chain.ts';
import type { Collective } from './collective.ts';
import { drivenChains } from './driven-chains.ts';
import { createLineProgram } from './line-program.ts';

/**
 * All-reduce by one chain along the whole line and the way back, each PE starting a task for what arrives:
 * 2 N hops and N routing stages, as the vendor's GEMV does it (WaferLLM, OSDI'25, section 5).
 */
export const pipeline: Collective = {
  id: 'pipeline',
  does: 'all-reduce',
  about: 'all-reduce by one task-driven chain along the line and a broadcast back',
  colors: 3,
  phases: (line) => {
    const stages = line.parts - 1;
    if (stages === 0) return [];
    const wavelets = waveletsOf(line.values, line.type);
    // On the way back the PE before the last is the latest: it takes the sum in a task, the last one has posted it.
    const isDriven = stages > 1;
    const stores = line.type === 'fp16' ? 2 : 0;
    const back = phase('back', {
      hops: isDriven ? stages - 1 : stages,
      ramps: 2,
      tasks: isDriven ? 1 : 0,
      steps: 1 + (isDriven ? stores : 0),
      wavelets,
      vectors: [{ count: 1 + (isDriven ? (wavelets > 1 ? 2 : 1) : 0), length: 0, type: line.type }],
    });
    return [...drivenChains('chain', stages, 1, 1, line), back];
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

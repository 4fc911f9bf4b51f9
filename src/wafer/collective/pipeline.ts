import { phase, waveletsOf } from '../phase.ts';
import type { Collective } from './collective.ts';

/**
 * All-reduce by one chain along the whole line and the way back, each PE starting a task for what arrives:
 * 2 N hops and N routing stages, as the vendor's GEMV does it (WaferLLM, OSDI'25, section 5).
 */
export const pipeline: Collective = {
  id: 'pipeline',
  about: 'all-reduce by one task-driven chain along the line and a broadcast back',
  colors: 2,
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
};

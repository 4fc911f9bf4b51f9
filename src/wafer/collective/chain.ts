import { phase, waveletsOf } from '../phase.ts';
import type { Collective } from './collective.ts';

/**
 * Reduce along a line to its first PE: each PE adds what arrives to its own values and passes the sum on,
 * element by element. All PEs post the operation beforehand, so a stage costs one hop, two ramps and one
 * add for the first element, and the rest stream behind it: B + (2 T_R + 2)(P - 1).
 * Source: Luczynski et al., HPDC'24 (arXiv 2404.15888), chain reduce.
 */
export const chain: Collective = {
  id: 'chain',
  about: 'reduce along the line, one PE after another',
  colors: 2,
  phases: ({ parts, values, type }) => {
    const stages = parts - 1;
    if (stages === 0) return [];
    return [phase('chain', { hops: stages, ramps: 2 * stages, steps: stages, wavelets: waveletsOf(values, type) })];
  },
};

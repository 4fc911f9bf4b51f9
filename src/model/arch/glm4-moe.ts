import type { Arch } from './arch.ts';
import { decoderGraph } from './decoder.ts';

/** GLM-4.5 and 4.6 (arXiv 2508.06471). */
export const glm4Moe: Arch = {
  id: 'glm4_moe',
  hfModelTypes: ['glm4_moe'],
  graph: (shape) => decoderGraph(shape, { unsupported: ['partial rotary embedding'] }),
};

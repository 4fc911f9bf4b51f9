import type { Arch } from './arch.ts';
import { decoderGraph } from './decoder.ts';

/** Qwen3 (arXiv 2505.09388) with a mixture of experts and no shared expert. */
export const qwen3Moe: Arch = {
  id: 'qwen3_moe',
  hfModelTypes: ['qwen3_moe'],
  graph: (shape) => decoderGraph(shape, { unsupported: ['mixture of experts'] }),
};

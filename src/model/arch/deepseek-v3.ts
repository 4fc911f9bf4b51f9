import type { Arch } from './arch.ts';
import { decoderGraph } from './decoder.ts';

/** DeepSeek-V3 (arXiv 2412.19437) and Kimi K2, which has the same architecture. */
export const deepseekV3: Arch = {
  id: 'deepseek_v3',
  hfModelTypes: ['deepseek_v3', 'kimi_k2'],
  graph: (shape) => decoderGraph(shape, shape.mlp.kind === 'moe' ? { unsupported: ['mixture of experts'] } : {}),
};

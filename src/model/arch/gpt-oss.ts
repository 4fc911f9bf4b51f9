import type { Arch } from './arch.ts';
import { decoderGraph } from './decoder.ts';

/** gpt-oss (model card, arXiv 2508.10925): biases everywhere, sinks, a window in every other layer. */
export const gptOss: Arch = {
  id: 'gpt_oss',
  hfModelTypes: ['gpt_oss'],
  graph: (shape) =>
    decoderGraph(shape, {
      activation: 'clamped-silu',
      unsupported: ['mixture of experts', 'attention sinks'],
    }),
};

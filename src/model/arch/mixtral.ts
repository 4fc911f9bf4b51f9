import type { Arch } from './arch.ts';
import { decoderGraph } from './decoder.ts';

/** Mixtral of Experts (arXiv 2401.04088): mistral with a mixture of experts in every layer. */
export const mixtral: Arch = {
  id: 'mixtral',
  hfModelTypes: ['mixtral'],
  graph: (shape) => decoderGraph(shape, { unsupported: ['mixture of experts'] }),
};

import type { Arch } from './arch.ts';
import { decoderGraph } from './decoder.ts';
import { parseDecoder } from './decoder-config.ts';
import { parseMoe } from './moe-config.ts';

/** Mixtral of Experts (arXiv 2401.04088): mistral with a mixture of experts in every layer. */
export const mixtral: Arch = {
  id: 'mixtral',
  hfModelTypes: ['mixtral'],
  parse(config) {
    config.only('attention_bias', [false], 'mixtral has no attention biases');
    const routing = { score: 'softmax', normalize: true, scale: 1 } as const;
    return parseDecoder(
      config,
      { arch: 'mixtral', qkvBias: false, outBias: false, qkNorm: false, window: 'every layer' },
      () =>
        parseMoe(
          config,
          { experts: 'num_local_experts', expertFfn: 'intermediate_size' },
          { routing, expertBias: false },
        ),
    );
  },
  graph: (shape) => decoderGraph(shape),
};

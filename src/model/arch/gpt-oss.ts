import type { Arch } from './arch.ts';
import { decoderGraph } from './decoder.ts';
import { parseDecoder } from './decoder-config.ts';
import { parseMoe } from './moe-config.ts';
import { clampedSilu } from '../op/index.ts';

/** gpt-oss (model card, arXiv 2508.10925): biases everywhere, sinks, a window in every other layer, experts in MXFP4. */
export const gptOss: Arch = {
  id: 'gpt_oss',
  hfModelTypes: ['gpt_oss'],
  parse(config) {
    config.only('attention_bias', [true], 'gpt-oss has biases in attention');
    config.only('swiglu_limit', [clampedSilu.limit], 'another bound of the gated unit is not supported');
    // Older names of num_experts_per_tok and of the context before scaling.
    for (const key of ['experts_per_token', 'initial_context_length']) config.has(key);
    const routing = { score: 'softmax', normalize: true, scale: 1, bias: 'logits' } as const;
    const shape = parseDecoder(
      config,
      {
        arch: 'gpt_oss',
        qkvBias: true,
        outBias: true,
        qkNorm: false,
        window: 'alternating',
        quantization: 'mxfp4',
      },
      () =>
        parseMoe(
          config,
          { experts: 'num_local_experts', expertFfn: 'intermediate_size' },
          { routing, expertBias: true },
        ),
    );
    return shape.attention.kind === 'gqa' ? { ...shape, attention: { ...shape.attention, sinks: true } } : shape;
  },
  graph: (shape) => decoderGraph(shape, { activation: 'clamped-silu' }),
};

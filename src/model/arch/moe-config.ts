// What the configurations of mixtures of experts share.

import type { MoeShape } from '../../spec/index.ts';
import { dimensionLimits, type ConfigReader } from './config-reader.ts';

/** Keys of a configuration for the sizes of a mixture. */
export interface MoeKeys {
  readonly experts: string;
  readonly expertFfn: string;
}

/** Sizes and `num_experts_per_tok`; without shared experts and dense layers, which only some families have. */
export function parseMoe(
  config: ConfigReader,
  keys: MoeKeys,
  rest: Pick<MoeShape, 'routing' | 'expertBias'> & Partial<MoeShape>,
): MoeShape {
  // For training only.
  for (const key of ['output_router_logits', 'router_aux_loss_coef', 'router_jitter_noise']) config.has(key);
  const experts = config.count(keys.experts, dimensionLimits.experts);
  const activeExperts = config.count('num_experts_per_tok', dimensionLimits.experts);
  if (config.sound && activeExperts > experts)
    config.invalid('num_experts_per_tok', `at most ${experts}, the number of experts`, activeExperts);
  return {
    kind: 'moe',
    experts,
    activeExperts,
    expertFfn: config.count(keys.expertFfn, dimensionLimits.ffn),
    sharedExperts: 0,
    sharedFfn: 0,
    denseLayers: 0,
    denseFfn: 0,
    ...rest,
  };
}

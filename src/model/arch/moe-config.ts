// What the configurations of mixtures of experts share.

import type { MoeShape, RoutingShape } from '../../spec/index.ts';
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
  const { groups } = rest.routing;
  if (config.sound && groups !== undefined && experts % groups.count !== 0)
    config.invalid('n_group', `a divisor of ${experts} experts`, groups.count);
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

/** Scores by sigmoid, with a bias of the choice, in groups (DeepSeek-V3). */
export function parseSigmoidRouting(config: ConfigReader, normalizes: boolean): RoutingShape {
  const normalize = config.flag('norm_topk_prob', normalizes);
  const scale = config.positive('routed_scaling_factor', 1);
  const count = config.count('n_group', dimensionLimits.experts, 1);
  const active = config.count('topk_group', dimensionLimits.experts, 1);
  if (config.sound && active > count) config.invalid('topk_group', `at most ${count}, the number of groups`, active);
  return { score: 'sigmoid', normalize, scale, bias: 'choice', ...(count === 1 ? {} : { groups: { count, active } }) };
}

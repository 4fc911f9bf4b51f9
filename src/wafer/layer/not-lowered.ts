import type { Op } from '../../model/index.ts';
import { isLoweredMixture } from './mixture.ts';

/**
 * What an op would have to be to become a program of PEs; undefined where it is. Ops without one are sized and timed by
 * their kernels' counts alone.
 */
export function notLowered(op: Op): string | undefined {
  switch (op.kind) {
    case 'embedding':
      return op.scale === undefined ? undefined : 'an embedding that is not scaled';
    case 'rmsnorm':
      return op.passed === undefined ? undefined : 'a norm of whole vectors or whole heads';
    case 'rope':
      return op.part === undefined && op.neighbours !== true ? undefined : 'a rotation of whole heads by halves';
    case 'attention':
      return op.latent === undefined ? undefined : 'attention with keys and values of its heads';
    case 'glu':
    case 'linear':
    case 'add':
      return undefined;
    case 'moe':
      return isLoweredMixture(op) ? undefined : 'a mixture that chooses by a softmax over all experts';
    case 'head-linear':
    case 'softcap':
      return 'an op of a dense layer';
  }
}

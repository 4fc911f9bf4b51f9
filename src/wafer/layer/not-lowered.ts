import type { Op } from '../../model/index.ts';

/**
 * What an op would have to be to become a program of PEs; undefined where it is. Ops without one are sized and timed by
 * their kernels' counts alone.
 */
export function notLowered(op: Op): string | undefined {
  switch (op.kind) {
    case 'embedding':
      return op.scale === undefined ? undefined : 'an embedding that is not scaled';
    case 'rmsnorm':
      return op.groups === 1 && op.passed === undefined ? undefined : 'a norm over the whole vector';
    case 'rope':
      return op.part === undefined && op.neighbours !== true ? undefined : 'a rotation of whole heads by halves';
    case 'attention': {
      const { latent, softcap, slidingWindow, sinks } = op;
      const isPlain = [latent, softcap, slidingWindow, sinks].every((feature) => feature === undefined);
      return isPlain ? undefined : 'attention over the whole cache, without a soft cap or sinks';
    }
    case 'glu':
      return op.activation === 'clamped-silu' ? 'SiLU or tanh-GELU' : undefined;
    case 'linear':
    case 'add':
      return undefined;
    case 'head-linear':
    case 'moe':
    case 'softcap':
      return 'an op of a dense layer';
  }
}

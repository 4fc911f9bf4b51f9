// The largest of many values that lie over a row of PEs, and where they stand.

import { lowerTopK } from '../../../wafer/index.ts';
import { groupAlong, reduceOf, tensor, type KernelEntry } from './kernel-case.ts';

export const topK: KernelEntry = {
  id: 'top-k',
  about: 'the k largest of n values and their places, one after another (k = 1: arg-max)',
  sizes: {
    n: { about: 'values, cut along x (default: 8 per PE)', max: 1_048_576, otherwise: ({ width }) => 8 * width },
    k: { about: 'how many (default: 1)', max: 64, otherwise: () => 1 },
    group: groupAlong('row'),
  },
  // Places are exact only in fp32.
  types: ['fp32'],
  // Those without switches: each round runs on the same lines.
  reduces: ['two-level', 'chain', 'pipeline', 'two-phase'],
  elements: ({ width, height, sizes }) => 3 * height * (sizes['n'] + width),
  build(point, wafer) {
    const { width, height, sizes } = point;
    const { n: size, k, group } = sizes;
    const x = tensor(size, point, 'x');
    const spec = { width, height, axis: 'x', size, k, collective: reduceOf(point), group } as const;
    const kernel = lowerTopK(spec, wafer);
    const places = Array.from(x, (_, i) => i)
      .sort((a, b) => x[b] - x[a] || a - b)
      .slice(0, k);
    return {
      kernel,
      tensors: { x },
      outcomes: 2 * k,
      expected: (i) => ({ value: i < k ? x[places[i]] : places[i - k], error: 0 }),
    };
  },
};

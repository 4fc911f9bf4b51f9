// The row of a token, from the PEs that hold it to all.

import { fail } from '../../../core/index.ts';
import { lowerEmbedding } from '../../../wafer/index.ts';
import { tensor, type KernelEntry } from './kernel-case.ts';

export const embedding: KernelEntry = {
  id: 'embedding',
  about: "a token's row of a table that lies over the whole mesh, brought to every column of PEs",
  sizes: {
    n: {
      about: 'length of a row, cut along y (default: 8 per PE)',
      max: 131_072,
      otherwise: ({ height }) => 8 * height,
    },
    vocab: {
      about: 'rows, dealt along x (default: 16 per column of PEs)',
      max: 1_048_576,
      otherwise: ({ width }) => 16 * width,
    },
    token: {
      about: 'row asked for (default: in the last column, the furthest)',
      max: 1_048_575,
      otherwise: ({ width }) => 16 * width - 1,
    },
  },
  elements: ({ width, height, sizes: { n, vocab } }) => (vocab + width) * (n + 8 * height),
  build(point, wafer) {
    const { width, height, type, sizes } = point;
    const { n: size, vocab, token } = sizes;
    if (token >= vocab)
      fail({
        code: 'TOKEN_OUT_OF_RANGE',
        message: 'the token has no row in the table',
        expected: `0 to ${vocab - 1}`,
        found: String(token),
      });
    const table = tensor(vocab * size, point, 'table');
    return {
      kernel: lowerEmbedding({ width, height, axis: 'y', type, vocab, size }, wafer),
      tensors: { table, id: [token] },
      outcomes: size,
      expected: (i) => ({ value: table[token * size + i], error: 0 }),
    };
  },
};

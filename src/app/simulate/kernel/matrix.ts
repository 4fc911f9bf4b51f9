// Products of matrices: GEMV, and GEMM by cyclic shift.

import { fail } from '../../../core/index.ts';
import type { Wafer } from '../../../spec/index.ts';
import { lowerGemmTransposed, lowerLinear, lowerShiftGemm, lowerSumma, lowerTiledGemm } from '../../../wafer/index.ts';
import type { LoweredKernel, ShiftGemmSpec } from '../../../wafer/index.ts';
import type { Point } from '../point.ts';
import type { Size } from '../target.ts';
import {
  groupAlong,
  reduceOf,
  relativeError,
  rowSums,
  sums,
  tensor,
  type KernelCase,
  type KernelEntry,
} from './kernel-case.ts';

const dimension = (about: string): Size => ({
  about: `${about} (default: 8 per PE of the longer side)`,
  max: 131_072,
  otherwise: ({ width, height }) => 8 * Math.max(width, height),
});

export const gemv: KernelEntry = {
  id: 'gemv',
  about: 'y = W x for one token, W cut over the mesh, summed along columns and brought back to every PE',
  sizes: {
    k: dimension('inputs, cut along y'),
    n: dimension('outputs, cut along x'),
    group: groupAlong('column'),
  },
  reduces: sums,
  elements: ({ width, height, sizes: { k, n } }) =>
    width * height * (Math.ceil(k / height) + 1) * (Math.ceil(n / width) + 4),
  build(point, wafer) {
    const { width, height, type, sizes } = point;
    const { k, n, group } = sizes;
    const spec = { width, height, axis: 'y', type, k, n, bias: false, collective: reduceOf(point), group } as const;
    const x = tensor(k, point, 'x');
    const w = tensor(n * k, point, 'w');
    const relative = relativeError(k + height, type);
    return {
      kernel: lowerLinear(spec, wafer),
      tensors: { x, w },
      outcomes: n,
      expected: (j) => dot(k, (i) => w[j * k + i] * x[i], relative),
    };
  },
};

/** @throws IngotError MESH_NOT_SQUARE */
function squareSide(id: string, { width, height }: Point): number {
  if (width !== height)
    fail({
      code: 'MESH_NOT_SQUARE',
      message: `${id} runs on a square mesh`,
      found: `${width} x ${height}`,
      suggestion: `try --mesh ${width}x${width}`,
    });
  return width;
}

type SquareGemm = Omit<ShiftGemmSpec, 'ring'>;

const squareGemm = (
  id: string,
  about: string,
  lower: (spec: SquareGemm, wafer: Wafer) => LoweredKernel,
): KernelEntry => ({
  id,
  about,
  sizes: { m: dimension('rows of A'), k: dimension('columns of A'), n: dimension('columns of B') },
  elements: ({ width, height, sizes: { m, k, n } }) => {
    const [mTile, kTile, nTile] = [m, k, n].map((size) => Math.ceil(size / width) + 8);
    return width * height * (mTile * nTile + 2 * kTile * (mTile + nTile));
  },
  build(point, wafer) {
    const { type, sizes } = point;
    const { m, k, n } = sizes;
    const side = squareSide(id, point);
    return product(point, lower({ side, type, m, k, n }, wafer), [m, n], 0);
  },
});

export const gemm = squareGemm(
  'gemm',
  'C = A B by interleaved cyclic shift on a square mesh (MeshGEMM)',
  (spec, wafer) => lowerShiftGemm({ ...spec, ring: 'interleaved' }, wafer),
);
export const cannon = squareGemm(
  'gemm-cannon',
  'C = A B by Cannon on a square mesh: the last PE of a line passes its tile to the first',
  (spec, wafer) => lowerShiftGemm({ ...spec, ring: 'plain' }, wafer),
);
export const summa = squareGemm(
  'gemm-summa',
  'C = A B by SUMMA on a square mesh: in turn a column broadcasts its tiles of A and a row those of B',
  lowerSumma,
);

export const gemmT: KernelEntry = {
  id: 'gemm-t',
  about: 'C = A Bt by cyclic shift of B along y and sums along x, on a square mesh (GEMM-T, as of queries and keys)',
  sizes: {
    m: dimension('rows of A'),
    k: dimension('columns of A and B'),
    n: dimension('rows of B'),
    group: groupAlong('row'),
  },
  reduces: rowSums,
  elements: ({ width, height, sizes: { m, k, n } }) => {
    const [mTile, kTile, nTile] = [m, k, n].map((size) => Math.ceil(size / width) + 8);
    return width * height * (mTile * nTile * (width + 1) + kTile * (mTile + 2 * nTile));
  },
  build(point, wafer) {
    const { type, sizes } = point;
    const { m, k, n, group } = sizes;
    const side = squareSide('gemm-t', point);
    const kernel = lowerGemmTransposed({ side, type, m, k, n, collective: reduceOf(point), group }, wafer);
    return product(point, kernel, [m, n], side, true);
  },
};

export const tiled: KernelEntry = {
  id: 'gemm-tiled',
  about: 'C = A B by plain loops on each PE, A cut over the mesh, summed along rows; C stays where the sums end',
  sizes: {
    m: {
      ...dimension('columns of B, all on every PE'),
      max: 4096,
      about: 'columns of B, all on every PE (default: 64)',
      otherwise: () => 64,
    },
    k: dimension('columns of A, cut along x'),
    n: dimension('rows of A, cut along y'),
    group: groupAlong('row'),
  },
  reduces: rowSums,
  elements: ({ width, height, sizes: { m, k, n } }) => {
    const [kTile, nTile] = [Math.ceil(k / width), Math.ceil(n / height)];
    return width * height * (nTile * m + kTile * (m + nTile));
  },
  build(point, wafer) {
    const { width, height, type, sizes } = point;
    const { m, k, n, group } = sizes;
    const kernel = lowerTiledGemm({ width, height, type, m, k, n, collective: reduceOf(point), group }, wafer);
    return product(point, kernel, [n, m], width);
  },
};

/**
 * What A B is, or A Bt: each element a sum over `k`, which the point gives.
 * @param added sums of partial sums, each a rounding more
 */
function product(
  point: Point,
  kernel: LoweredKernel,
  [rows, columns]: readonly [rows: number, columns: number],
  added: number,
  isTransposed = false,
): KernelCase {
  const { k } = point.sizes;
  const a = tensor(rows * k, point, 'a');
  const b = tensor(k * columns, point, 'b');
  const relative = relativeError(k + added, point.type);
  const [alongK, across] = isTransposed ? [1, k] : [columns, 1];
  return {
    kernel,
    tensors: { a, b },
    outcomes: rows * columns,
    expected(at) {
      const [row, column] = [Math.floor(at / columns), at % columns];
      return dot(k, (i) => a[row * k + i] * b[i * alongK + column * across], relative);
    },
  };
}

/** A sum of products, and by how much it may be off. */
function dot(length: number, term: (i: number) => number, relative: number): { value: number; error: number } {
  let value = 0;
  let magnitude = 0;
  for (let i = 0; i < length; i++) {
    value += term(i);
    magnitude += Math.abs(term(i));
  }
  return { value, error: relative * magnitude };
}

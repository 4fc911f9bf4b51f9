import { priceSequence } from '../../sim/index.ts';
import type { PublishedRow, Wafer } from '../../spec/index.ts';
import { cannonGemm, collectives, groupSize, shiftGemm, summa, tiledGemm, type Phase } from '../../wafer/index.ts';
import { benchmarkContext, clockOf, count, elementType, pair, side, wafer } from './conditions.ts';
import type { Predictor } from './predictor.ts';

interface Product {
  readonly presumes: string;
  readonly phases: (row: PublishedRow, n: number, k: number, m: number, target: Wafer) => readonly Phase[];
}

const square = (row: PublishedRow) => benchmarkContext(row, { width: side(row, 'mesh'), height: side(row, 'mesh') });

/** C [N, M] = A [N, K] B [K, M] as a plain program does it: loops around vector instructions over M, and a sum along the rows of PEs. */
const tiled: Product = {
  presumes: 'nested loops around a vector instruction over M, arrays side by side in the banks, a chain along rows',
  phases: (row, n, k, m, target) => {
    const { width, height } = pair(row, 'mesh');
    const type = elementType(row);
    const chain = { collective: collectives['chain'], group: groupSize(width) };
    return tiledGemm({ width, height, type, m, k, n, ...chain }, target);
  },
};

/** By what a row calls its algorithm, or else its quantity. */
const products: readonly (readonly [RegExp, Product])[] = [
  [/tiled/i, tiled],
  [
    /mesh-?gemm|shift|interleave/i,
    {
      presumes: 'MeshGEMM: tiles pass between ring neighbours two hops apart, beside the work',
      phases: (row, n, k, m) => shiftGemm(n, k, m, square(row)),
    },
  ],
  [
    /cannon/i,
    {
      presumes: 'Cannon: the last PE of a line passes its tile to the first',
      phases: (row, n, k, m) => cannonGemm(n, k, m, square(row)),
    },
  ],
  [
    /summa/i,
    {
      presumes: 'SUMMA: tiles are broadcast, then multiplied',
      phases: (row, n, k, m) => summa({ side: side(row, 'mesh'), type: elementType(row), m: n, k, n: m }),
    },
  ],
];

/** Cycles or time of a product of matrices over a mesh. */
export const gemm: Predictor = {
  group: 'gemm',
  reads: ['machine', 'mesh', 'N', 'K', 'M', 'dtype', 'clockGHz', 'algorithm'],
  answers: 'cycles or us of C [N, M] = A [N, K] B [K, M] by tiled loops, MeshGEMM, Cannon or SUMMA',
  predict(row) {
    const { algorithm = row.quantity } = row.conditions;
    const product = products.find(([name]) => name.test(String(algorithm)))?.[1];
    if (product === undefined || !['cycles', 'us'].includes(row.unit)) return undefined;
    const target = wafer(row);
    const { presumes } = product;
    const phases = product.phases(row, count(row, 'N'), count(row, 'K'), count(row, 'M'), target);
    const cycles = priceSequence(phases, target);
    return { value: row.unit === 'us' ? (cycles / clockOf(row, target)) * 1e6 : cycles, presumes };
  },
};

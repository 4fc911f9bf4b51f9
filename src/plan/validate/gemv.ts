import { priceSequence } from '../../sim/index.ts';
import type { PublishedRow, Wafer } from '../../spec/index.ts';
import { collectives, matrix, type LineShape } from '../../wafer/index.ts';
import { benchmarkContext, clockOf, count, side as sideOf, wafer } from './conditions.ts';
import type { Predictor } from './predictor.ts';

/** Meshes and sizes of the published figures (WaferLLM, section 7). */
const sides = [360, 480, 600, 720];
const sizes = [2048, 8192, 16_384];

/**
 * Cycles of y = W x whose sums stay at the PEs at which the reduce ends: a product on its own needs no broadcast, which
 * within a layer brings them to where the next matrix wants them.
 */
function gemvCycles(row: PublishedRow, k: number, n: number, side: number, reduce: string, target: Wafer): number {
  const allReduce = (line: LineShape) => collectives[reduce].phases(line);
  const context = { ...benchmarkContext(row, { width: side, height: side }), allReduce };
  return priceSequence(matrix(k, [n], false, 'y', context), target);
}

/** MeshGEMV's reduce (WaferLLM, section 5). */
const meshReduce = 'two-level';

/**
 * The vendor's: along the whole line, each PE's addition issued when its own product is done. All products are done at
 * the same time, so the additions are posted before data arrives, as in the vendor's published GEMV programs
 * (csl-examples, tutorials/gemv-*).
 */
const vendorReduce = 'chain';

/** Time of a matrix-vector product, or its speed-up over the vendor's pipeline. */
export const gemv: Predictor = {
  group: 'gemv',
  reads: ['machine', 'N', 'K', 'mesh', 'dtype', 'clockGHz'],
  answers: "us or cycles of y = W x, or x times the speed of the vendor's pipeline",
  predict(row) {
    const target = wafer(row);
    // A mesh that the row states; a range of them, or none, means those of the figures.
    const stated = Array.isArray(row.conditions['mesh']) ? [sideOf(row, 'mesh')] : undefined;
    const among = stated ?? sides;
    const meshes = stated === undefined ? `${sides.join(', ')} squared` : `${stated[0]} squared`;
    const result = 'the result stays where the reduce ends';
    if (row.unit === 'us' || row.unit === 'cycles') {
      const [k, n] = [count(row, 'K'), count(row, 'N')];
      const cycles = Math.min(...among.map((side) => gemvCycles(row, k, n, side, meshReduce, target)));
      const value = row.unit === 'us' ? (cycles / clockOf(row, target)) * 1e6 : cycles;
      return { value, presumes: stated === undefined ? `the fastest of ${meshes}; ${result}` : result };
    }
    if (!row.unit.startsWith('x')) return undefined;
    const widths = row.conditions['N'] === undefined ? sizes : [count(row, 'N')];
    const ratios = among.flatMap((side) =>
      widths.map((n) => {
        const [vendor, mesh] = [vendorReduce, meshReduce].map((reduce) => gemvCycles(row, n, n, side, reduce, target));
        return vendor / mesh;
      }),
    );
    const value = ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length;
    return {
      value,
      presumes: `mean over ${meshes} and N = ${widths.join(', ')}; the vendor's additions posted; ${result} in both`,
    };
  },
};

import { priceSequence } from '../../sim/index.ts';
import type { PublishedRow, Wafer } from '../../spec/index.ts';
import { collectives, groupSize, matrix, phase } from '../../wafer/index.ts';
import { clockOf, count, elementType, side as sideOf, wafer, standInExponential } from './conditions.ts';
import type { Predictor } from './predictor.ts';

/** Meshes and sizes of the published figures (WaferLLM, section 7). */
const sides = [360, 480, 600, 720];
const sizes = [2048, 8192, 16_384];

function meshGemv(row: PublishedRow, k: number, n: number, side: number, target: Wafer): number {
  const context = {
    width: side,
    height: side,
    tokens: 1,
    cached: 0,
    type: elementType(row),
    group: groupSize,
    expVectors: standInExponential,
  };
  return priceSequence(matrix(k, [n], false, 'y', context), target);
}

function pipelineGemv(row: PublishedRow, k: number, n: number, side: number, target: Wafer): number {
  const [kTile, nTile] = [Math.ceil(k / side), Math.ceil(n / side)];
  const type = elementType(row);
  const multiply = phase('multiply', { vectors: [{ count: kTile, length: nTile, type, looped: true }] });
  const line = { parts: side, values: nTile, type, group: side };
  return priceSequence([multiply, ...collectives['pipeline'].phases(line)], target);
}

/** Time of a matrix-vector product, or its speed-up over the pipeline all-reduce. */
export const gemv: Predictor = {
  group: 'gemv',
  reads: ['machine', 'N', 'K', 'mesh', 'dtype', 'clockGHz'],
  predict(row) {
    const target = wafer(row);
    // A mesh that the row states; a range of them, or none, means those of the figures.
    const stated = Array.isArray(row.conditions['mesh']) ? [sideOf(row, 'mesh')] : undefined;
    const among = stated ?? sides;
    const meshes = stated === undefined ? `${sides.join(', ')} squared` : `${stated[0]} squared`;
    if (row.unit === 'us' || row.unit === 'cycles') {
      const cycles = Math.min(...among.map((side) => meshGemv(row, count(row, 'K'), count(row, 'N'), side, target)));
      const value = row.unit === 'us' ? (cycles / clockOf(row, target)) * 1e6 : cycles;
      return { value, presumes: stated === undefined ? `the fastest of ${meshes}` : 'an all-reduce' };
    }
    if (!row.unit.startsWith('x')) return undefined;
    const widths = row.conditions['N'] === undefined ? sizes : [count(row, 'N')];
    const ratios = among.flatMap((side) =>
      widths.map((n) => pipelineGemv(row, n, n, side, target) / meshGemv(row, n, n, side, target)),
    );
    const value = ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length;
    return { value, presumes: `mean over ${meshes} and N = ${widths.join(', ')}` };
  },
};

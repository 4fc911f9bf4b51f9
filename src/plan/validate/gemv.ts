import { priceSequence } from '../../sim/index.ts';
import type { PublishedRow, Wafer } from '../../spec/index.ts';
import { collectives, groupSize, matrix, phase } from '../../wafer/index.ts';
import { clockOf, elementType, number, wafer } from './conditions.ts';
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
    expVectors: 4,
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
  predict(row) {
    const target = wafer(row);
    if (row.unit === 'us') {
      const cycles = Math.min(...sides.map((side) => meshGemv(row, number(row, 'K'), number(row, 'N'), side, target)));
      return { value: (cycles / clockOf(row, target)) * 1e6, presumes: `the fastest of ${sides.join(', ')} squared` };
    }
    const ratios = sides.flatMap((side) =>
      sizes.map((n) => pipelineGemv(row, n, n, side, target) / meshGemv(row, n, n, side, target)),
    );
    const value = ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length;
    return { value, presumes: `mean over ${sides.join(', ')} squared and N = ${sizes.join(', ')}` };
  },
};

// Kernels: lowered ops, with tensors drawn from the seed and checked against plain arithmetic.

import { createRng } from '../../core/index.ts';
import type { Wafer } from '../../spec/index.ts';
import { collectives, groupSize, lowerLinear, type VectorType } from '../../wafer/index.ts';
import type { Point } from './point.ts';
import type { Prepared, Size, Target } from './target.ts';

const dimension = (about: string): Size => ({
  about,
  max: 131_072,
  otherwise: ({ width, height }) => 8 * Math.max(width, height),
});

/** Relative rounding error of one operation: half a unit in the last place. */
const unitRoundoff = { fp16: 2 ** -11, fp32: 2 ** -24 } as const;
const typeBytes = { fp16: 2, fp32: 4 } as const;

/** Values in [-1, 1) that the type holds: multiples of 1/64. */
function tensor(length: number, seed: number, label: string): Float32Array {
  const rng = createRng(seed).fork(label);
  const values = new Float32Array(length);
  for (let i = 0; i < length; i++) values[i] = (rng.u32() >>> 25) / 64 - 1;
  return values;
}

/**
 * y = W x, summed along columns by the two-level reduce and brought back to all. Compared within the error that
 * rounding once per addition allows (Higham 2002, section 3.1).
 */
function prepareGemv({ width, height, type, sizes, seed }: Point, wafer: Wafer): Prepared {
  const { k, n, group } = sizes;
  const collective = collectives['two-level'];
  const spec = { width, height, axis: 'y', type, k, n, bias: false, collective, group } as const;
  const { program, phases, inputs, readback } = lowerLinear(spec, wafer);
  const x = tensor(k, seed, 'x');
  const w = tensor(n * k, seed, 'w');
  return {
    program,
    phases,
    inputs: () => inputs({ x, w }),
    check: (memory) => {
      const found = readback(memory);
      const bound = roundingBound(k + height, type);
      let correct = 0;
      for (let j = 0; j < n; j++) {
        let sum = 0;
        let magnitude = 0;
        for (let i = 0; i < k; i++) {
          const term = w[j * k + i] * x[i];
          sum += term;
          magnitude += Math.abs(term);
        }
        if (Math.abs(found[j] - sum) <= bound * magnitude) correct++;
      }
      return { checked: n, correct, exact: false };
    },
  };
}

function roundingBound(additions: number, type: VectorType): number {
  const error = additions * unitRoundoff[type];
  // Beyond that the bound says nothing, and the sum of magnitudes itself bounds the result.
  return error < 0.5 ? error / (1 - error) : 1;
}

const gemv: Target = {
  id: 'gemv',
  kind: 'kernel',
  about: 'y = W x for one token, W cut over the mesh, sums by two-level along columns',
  sizes: {
    k: dimension('inputs, cut along columns (default: 8 per PE of the longer side)'),
    n: dimension('outputs, cut along rows (default: as k)'),
    group: {
      about: "PEs per group of the reduce (default: the square root of a column's)",
      max: 10_000,
      otherwise: ({ height }) => groupSize(height),
    },
  },
  // Its tile, and the whole matrix in 32 bits once.
  bytes: ({ width, height, type, sizes: { k, n } }) =>
    width * height * (Math.ceil(k / height) + 1) * (Math.ceil(n / width) + 1) * typeBytes[type] + 4 * k * n,
  prepare: prepareGemv,
};

export const kernelTargets: Readonly<Record<string, Target>> = { [gemv.id]: gemv };

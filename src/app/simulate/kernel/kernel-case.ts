// A lowered kernel with tensors to run on and what its outcome should be.

import { createRng } from '../../../core/index.ts';
import type { Wafer } from '../../../spec/index.ts';
import {
  collectives,
  groupSize,
  type Collective,
  type LoweredKernel,
  type Tensors,
  type VectorType,
} from '../../../wafer/index.ts';
import type { Point } from '../point.ts';
import type { Prepared, Size, Target } from '../target.ts';

export interface KernelCase {
  readonly kernel: LoweredKernel;
  readonly tensors: Tensors;
  readonly outcomes: number;
  /** Element i of the outcome by plain arithmetic in 64 bits, and by how much roundings may move it. */
  expected(i: number): { readonly value: number; readonly error: number };
}

export interface KernelEntry {
  readonly id: string;
  readonly about: string;
  readonly sizes: Readonly<Record<string, Size>>;
  /** See `Target`. */
  readonly switches?: Readonly<Record<string, string>>;
  readonly types?: readonly VectorType[];
  /** Collectives that it may sum by, the default first; absent when it sums nothing over PEs. */
  readonly reduces?: readonly string[];
  /** Elements of all tensors together, copies on PEs included, roughly. */
  elements(point: Point): number;
  build(point: Point, wafer: Wafer): KernelCase;
}

const typeBytes = { fp16: 2, fp32: 4 } as const;
/** Of the tensors that are drawn and kept beside the PEs' copies. */
const DRAWN_BYTES = 4;

export function kernelTarget(entry: KernelEntry): Target {
  const { id, about, sizes, reduces, switches, types } = entry;
  return {
    id,
    kind: 'kernel',
    about,
    sizes,
    switches,
    types,
    reduces,
    bytes: (point) => entry.elements(point) * (typeBytes[point.type] + DRAWN_BYTES),
    prepare(point, wafer): Prepared {
      const { kernel, tensors, outcomes, expected } = entry.build(point, wafer);
      return {
        program: kernel.program,
        phases: kernel.phases,
        inputs: () => kernel.inputs(tensors),
        check: (memory) => {
          const found = kernel.readback(memory);
          let correct = 0;
          for (let i = 0; i < outcomes; i++) {
            const { value, error } = expected(i);
            if (Math.abs(found[i] - value) <= error) correct++;
          }
          return { checked: outcomes, correct, exact: false };
        },
      };
    },
  };
}

/** Relative rounding error of one operation: half a unit in the last place. */
export const unitRoundoff: Readonly<Record<VectorType, number>> = { fp16: 2 ** -11, fp32: 2 ** -24 };

/** What `roundings` one after another may add up to, relative to the magnitudes (Higham 2002, section 3.1). */
export function relativeError(roundings: number, type: VectorType): number {
  const error = roundings * unitRoundoff[type];
  // Beyond that the bound says nothing more than that the result is no larger than its magnitudes.
  return error < 0.5 ? error / (1 - error) : 1;
}

/** Values in [-scale, scale) that every type holds where `scale` is a power of two: multiples of scale / 64. */
export function tensor(length: number, { seed }: Point, label: string, scale = 1): Float32Array {
  const { u32 } = createRng(seed).fork(label);
  const values = new Float32Array(length);
  const unit = scale / 64;
  // Seven bits from each byte that the generator gives.
  for (let i = 0; i < length; ) {
    const bits = u32();
    for (let byte = 0; byte < 32 && i < length; byte += 8) values[i++] = (((bits >>> byte) & 127) - 64) * unit;
  }
  return values;
}

/** The size of a reduce's groups along one axis of the mesh. */
export const groupAlong = (axis: 'row' | 'column'): Size => ({
  about: `PEs per group of the reduce (default: the square root of a ${axis}'s)`,
  max: 10_000,
  otherwise: ({ width, height }) => groupSize(axis === 'row' ? width : height),
});

/** All that leave the sum at one PE or at all. */
export const sums = ['two-level', 'chain', 'pipeline', 'star', 'tree', 'two-phase'].filter((id) =>
  Object.hasOwn(collectives, id),
);

/** Those that sum along a row that other rows wait for, the chain first. */
export const rowSums = ['chain', ...sums.filter((id) => id !== 'chain' && id !== 'pipeline')];

export const reduceOf = ({ reduce }: Point): Collective => collectives[reduce ?? sums[0]];

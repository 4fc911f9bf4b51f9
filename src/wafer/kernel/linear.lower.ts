import type { Wafer } from '../../spec/index.ts';
import { addStage } from './add.ts';
import type { Collective, LineShape } from '../collective/index.ts';
import { load, vectorsOf, type Dsd, type Instruction, type MemoryImage } from '../machine/index.ts';
import type { Axis } from '../reduction.ts';
import { across, along } from './kernel.ts';
import { lowerAllReduce } from './lower/all-reduce.ts';
import { matrix } from './linear.ts';
import { columnPitch, weightBank } from './lower/columns.ts';
import { cutAlong, gatherAlong, loweredContext, pesOfMesh, positionAlong, sliceOf } from './lower/lowering.ts';
import type { LoweredKernel, Placement } from './lower/lowering.ts';
import { everywhere, sequence, type Mesh, type Stage } from './lower/sequence.ts';

export interface LinearSpec extends Placement {
  readonly k: number;
  readonly n: number;
  readonly bias: boolean;
  /** Sums along the input axis. */
  readonly collective: Collective;
  /** PEs per group of the collective. */
  readonly group: number;
}

/**
 * y = the PE's tile of W times its piece of x: a list of instructions, one scalar load and one vector instruction for
 * each input element. Columns of the tile lie `columnPitch` apart.
 */
export function multiplyStage(
  tile: Mesh & Pick<LinearSpec, 'type'> & { readonly kTile: number; readonly nTile: number },
  { x, w, y }: Readonly<Record<'x' | 'w' | 'y', string>>,
): Stage {
  const { type, kTile, nTile } = tile;
  const pitch = columnPitch(nTile, type);
  const columns = Array.from({ length: kTile }, (_, i): [string, Dsd] => [
    `${w} ${i}`,
    sliceOf({ object: w, offset: i * pitch }, nTile),
  ]);
  const input = { register: 2 };
  const vector = vectorsOf(type);
  return everywhere(
    tile,
    { [y]: sliceOf({ object: y, offset: 0 }, nTile), ...Object.fromEntries(columns) },
    columns.flatMap(([column], i): Instruction[] => [
      load(x, i, input),
      // The first product starts the sum.
      i === 0 ? vector('mul', y, column, input) : vector('mac', y, y, column, input),
    ]),
  );
}

/**
 * y = W x (+ bias) for one token: x [k] cut along the axis, y [n] along the other, W [n, k] along both.
 *
 * The multiplication is a list of instructions, not a loop: one scalar load and one vector instruction for each
 * input element, as the closed form's loop turn of one cycle says. A loop of the CE's scalar instructions takes
 * four cycles a turn (load, DSD step, count, branch).
 */
export function lowerLinear(spec: LinearSpec, wafer: Wafer): LoweredKernel {
  const { k, n, axis, type, bias } = spec;
  const other: Axis = axis === 'x' ? 'y' : 'x';
  const parts = along(axis, spec);
  const kTile = Math.ceil(k / parts);
  const nTile = Math.ceil(n / across(axis, spec));
  const pitch = columnPitch(nTile, type);
  const line: LineShape = { parts, values: nTile, type, group: spec.group };
  const summed = lowerAllReduce(spec.collective, line, axis, spec, 'y', wafer);

  const program = sequence(
    spec,
    [
      { name: 'y', dtype: type, length: nTile, bank: 0 },
      { name: 'w', dtype: type, length: kTile * pitch, bank: weightBank[type] },
      { name: 'x', dtype: type, length: kTile },
      ...(bias ? [{ name: 'bias', dtype: type, length: nTile, bank: 4 }] : []),
    ],
    [
      multiplyStage({ ...spec, kTile, nTile }, { x: 'x', w: 'w', y: 'y' }),
      ...summed.stages,
      ...(bias ? [addStage(spec, nTile, { a: 'y', b: 'bias', y: 'y' })] : []),
    ],
    wafer,
  );
  return {
    program,
    phases: matrix(k, [n], bias, axis, loweredContext(spec, summed.phases)),
    *inputs(tensors) {
      yield* cutAlong(tensors['x'], 'x', axis, spec);
      if (bias) yield* cutAlong(tensors['bias'], 'bias', other, spec);
      const tile = new Float64Array(kTile * pitch);
      for (const [px, py] of pesOfMesh(spec, axis)) {
        const firstK = positionAlong(axis, px, py) * kTile;
        const firstN = positionAlong(other, px, py) * nTile;
        yield weightTile(tile, tensors['w'], px, py, firstK, firstN);
      }
    },
    readback: (memory) => gatherAlong(memory, 'y', other, spec, n),
  };

  function weightTile(
    values: Float64Array,
    w: ArrayLike<number>,
    x: number,
    y: number,
    firstK: number,
    firstN: number,
  ): MemoryImage {
    values.fill(0);
    for (let j = 0; j < Math.min(nTile, n - firstN); j++)
      for (let i = 0; i < Math.min(kTile, k - firstK); i++) values[i * pitch + j] = w[(firstN + j) * k + firstK + i];
    return { x, y, object: 'w', values };
  }
}

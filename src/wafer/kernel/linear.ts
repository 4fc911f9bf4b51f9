import type { LinearOp } from '../../model/index.ts';
import { heldMatrix } from '../held-weights.ts';
import { phase, type Phase, type VectorWork } from '../phase.ts';
import { across, allReduceOf, along, tileAlong, type Kernel, type KernelContext } from './kernel.ts';
import type { Axis } from '../reduction.ts';
import { unpackWork } from '../unpack.ts';

/**
 * MeshGEMV (WaferLLM, section 5): each PE multiplies its tile of the matrix with its piece of the vector,
 * one vector instruction over the outputs for each input element; the partial results are all-reduced along
 * the input axis. Several tokens stream through the same placement: then the instruction runs over outputs
 * or over tokens, whichever starts fewer of them.
 */
export const linear: Kernel<LinearOp> = {
  phases: (op, axis, context) => linears([op], axis, context),
};

/** Matrices with one input, as one. */
export function linears(ops: readonly LinearOp[], axis: Axis, context: KernelContext): Phase[] {
  const [{ input, k, role }] = ops;
  const other = axis === 'x' ? 'y' : 'x';
  return product(
    {
      kTile: tileAlong(input, k, axis, context),
      nTile: ops.reduce((sum, { out, n }) => sum + tileAlong(out, n, other, context), 0),
      bias: ops.some(({ bias }) => bias !== undefined),
      role,
    },
    axis,
    context,
  );
}

/** Instructions that widen the columns of a PE's tile of a matrix of a class, where its format needs it. */
export const widened = (
  role: LinearOp['role'],
  columns: number,
  length: number,
  { numerics, type }: KernelContext,
): VectorWork[] =>
  numerics === undefined || role === 'router' ? [] : unpackWork(heldMatrix(numerics, role), type, columns, length);

/** Matrices that share their input run as one, [k, sum of n]; every matrix is tiled by itself and kept in 16 bits. */
export function matrix(
  k: number,
  outputs: readonly number[],
  bias: boolean,
  axis: Axis,
  context: KernelContext,
): Phase[] {
  const kTile = Math.ceil(k / along(axis, context));
  const nTile = outputs.reduce((sum, n) => sum + Math.ceil(n / across(axis, context)), 0);
  return product({ kTile, nTile, bias, role: 'router' }, axis, context);
}

/** By the tile of the fullest PE. */
function product(
  { kTile, nTile, bias, role }: Readonly<{ kTile: number; nTile: number; bias: boolean; role: LinearOp['role'] }>,
  axis: Axis,
  context: KernelContext,
): Phase[] {
  const { tokens, type } = context;
  const overOutputs = { count: tokens * kTile, length: nTile, type, looped: true };
  const overTokens = { count: kTile * nTile, length: tokens, type, looped: true };
  const values = tokens * nTile;
  return [
    phase('multiply', {
      vectors: [
        ...widened(role, kTile, nTile, context),
        overTokens.count < overOutputs.count ? overTokens : overOutputs,
      ],
    }),
    ...allReduceOf(along(axis, context), values, axis, context),
    ...(bias ? [phase('bias', { vectors: [{ count: 1, length: values, type }] })] : []),
  ];
}

import { twoLevel } from '../collective/two-level.ts';
import { phase, waveletsOf, type Phase } from '../phase.ts';
import type { KernelContext } from './kernel.ts';

/**
 * MeshGEMM (WaferLLM, OSDI'25, section 5): C = A · B with A [m, k] and B [k, n] cut in square tiles over a
 * square mesh. In each of P steps every PE multiplies the tiles it holds while it passes A to its ring
 * neighbour on x and B on y; INTERLEAVE places ring neighbours at most two hops apart. The multiplication
 * runs one vector instruction over the m rows of the tile for each (k, n) of it.
 */
export const shiftGemm = (m: number, k: number, n: number, context: KernelContext): Phase[] =>
  ringGemm(m, k, n, 2, context);

/** Cannon's algorithm: the same on rings in which the last PE of a line passes its tile to the first. */
export const cannonGemm = (m: number, k: number, n: number, context: KernelContext): Phase[] =>
  ringGemm(m, k, n, Math.max(context.width, context.height) - 1, context);

/** @param hops between ring neighbours that are furthest apart */
function ringGemm(m: number, k: number, n: number, hops: number, context: KernelContext): Phase[] {
  const { type } = context;
  const steps = Math.max(context.width, context.height);
  const [mTile, kTile, nTile] = [m, k, n].map((size) => Math.ceil(size / steps));
  return [
    phase('shift and multiply', {
      repeat: steps,
      // Each step waits for the arrival of both tiles. A send and a receive of each start beside the main thread, one
      // cycle apiece; block and activate in one task, block, count, branch and activate in the other.
      tasks: 2,
      steps: 4 + 6,
      // The CE sends and takes every word in a cycle of its own. Few of them are free: those in which the main thread
      // waits for a start-up while words are on their way.
      wavelets: 2 * (waveletsOf(mTile * kTile, type) + waveletsOf(kTile * nTile, type)),
      vectors: [{ count: kTile * nTile, length: mTile, type, looped: true }],
      beside: { hops, ramps: 2, wavelets: waveletsOf(Math.max(mTile * kTile, kTile * nTile), type) },
    }),
  ];
}

/**
 * GEMM-T (WaferLLM, section 4): C = A · Bᵀ with A [m, k], B [n, k] and no transposition over the mesh. B
 * moves along y as in `shiftGemm`; the partial products of each step are reduced along x.
 */
export function shiftGemmTransposed(m: number, k: number, n: number, context: KernelContext): Phase[] {
  const { type } = context;
  const steps = Math.max(context.width, context.height);
  const [mTile, kTile, nTile] = [m, k, n].map((size) => Math.ceil(size / steps));
  const line = { parts: steps, values: mTile * nTile, type, group: context.group(steps, 'x') };
  return [
    phase('shift and multiply', {
      repeat: steps,
      tasks: 1,
      steps: 2 + 4,
      wavelets: 2 * waveletsOf(kTile * nTile, type),
      vectors: [{ count: kTile * nTile, length: mTile, type, looped: true }],
      beside: { hops: 2, ramps: 2, wavelets: waveletsOf(kTile * nTile, type) },
    }),
    ...twoLevel.phases(line).map((p) => ({ ...p, repeat: p.repeat * steps })),
  ];
}

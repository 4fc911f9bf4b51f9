// Whether a simulation fits the wafer and this machine, before anything is allocated.

import { fail, formatCount, formatSi } from '../../core/index.ts';
import { findWafer, resolveWafer } from '../../spec/index.ts';
import type { Point } from './point.ts';
import { findTarget } from './target.ts';

/**
 * What the simulator keeps of a PE besides its tensors: routes, buffers, CE, totals. Measured on 256 x 256 PEs:
 * 0.5 kB with 1 color, 1.1 kB with 8, the critical path included; kernels have up to 20 colors.
 */
const BYTES_PER_PE = 2_500;

/** No single simulation may take more, whatever the machine has. */
export const MAX_SIMULATION_BYTES = 16 * 2 ** 30;

export const memoryOf = (point: Point): number =>
  point.width * point.height * BYTES_PER_PE + findTarget(point.kernel).bytes(point);

/** @throws IngotError WAFER_UNKNOWN, MESH_INVALID */
export function checkMesh({ width, height, wafer: id }: Point): void {
  const wafer = resolveWafer(findWafer(id));
  if (width >= 1 && height >= 1 && width <= wafer.programWidth && height <= wafer.programHeight) return;
  fail({
    code: 'MESH_INVALID',
    message: `${wafer.name} has no mesh of ${width} x ${height} PEs`,
    expected: `1 x 1 to ${wafer.programWidth} x ${wafer.programHeight}`,
    found: `${width} x ${height}`,
  });
}

/**
 * How many of the points may run side by side, at most `threads`.
 * @throws IngotError SIMULATION_TOO_LARGE when one of them alone does not fit
 */
export function threadsFor(points: readonly Point[], threads: number): number {
  const available = Math.min(MAX_SIMULATION_BYTES, process.availableMemory());
  const largest = points.reduce((most, point) => (memoryOf(point) > memoryOf(most) ? point : most));
  const needed = memoryOf(largest);
  if (needed > available) {
    fail({
      code: 'SIMULATION_TOO_LARGE',
      message: 'the simulation needs more memory than there is',
      where: `${largest.kernel} on ${formatCount(largest.width * largest.height)} PEs`,
      expected: `at most ${formatSi(available, 'B')}`,
      found: `about ${formatSi(needed, 'B')}`,
      suggestion: 'choose fewer PEs or smaller tensors',
    });
  }
  return Math.max(1, Math.min(threads, points.length, Math.floor(available / needed)));
}

// Points side by side on threads, each simulation whole on one thread, so that the terminal stays answerable.

import { Worker } from 'node:worker_threads';

import { IngotError } from '../../core/index.ts';
import type { Answer } from './messages.ts';
import { checkMesh, threadsFor } from './fits.ts';
import type { Point, PointOutcome, Wanted } from './point.ts';

/** How far all points are. */
export interface Standing {
  readonly points: number;
  readonly done: number;
  /** Simulated cycles, of points that are done and of those that run. */
  readonly cycles: number;
  /** Of the closed form's cycles, over all points; not more than 1. */
  readonly share: number;
}

export interface SimulatePointsOptions {
  readonly threads: number;
  readonly signal: AbortSignal;
  readonly onProgress?: (standing: Standing) => void;
}

/**
 * Outcomes in the order of the points, however many threads there are.
 * @returns undefined when the signal was aborted
 * @throws IngotError WAFER_UNKNOWN, MESH_INVALID, SIMULATION_TOO_LARGE, and what a point is refused for: the first refused in order of the points
 */
export async function simulatePoints(
  points: readonly Point[],
  wanted: Wanted,
  { threads, signal, onProgress }: SimulatePointsOptions,
): Promise<PointOutcome[] | undefined> {
  for (const point of points) checkMesh(point);
  const outcomes: (PointOutcome | Error | undefined)[] = points.map(() => undefined);
  const cycles = points.map(() => 0);
  const shares = points.map(() => 0);
  const workers: Worker[] = [];
  let next = 0;
  let done = 0;

  const tell = (): void =>
    onProgress?.({
      points: points.length,
      done,
      cycles: cycles.reduce((sum, n) => sum + n, 0),
      share: shares.reduce((sum, n) => sum + n, 0) / points.length,
    });

  async function work(): Promise<void> {
    const worker = new Worker(new URL('./thread.ts', import.meta.url));
    workers.push(worker);
    // After a refusal no new point is begun: earlier ones may still come to their own.
    while (next < points.length && !signal.aborted && !outcomes.some((outcome) => outcome instanceof Error)) {
      const index = next++;
      outcomes[index] = await runOn(worker, index);
      done++;
      shares[index] = 1;
      tell();
    }
  }

  /** A point's outcome, or why it has none; rejects when the thread cannot go on. */
  const runOn = (worker: Worker, index: number): Promise<PointOutcome | Error> =>
    new Promise((resolve, reject) => {
      let expected = Infinity;
      const onAnswer = (answer: Answer): void => {
        switch (answer.kind) {
          case 'begun':
            expected = answer.expected;
            return;
          case 'at':
            cycles[index] = answer.cycle;
            shares[index] = Math.min(1, answer.cycle / expected);
            tell();
            return;
          case 'done':
            cycles[index] = answer.outcome.report.cycles;
            finish(answer.outcome);
            return;
          case 'refused':
            finish(new IngotError(answer.diagnostics));
            return;
          case 'broken':
            finish(answer.error instanceof Error ? answer.error : new Error(String(answer.error)));
        }
      };
      const onExit = (): void => reject(new Error('a simulation thread ended'));
      const finish = (outcome: PointOutcome | Error): void => {
        worker.off('message', onAnswer).off('error', reject).off('exit', onExit);
        resolve(outcome);
      };
      worker.on('message', onAnswer).once('error', reject).once('exit', onExit);
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
      worker.postMessage({ point: points[index], wanted });
    });

  const stop = (): void => void Promise.all(workers.map((worker) => worker.terminate()));
  signal.addEventListener('abort', stop);
  try {
    await Promise.all(Array.from({ length: threadsFor(points, threads) }, work));
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    signal.removeEventListener('abort', stop);
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
  if (signal.aborted) return undefined;
  const refused = outcomes.find((outcome) => outcome instanceof Error);
  if (refused !== undefined) throw refused;
  return outcomes as PointOutcome[];
}

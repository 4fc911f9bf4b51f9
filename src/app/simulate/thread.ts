// A thread that simulates one point after another.

import { enableCompileCache } from 'node:module';
import { parentPort } from 'node:worker_threads';

import type { Answer, Order } from './messages.ts';

// As in the command line: types are stripped and code is compiled once, not at every start of a thread.
enableCompileCache();
const { IngotError } = await import('../../core/index.ts');
const { runPoint } = await import('./run-point.ts');

/** Between two messages about how far a run is. */
const PROGRESS_MS = 80;

// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
const say = (answer: Answer): void => parentPort?.postMessage(answer);

parentPort?.on('message', ({ point, wanted }: Order) => {
  let told = performance.now();
  try {
    const outcome = runPoint(point, wanted, {
      begun: (expected) => say({ kind: 'begun', expected }),
      at: (cycle) => {
        const now = performance.now();
        if (now - told < PROGRESS_MS) return;
        told = now;
        say({ kind: 'at', cycle });
      },
    });
    say({ kind: 'done', outcome });
  } catch (error) {
    if (error instanceof IngotError) say({ kind: 'refused', diagnostics: error.diagnostics });
    else say({ kind: 'broken', error });
  }
});

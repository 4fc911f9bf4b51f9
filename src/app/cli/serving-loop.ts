// What `serve` and `up` share: load, listen, work until interrupted, and leave nothing behind.

import { createServer } from 'node:net';

import { listenError } from '../http/listen-error.ts';
import { startServer } from '../http/server.ts';
import type { OpenModel, PlacedModel } from '../place.ts';
import { openServing, type Serving } from '../serving.ts';
import type { Io } from './io.ts';
import { createProgress } from './progress.ts';
import { causes } from './report/layout.ts';

export interface ServeOptions {
  readonly model?: string;
  readonly host: string;
  readonly port: number;
  readonly wafer: string;
  readonly context: number;
  readonly threads: 1 | 2;
  readonly json?: boolean;
}

export interface Listening {
  /** Without a path, e.g. `http://127.0.0.1:8000`. */
  readonly url: string;
  readonly serving: Serving;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
}

/**
 * Load a model, listen, and call `work` with the URL; when it ends or is interrupted, close everything.
 * @returns 0: being interrupted is how a server ends
 * @throws IngotError of openServing and startServer; what `work` throws where it was not interrupted
 */
export async function serveUntilInterrupted(
  io: Io,
  options: ServeOptions,
  work: (listening: Listening) => Promise<void>,
  onPlaced?: (model: OpenModel, placed: PlacedModel) => void,
): Promise<number> {
  const signal = io.interrupt();
  try {
    // Before a model is loaded, which may take long.
    await probePort(options.host, options.port);
    await serveOnce(io, options, signal, work, onPlaced);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  return 0;
}

async function serveOnce(
  io: Io,
  { model, host, port, wafer, context: kvTokens, threads }: ServeOptions,
  signal: AbortSignal,
  work: (listening: Listening) => Promise<void>,
  onPlaced: ((model: OpenModel, placed: PlacedModel) => void) | undefined,
): Promise<void> {
  const progress = createProgress(io, 'loading weights');
  const serving = await openServing({
    ...(model === undefined ? {} : { model }),
    ...(onPlaced === undefined ? {} : { onPlaced }),
    wafer,
    kvTokens,
    threads,
    signal,
    onProgress: progress.update,
    onFailure: (error, requestId) => io.err(`${requestId}: ${causes(error)}\n`),
  }).finally(progress.end);
  try {
    const server = await startServer({ api: serving.api, host, port });
    try {
      await work({ url: server.url, serving, signal });
    } finally {
      if (signal.aborted) io.err(closingText(serving));
      await server.close();
    }
  } finally {
    await serving.close();
  }
}

const closingText = ({ engine }: Serving): string =>
  engine.counts.running + engine.counts.waiting > 0
    ? '\nclosing; requests in progress get a few seconds (Ctrl-C again cuts them)\n'
    : '\nclosed\n';

/**
 * Listen and close again.
 * @throws IngotError PORT_IN_USE, PORT_FORBIDDEN, HOST_NOT_AVAILABLE
 */
export async function probePort(host: string, port: number): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      const server = createServer();
      server.once('error', reject);
      server.listen(port, host, () => server.close(() => resolve()));
    });
  } catch (error) {
    throw listenError(error, host, port);
  }
}

/** Resolves at Ctrl-C. */
export const untilAborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });

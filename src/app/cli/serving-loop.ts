// What `serve` and `up` share: load, listen, work until interrupted, and leave nothing behind.

import { createServer } from 'node:net';

import { listenError } from '../http/listen-error.ts';
import { startServer } from '../http/server.ts';
import type { OpenModel, PlacedModel } from '../place.ts';
import { openReports, type LogFormat, type Reports } from '../telemetry/reports.ts';
import type { LogLevel } from '../../runtime/index.ts';
import { openServing, type Serving, type ServingOptions } from '../serving.ts';
import type { Io } from './io.ts';
import { createProgress } from './progress.ts';
import { causes } from './report/layout.ts';

/** What of a serving a command's user may choose. */
type ServingChoices = Pick<
  ServingOptions,
  'models' | 'aliases' | 'pace' | 'scheduler' | 'draft' | 'draftTokens' | 'coalesceMs' | 'wafer' | 'threads'
>;

export interface ServeOptions extends ServingChoices {
  readonly host: string;
  readonly port: number;
  readonly context: number;
  readonly logFormat?: LogFormat;
  readonly logLevel?: LogLevel;
  readonly logPrompts?: boolean;
  readonly otlpEndpoint?: string;
  readonly otlpShare?: number;
}

export interface ServeHooks {
  readonly onPlaced?: (model: OpenModel, placed: PlacedModel) => void;
  /** After the last answer. */
  readonly onClosed?: (serving: Serving) => void;
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
  hooks: ServeHooks = {},
): Promise<number> {
  const signal = io.interrupt();
  try {
    // Before a model is loaded, which may take long.
    await probePort(options.host, options.port);
    await serveOnce(io, options, signal, work, hooks);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  return 0;
}

async function serveOnce(
  io: Io,
  options: ServeOptions,
  signal: AbortSignal,
  work: (listening: Listening) => Promise<void>,
  hooks: ServeHooks,
): Promise<void> {
  const { logFormat, logLevel, otlpEndpoint, otlpShare } = options;
  // The variable by which OpenTelemetry's own SDKs are told.
  const endpoint = otlpEndpoint ?? process.env['OTEL_EXPORTER_OTLP_ENDPOINT'];
  const reports = await openReports({
    log: logFormat ?? 'none',
    level: logLevel ?? 'info',
    write: io.out,
    ...(endpoint === undefined || endpoint === ''
      ? {}
      : { traces: { endpoint, ...(otlpShare === undefined ? {} : { share: otlpShare }) } }),
  });
  try {
    await serveReported(io, options, reports, signal, work, hooks);
  } finally {
    await reports.close();
  }
}

async function serveReported(
  io: Io,
  { host, port, context: kvTokens, logPrompts, ...choices }: ServeOptions,
  reports: Reports,
  signal: AbortSignal,
  work: (listening: Listening) => Promise<void>,
  { onPlaced, onClosed }: ServeHooks,
): Promise<void> {
  const progress = createProgress(io, 'loading weights');
  const serving = await openServing({
    ...choices,
    onRequest: reports.onRequest,
    keepBodies: logPrompts === true,
    ...(onPlaced === undefined ? {} : { onPlaced }),
    kvTokens,
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
      onClosed?.(serving);
    }
  } finally {
    await serving.close();
  }
}

const closingText = ({ registry }: Serving): string =>
  registry.open.some(({ engine: { counts } }) => counts.running + counts.waiting > 0)
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

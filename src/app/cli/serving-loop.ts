// What `serve` and `up` share: load, listen, work until interrupted, and leave nothing behind.

import { readFileSync } from 'node:fs';
import { createServer, isIPv4 } from 'node:net';
import process from 'node:process';
import { setFlagsFromString } from 'node:v8';

import { fail } from '../../core/index.ts';
import type { Api } from '../../runtime/index.ts';
import { listenError } from '../http/listen-error.ts';
import { startServer, type Server, type TlsPair } from '../http/server.ts';
import { openOperations } from '../operations.ts';
import type { OpenModel, PlacedModel } from '../place.ts';
import { openReports, type LogFormat, type Reports } from '../telemetry/reports.ts';
import type { LogLevel } from '../../runtime/index.ts';
import { openServing, type Serving, type ServingOptions } from '../serving.ts';
import { UsageError } from './command.ts';
import type { Io } from './io.ts';
import { createProgress } from './progress.ts';
import { causes } from './report/layout.ts';

/** What of a serving a command's user may choose. */
type ServingChoices = Pick<
  ServingOptions,
  | 'models'
  | 'aliases'
  | 'pace'
  | 'scheduler'
  | 'sloTtftMs'
  | 'sloTpotMs'
  | 'deadlineMs'
  | 'draft'
  | 'draftTokens'
  | 'coalesceMs'
  | 'keepResponsesMb'
  | 'wafer'
  | 'threads'
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
  /** Whether others may use it without keys, or need them; undefined where nobody said. */
  readonly auth?: boolean;
  readonly adminHost?: string;
  readonly adminPort?: number;
  readonly adminKeyFile?: string;
  readonly data?: string;
  readonly databaseUrl?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly corsOrigin?: readonly string[];
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
  readonly admin?: {
    readonly url: string;
    /** The key that was made for it; absent where the operator brought one. */
    readonly madeKey?: string;
  };
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
  // Young objects of a server are few when they are collected; several threads that look for them mostly wait for one
  // another, and take the cores that compute.
  setFlagsFromString('--no-parallel-scavenge');
  // V8 makes objects among the old ones where those before them lived long, and does not look again. What a start makes
  // lives long; what it then serves with the same code does not.
  setFlagsFromString('--no-allocation-site-pretenuring');
  try {
    refuseOpenDoors(options);
    // Before a model is loaded, which may take long.
    await probePort(options.host, options.port);
    if (options.adminPort !== undefined) await probePort(options.adminHost ?? LOOPBACK, options.adminPort);
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
      : {
          traces: {
            endpoint,
            share: otlpShare,
            onLost: (spans, url) => io.err(`${spans} spans of traces did not reach ${url}\n`),
          },
        }),
  });
  try {
    await serveReported(io, options, reports, signal, work, hooks);
  } finally {
    await reports.close();
  }
}

async function serveReported(
  io: Io,
  options: ServeOptions,
  reports: Reports,
  signal: AbortSignal,
  work: (listening: Listening) => Promise<void>,
  { onPlaced, onClosed }: ServeHooks,
): Promise<void> {
  const { host, port, context: kvTokens, auth = false, adminPort, adminHost = LOOPBACK, ...others } = options;
  const { adminKeyFile, data, databaseUrl, tlsCert, tlsKey, logPrompts, corsOrigin = [], ...choices } = others;
  const onFailure = (error: unknown, requestId: string): void => io.err(`${requestId}: ${causes(error)}\n`);
  const tls = readTls(tlsCert, tlsKey);
  // In reverse order of opening.
  const closers: (() => Promise<void>)[] = [];
  try {
    const operations = await openOperations({
      auth,
      admin: adminPort !== undefined,
      adminKeyFile,
      data,
      databaseUrl,
      onFailure,
    });
    closers.push(() => operations.close());
    const { access, onUsage, ledger, madeAdminKey } = operations;
    const progress = createProgress(io, 'loading weights');
    const serving = await openServing({
      ...choices,
      onRequest: reports.onRequest,
      keepBodies: logPrompts === true,
      access,
      onUsage,
      ledger,
      onPlaced,
      kvTokens,
      signal,
      onProgress: progress.update,
      onFailure,
    }).finally(progress.end);
    closers.push(() => serving.close());
    const listen = async (api: Api, where: string, at: number, origins: readonly string[]): Promise<Server> => {
      const server = await startServer({ api, host: where, port: at, origins, tls });
      closers.push(() => server.close());
      return server;
    };
    const adminServer =
      adminPort === undefined ? undefined : await listen(operations.adminApi(serving), adminHost, adminPort, []);
    closers.push(async () => onClosed?.(serving));
    const server = await listen(serving.api, host, port, corsOrigin);
    // Without a certificate to renew it means what it means elsewhere: the terminal was closed.
    if (tls !== undefined) closers.push(onHangUp(() => renewTls([server, adminServer], tlsCert, tlsKey, onFailure)));
    const madeKey = madeAdminKey === undefined ? {} : { madeKey: madeAdminKey };
    try {
      await work({
        url: server.url,
        serving,
        ...(adminServer === undefined ? {} : { admin: { url: adminServer.url, ...madeKey } }),
        signal,
      });
    } finally {
      if (signal.aborted) io.err(closingText(serving));
    }
  } finally {
    for (const close of closers.reverse()) await close();
  }
}

const LOOPBACK = '127.0.0.1';
const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));

/**
 * Whoever can reach an address can use what listens there.
 * @throws UsageError HOST_WITHOUT_KEYS, AUTH_WITHOUT_KEYS
 */
function refuseOpenDoors({ host, auth, adminPort, data, databaseUrl }: ServeOptions): void {
  if (auth === undefined && !isLoopback(host)) {
    throw new UsageError({
      code: 'HOST_WITHOUT_KEYS',
      message: 'others could reach this address, and nobody said whether they need keys',
      where: `--host ${host}`,
      expected: '--auth, so that every request needs a key, or --no-auth where the network is yours alone',
      suggestion: 'keys are made by the admin API: --auth --admin-port 8001 --data ./ingot-data',
    });
  }
  if (auth === true && adminPort === undefined && data === undefined && databaseUrl === undefined) {
    throw new UsageError({
      code: 'AUTH_WITHOUT_KEYS',
      message: 'every request would need a key, and nobody could make one',
      where: '--auth',
      expected: '--admin-port, where keys are made, or --data or DATABASE_URL, where there are some',
      suggestion: '--auth --admin-port 8001 --data ./ingot-data',
    });
  }
}

/** @throws UsageError TLS_INCOMPLETE; IngotError TLS_UNREADABLE */
function readTls(certFile: string | undefined, keyFile: string | undefined): TlsPair | undefined {
  if (certFile === undefined && keyFile === undefined) return undefined;
  if (certFile === undefined || keyFile === undefined) {
    throw new UsageError({
      code: 'TLS_INCOMPLETE',
      message: 'HTTPS needs a certificate and its key',
      expected: '--tls-cert FILE --tls-key FILE',
    });
  }
  const read = (file: string): string => {
    try {
      return readFileSync(file, 'utf8');
    } catch (cause) {
      const why = (cause as NodeJS.ErrnoException).code ?? 'unknown';
      return fail({ code: 'TLS_UNREADABLE', message: `the file cannot be read (${why})`, where: file });
    }
  };
  return { cert: read(certFile), key: read(keyFile) };
}

/** From the same files, which somebody has renewed; a pair that does not fit leaves the old one in use. */
function renewTls(
  servers: readonly (Server | undefined)[],
  certFile: string | undefined,
  keyFile: string | undefined,
  onFailure: (error: unknown, what: string) => void,
): void {
  try {
    const pair = readTls(certFile, keyFile);
    if (pair !== undefined) for (const server of servers) server?.renewTls(pair);
  } catch (error) {
    onFailure(error, 'renewing the certificate');
  }
}

/** Until what is returned is called. */
function onHangUp(listener: () => void): () => Promise<void> {
  process.on('SIGHUP', listener);
  return async () => void process.off('SIGHUP', listener);
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

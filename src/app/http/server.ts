// The API on a port. Fastify reads requests within limits; what they mean is decided by the API's handlers,
// so there is one route and no routing here.

import {
  errorCodes,
  fastify,
  type FastifyError,
  type FastifyReply,
  type FastifyRequest,
  type RequestPayload,
} from 'fastify';
import { STATUS_CODES } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { createSecureContext, Server as TlsServer } from 'node:tls';
import { createGunzip, type Gunzip } from 'node:zlib';
import { IngotError } from '../../core/index.ts';
import { ApiError, errorBody, jsonOfMsgpack } from '../../protocol/index.ts';
import { apiErrorOf, type Api, type ApiResponse } from '../../runtime/index.ts';
import { crossOrigin } from './cross-origin.ts';
import { listenError } from './listen-error.ts';
import { writeStream } from './write-response.ts';

/** Bounds on what a client may send, and how slowly. */
export const serverLimits = {
  /** A million tokens of text; the longest contexts served today. */
  bodyBytes: 4 * 1024 * 1024,
  /** Node's own bound, stated: names, cookies and trace headers fit many times. */
  headerBytes: 16 * 1024,
  headersMs: 10_000,
  /** The whole request, so that nobody holds a connection by sending a byte now and then. */
  requestMs: 60_000,
  /** Between requests. */
  idleMs: 75_000,
  /** How often connections are looked at for the bounds above. */
  lookMs: 2_000,
} as const;

/** How long answers in progress may go on after `close`, and their last words after that. */
const DEFAULT_CLOSE_GRACE_MS = 5_000;
const LAST_WORDS_MS = 500;

export interface ServerOptions {
  readonly api: Api;
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
  readonly bodyBytes?: number;
  readonly closeGraceMs?: number;
  /** HTTPS in the place of HTTP: certificate chain and key, in PEM. */
  readonly tls?: TlsPair;
  readonly headersMs?: number;
  /** Pages of these origins may use it from a browser; default none. */
  readonly origins?: readonly string[];
}

export interface TlsPair {
  readonly cert: string;
  readonly key: string;
}

export interface Server {
  /** Where a client on this machine reaches it, e.g. `http://127.0.0.1:8000`. */
  readonly url: string;
  /** Connections from now on have this certificate. */
  renewTls(pair: TlsPair): void;
  /** Take no more requests, let those in progress end within the grace, then cut them with an error event. */
  close(): Promise<void>;
}

/** Bodies that some clients pack; they go on as the JSON that they stand for. */
const MSGPACK_TYPES = ['application/vnd.msgpack', 'application/msgpack', 'application/x-msgpack'];

const closing = { code: 'SERVER_CLOSING', message: 'the server is closing' };

/** @throws IngotError PORT_IN_USE, PORT_FORBIDDEN, HOST_NOT_AVAILABLE, TLS_INVALID */
export async function startServer(options: ServerOptions): Promise<Server> {
  const { api, host, port, bodyBytes = serverLimits.bodyBytes, closeGraceMs = DEFAULT_CLOSE_GRACE_MS } = options;
  const active = new Set<AbortController>();
  let isClosing = false;

  const { tls, headersMs = serverLimits.headersMs, origins = [] } = options;
  const limits = {
    headersTimeout: headersMs,
    maxHeaderSize: serverLimits.headerBytes,
    connectionsCheckingInterval: Math.min(headersMs, serverLimits.lookMs),
  };
  if (tls !== undefined) checkTls(tls);
  const app = fastify({
    // The type says HTTP: no handler here looks at the difference.
    ...(tls === undefined
      ? { http: limits }
      : ({ https: { ...limits, ...tls, handshakeTimeout: headersMs } } as object)),
    keepAliveTimeout: serverLimits.idleMs,
    bodyLimit: bodyBytes,
    requestTimeout: serverLimits.requestMs,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    clientErrorHandler: refuseConnection,
    frameworkErrors: (error, _, reply) => void send(reply, api.refuse(requestError(error))),
  });
  // Bodies stay text: only the API knows what should be JSON, and what to say when it is not.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'string' }, (_, body, done) => done(null, body));
  app.addContentTypeParser(MSGPACK_TYPES, { parseAs: 'buffer' }, async (_: FastifyRequest, body: Buffer) => {
    const json = jsonOfMsgpack(body);
    // A byte can be a map, and what parses and checks it takes a microsecond for each.
    if (Buffer.byteLength(json) > bodyBytes) throw new errorCodes.FST_ERR_CTP_BODY_TOO_LARGE();
    return json;
  });
  // Before all else, so that a page can read refusals too.
  app.addHook('onRequest', async (request, reply) => {
    const told = crossOrigin(origins, request.method, request.headers);
    for (const [name, value] of Object.entries(told?.headers ?? {})) reply.raw.setHeader(name, value);
    return told?.isQuestion === true ? reply.code(204).send() : undefined;
  });
  app.addHook('onRequest', async (request) => refuseEncoding(request));
  app.addHook('preParsing', async (request, _, payload) =>
    request.headers['content-encoding'] === 'gzip' ? unzipped(payload) : payload,
  );
  app.setErrorHandler<FastifyError>((error, _, reply) => send(reply, api.refuse(requestError(error))));
  app.all('/*', handle);
  app.setNotFoundHandler(handle);

  async function handle(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> {
    const { raw } = reply;
    if (isClosing) return send(reply, api.refuse(apiErrorOf(new IngotError(closing))));
    const aborter = new AbortController();
    active.add(aborter);
    raw.once('close', () => {
      active.delete(aborter);
      if (!raw.writableFinished) aborter.abort();
      // A connection that was busy when closing began would otherwise be kept alive.
      if (isClosing) setImmediate(() => app.server.closeIdleConnections());
    });
    if (raw.destroyed) aborter.abort();
    const response = await api.handle({
      method: request.method,
      path: request.url.split('?', 1)[0],
      query: request.url.split('?').slice(1).join('?'),
      body: typeof request.body === 'string' ? request.body : '',
      headers: plainHeaders(request),
      from: request.ip,
      signal: aborter.signal,
    });
    const { status, headers, body } = response;
    if (typeof body === 'string') return send(reply, response);
    reply.hijack();
    await writeStream(raw, { status, headers, body });
    return undefined;
  }

  try {
    await app.listen({ host, port });
  } catch (error) {
    await app.close();
    throw listenError(error, host, port);
  }

  return {
    url: urlOf(app.server.address() as AddressInfo, tls === undefined ? 'http' : 'https'),
    renewTls(pair) {
      checkTls(pair);
      if (app.server instanceof TlsServer) app.server.setSecureContext(pair);
    },
    async close() {
      isClosing = true;
      const grace = setTimeout(() => {
        for (const aborter of active) aborter.abort(new IngotError(closing));
      }, closeGraceMs);
      const last = setTimeout(() => app.server.closeAllConnections(), closeGraceMs + LAST_WORDS_MS);
      await app.close();
      clearTimeout(grace);
      clearTimeout(last);
    },
  };
}

function send(reply: FastifyReply, { status, headers, body }: ApiResponse): FastifyReply {
  return reply.code(status).headers(headers).send(body);
}

/** A wildcard address is not one that a client can connect to. */
function urlOf({ address, port, family }: AddressInfo, scheme: 'http' | 'https'): string {
  if (address === '0.0.0.0' || address === '::') return `${scheme}://127.0.0.1:${port}`;
  return `${scheme}://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}

/** @throws IngotError TLS_INVALID */
function checkTls(pair: TlsPair): void {
  try {
    createSecureContext(pair);
  } catch (cause) {
    throw new IngotError(
      {
        code: 'TLS_INVALID',
        message: `certificate and key cannot be used: ${(cause as Error).message}`,
        expected: 'a certificate chain and the private key of its first certificate, both in PEM',
      },
      { cause },
    );
  }
}

/** Those that come once, which all that the API reads do. */
const plainHeaders = ({ headers }: FastifyRequest): Record<string, string> =>
  Object.fromEntries(
    Object.entries(headers).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );

/** A compressed body, as some clients send. Fastify bounds what comes out, so a small bomb stays small. */
function unzipped(payload: RequestPayload): RequestPayload {
  const plain: RequestPayload = Object.assign(createGunzip(), { receivedEncodedLength: 0 });
  payload.on('data', (chunk: Buffer) => {
    plain.receivedEncodedLength = (plain.receivedEncodedLength ?? 0) + chunk.length;
  });
  plain.on('error', (error: Error) => Object.assign(error, { statusCode: 400 }));
  return payload.pipe(plain as RequestPayload & Gunzip);
}

function refuseEncoding(request: FastifyRequest): void {
  const encoding = request.headers['content-encoding'];
  if (encoding === undefined || encoding === 'identity' || encoding === 'gzip') return;
  throw new ApiError({
    status: 415,
    code: 'unsupported_encoding',
    message: `The content encoding '${encoding.slice(0, 40)}' is not supported.`,
    suggestion: 'Send the body without compression, or with gzip.',
  });
}

/** The API's error for a request that Fastify refused. */
function requestError(error: FastifyError): ApiError {
  if (error instanceof ApiError) return error;
  const { statusCode: status = 500, code, message } = error;
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
    return new ApiError({
      status: 413,
      code: 'request_too_large',
      message: 'The request body is larger than this server accepts.',
      suggestion: 'Send fewer or shorter prompts.',
    });
  }
  if (status >= 500) return apiErrorOf(error);
  return new ApiError({ status, code: 'bad_request', message: `${message}.` }, { cause: error });
}

/** Bytes that are not HTTP, or came too slowly: there is no request to answer, only a connection. */
function refuseConnection(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  const [status, code] =
    error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
      ? [408, 'request_timeout']
      : error.code === 'HPE_HEADER_OVERFLOW'
        ? [431, 'headers_too_large']
        : [400, 'bad_request'];
  const reason = STATUS_CODES[status] ?? '';
  const body = JSON.stringify(errorBody(new ApiError({ status, code, message: `${reason}.` })));
  if (!socket.writable) return void socket.destroy();
  socket.end(
    `HTTP/1.1 ${status} ${reason}\r\ncontent-type: application/json\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}

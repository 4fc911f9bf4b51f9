// The OpenAI-compatible API as a function from request to response. It knows nothing of sockets, so tests
// call it directly; src/app/http puts it on a port.

import type { Clock, Rng, Seconds } from '../../core/index.ts';
import { ApiError, errorBody } from '../../protocol/index.ts';
import { chatCompletion } from './chat-endpoint.ts';
import type { Coalescing } from './coalesce.ts';
import { completion } from './completion-endpoint.ts';
import { embeddings } from './embeddings-endpoint.ts';
import type { EndpointBody, EndpointContext, Promises } from './endpoint.ts';
import { createRouter, handlerOf, parseJson, type Route, type Routes } from './routing.ts';
import { limitHeaders } from './limit-headers.ts';
import { modelFormat } from './model-formats.ts';
import { inputTokens, responses } from './responses-endpoint.ts';
import { createResponseStore } from './response-store.ts';
import { apiErrorOf } from './failure.ts';
import { createTelemetry, ofModels, type Exposition, type OpenRecord, type RequestRecord } from '../telemetry/index.ts';
import { modelList, modelRecord, type ServedModel } from './served-model.ts';
import { beginRequest, type ServedRequest } from './served-request.ts';
import type { Access } from '../access/index.ts';
import type { LedgerCounts, Usage } from '../ledger/index.ts';
import type { ModelRegistry } from '../registry/index.ts';

export interface ApiRequest {
  readonly method: string;
  /** Path without query, still percent-encoded. */
  readonly path: string;
  /** What follows the path's question mark. */
  readonly query?: string;
  /** Address of whoever sent it. */
  readonly from?: string;
  /** The body as it came; '' for none. */
  readonly body: string;
  /** With lower-case names. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Aborted when the client leaves. */
  readonly signal: AbortSignal;
}

export interface ApiResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /**
   * The body, or the pieces of a stream. Where the iteration throws, the connection must be cut after what
   * was yielded: the failure has been told, and a clean end would deny it.
   */
  readonly body: string | AsyncIterable<string>;
}

export interface ApiOptions {
  readonly registry: ModelRegistry;
  /** Who may ask, and how much; absent where everybody may ask everything. */
  readonly access?: Access;
  /** Hears what each request used, before its answer ends. */
  readonly onUsage?: (usage: Usage) => void;
  /** What is on its way into the ledger; absent where there is none. */
  readonly ledger?: () => LedgerCounts;
  /** Unix time: it stamps answers, and times them. */
  readonly clock: Clock;
  /** Names requests, and seeds those that bring no seed. */
  readonly rng: Rng;
  /** How streamed tokens travel together; absent where each travels at once. */
  readonly coalescing?: Coalescing;
  /** What is promised to requests that say nothing, and the longest that any may take. */
  readonly promises?: Promises;
  /** Characters of JSON of responses that are kept to be gone on with, in memory; absent or 0: none are. */
  readonly keptResponses?: number;
  /** Hears of every failure that nobody foresaw (status 500), with the request's id. */
  readonly onFailure?: (error: unknown, requestId: string) => void;
  /** Hears of every request when its response is over. It must not throw. */
  readonly onRequest?: (record: RequestRecord) => void;
  /** Its records have the bodies of requests, and so what people asked; default false. */
  readonly keepBodies?: boolean;
}

export interface Api {
  /** Never rejects: failures are responses. */
  handle(request: ApiRequest): Promise<ApiResponse>;
  /** The response to a request that never became one, such as a body over the limit. */
  refuse(error: ApiError): ApiResponse;
}

export interface ServingApi extends Api {
  /** For operators: the series of every tenant. */
  readonly metrics: Pick<Exposition, 'contentType' | 'text'>;
}

/** A route's answer: status 200 unless said. */
interface Answer {
  readonly status?: number;
  readonly type?: string;
  readonly body: EndpointBody;
  /** The request used what is limited. */
  readonly isLimited?: true;
}

type Handler = (context: EndpointContext, request: ApiRequest, part: string) => Answer | Promise<Answer>;

/** What nobody needs a key for: it says that the server is there and ready, and nothing else. */
const OPEN_ROUTES: ReadonlySet<string> = new Set(['/health', '/ready', '/v1/tcp_warming']);
const BASE_URL_HINT = 'The base URL of a client ends in /v1.';

const JSON_TYPE = 'application/json';
const SSE_TYPE = 'text/event-stream; charset=utf-8';

export function createApi(options: ApiOptions): ServingApi {
  const { clock, rng, coalescing, onFailure, onRequest, ledger, registry, access, promises = {} } = options;
  const { keptResponses = 0 } = options;
  const kept = keptResponses > 0 ? createResponseStore(keptResponses) : undefined;
  const { metrics, vllm, hardware, open } = createTelemetry({
    models: () => registry.models,
    measured: () => registry.measured,
    ...(coalescing === undefined ? {} : { coalescing: coalescing.bound }),
    ...(onRequest === undefined ? {} : { onRequest }),
    ...(ledger === undefined ? {} : { ledger }),
  });
  const hex = (words: number): string =>
    Array.from({ length: words }, () => rng.u32().toString(16).padStart(8, '0')).join('');

  const json = (value: unknown): Answer => ({ body: JSON.stringify(value) });
  const completing = (
    endpoint: (body: unknown, context: EndpointContext) => Promise<EndpointBody>,
  ): Route<Handler> => ({
    POST: async (context, { body }) => {
      context.begin();
      return { body: await endpoint(parseJson(body), context), isLimited: true };
    },
  });
  const exposing = ({ contentType, text }: Exposition): Route<Handler> => ({
    GET: async ({ tenant, sees }) => ({ type: contentType, body: ofModels(await text(tenant()), sees) }),
  });
  const routes: Routes<Handler> = {
    '/v1/chat/completions': completing(chatCompletion),
    '/v1/completions': completing(completion),
    '/v1/responses': completing(responses),
    '/v1/responses/input_tokens': completing(inputTokens),
    ...(kept === undefined
      ? {}
      : {
          '/v1/responses/{id}': {
            GET: ({ tenant }: EndpointContext, _: ApiRequest, id: string) => ({ body: kept.get(tenant(), id).text }),
            DELETE: ({ tenant }: EndpointContext, _: ApiRequest, id: string) => {
              kept.drop(tenant(), id);
              return json({ id, object: 'response', deleted: true });
            },
          },
        }),
    '/v1/embeddings': completing(embeddings),
    '/v1/models': {
      GET: ({ sees }, { query = '' }) => {
        const seen = registry.models.filter(({ id }) => sees(id));
        const { object, data } = modelList(seen, registry.aliases);
        return json({ object, data: data.map(modelFormat(query)) });
      },
    },
    '/v1/models/{id}/provenance': { GET: async ({ sees }, _, id) => json(await registry.provenance(id, sees)) },
    '/v1/models/{id}': {
      GET: ({ findModel }, { query = '' }, id) => json(modelFormat(query)(modelRecord(findModel(id), id))),
    },
    '/health': { GET: () => json({ status: 'ok' }) },
    '/v1/telemetry/hardware': { GET: ({ sees }, { query = '' }) => json(hardware.byTime(query, sees)) },
    '/v1/telemetry/requests/{id}': { GET: ({ tenant }, _, id) => json(hardware.byRequest(id, tenant())) },
    // Their names are for who has a key, where keys are needed.
    '/ready': { GET: () => readiness(registry.models, access === undefined) },
    '/metrics': exposing(metrics),
    '/metrics/vllm': exposing(vllm),
    // The Cerebras client opens its connection with this.
    '/v1/tcp_warming': { GET: () => ({ status: 204, body: '' }) },
  };

  const route = createRouter(routes);
  const limits = (served: ServedRequest): Readonly<Record<string, string>> =>
    served.limitHeaders() ?? limitHeaders(registry.models);

  const response = (answer: Answer, requestId: string, received: Seconds, served?: ServedRequest): ApiResponse => {
    const streams = typeof answer.body !== 'string';
    return {
      status: answer.status ?? 200,
      headers: {
        ...(answer.body === '' ? {} : { 'content-type': answer.type ?? (streams ? SSE_TYPE : JSON_TYPE) }),
        'x-request-id': requestId,
        ...(answer.isLimited === true && served !== undefined ? limits(served) : {}),
        'openai-processing-ms': String(Math.max(0, Math.round((clock.now() - received) * 1000))),
        // A proxy that buffers would turn a stream into one piece.
        ...(streams ? { 'cache-control': 'no-cache', 'x-accel-buffering': 'no' } : {}),
      },
      body: answer.body,
    };
  };

  const failed = (error: ApiError, requestId: string, received: Seconds): ApiResponse => {
    const answer = response({ status: error.status, body: JSON.stringify(errorBody(error)) }, requestId, received);
    return { ...answer, headers: { ...answer.headers, ...retryHeaders(error) } };
  };

  /** A stream that tells of its failure and of its end. */
  async function* reported(
    body: AsyncIterable<string>,
    requestId: string,
    record: OpenRecord,
    served: ServedRequest,
  ): AsyncIterable<string> {
    let error = left;
    try {
      yield* body;
      record.end({ status: 200, outcome: 'ok', ended: clock.now() });
    } catch (cause) {
      error = apiErrorOf(cause);
      if (error.status === DEFECT) onFailure?.(cause, requestId);
      throw cause;
    } finally {
      record.end({ status: 200, outcome: outcomeOf(error.status), code: error.wireCode, ended: clock.now() });
      served.end();
    }
  }

  return {
    metrics,
    async handle(request) {
      const received = clock.now();
      const requestId = givenId(request) ?? `req_${hex(4)}`;
      const { name, parts } = route(request.path);
      const { method, headers = {} } = request;
      const { traceparent, tracestate } = headers;
      const record = open({
        id: requestId,
        method,
        route: name,
        received,
        ...(traceparent === undefined ? {} : { traceparent }),
        ...(tracestate === undefined ? {} : { tracestate }),
        ...(options.keepBodies === true ? { body: request.body } : {}),
      });
      const served = beginRequest({ registry, request, requestId, track: record, options });
      const context: EndpointContext = {
        begin: served.begin,
        sees: served.sees,
        findModel: served.findModel,
        submit: served.submit,
        tenant: served.tenant,
        headers,
        received,
        created: Math.floor(received),
        newId: () => hex(4),
        newSeed: () => rng.u32(),
        track: record,
        coalescing,
        kept,
        promises,
      };
      let result: ApiResponse;
      let isStream = false;
      try {
        if (!OPEN_ROUTES.has(name)) served.identify();
        const handler = handlerOf(request, Object.hasOwn(routes, name) ? routes[name] : undefined, BASE_URL_HINT);
        const answer = await handler(context, request, parts[0] ?? '');
        const { body } = answer;
        isStream = typeof body !== 'string';
        result = response(
          typeof body === 'string' ? answer : { ...answer, body: reported(body, requestId, record, served) },
          requestId,
          received,
          served,
        );
        if (typeof body === 'string') record.end({ status: result.status, outcome: 'ok', ended: clock.now() });
      } catch (cause) {
        const error = apiErrorOf(cause);
        if (error.status === DEFECT) onFailure?.(cause, requestId);
        result = failed(error, requestId, received);
        const { status, wireCode } = error;
        record.end({ status, outcome: outcomeOf(status), code: wireCode, ended: clock.now() });
        const told = {
          ...(error.status === 429 && access !== undefined ? limits(served) : {}),
          ...(error.status === 405 ? { allow: Object.keys(routes[name]).join(', ') } : {}),
        };
        result = { ...result, headers: { ...result.headers, ...told } };
      } finally {
        if (!isStream) served.end();
      }
      metrics.responded(name, result.status);
      return result;
    },
    refuse(error) {
      metrics.responded('none', error.status);
      const requestId = `req_${hex(4)}`;
      const { status, wireCode: code } = error;
      const now = clock.now();
      const record = open({ id: requestId, method: 'none', route: 'none', received: now });
      record.end({ status, outcome: outcomeOf(status), code, ended: now });
      return failed(error, requestId, now);
    },
  };
}

/** Overload, a closing server and deadlines have numbers of their own, and are no news for whoever mends things. */
const DEFECT = 500;

/** Nginx's number for a client that left. */
const CLIENT_LEFT = 499;

/** What became of a stream whose reader went away without a word. */
const left = new ApiError({ status: CLIENT_LEFT, code: 'request_cancelled', message: 'The client left.' });

function outcomeOf(status: number): RequestRecord['outcome'] {
  if (status >= 500) return 'failed';
  return status === CLIENT_LEFT ? 'cancelled' : 'refused';
}

/** Whether a balancer should send requests here: a model is there, and its queue has room. */
function readiness(models: readonly ServedModel[], named: boolean): Answer {
  const open = models.filter(({ engine: { counts, limits } }) => counts.waiting + counts.running < limits.sequences);
  const isReady = open.length > 0;
  return {
    status: isReady ? 200 : 503,
    body: JSON.stringify({
      status: isReady ? 'ready' : 'busy',
      ...(named ? { models: open.map(({ id }) => id) } : {}),
    }),
  };
}

/** A client's own name for its request, where it has one that can stand in logs and headers. */
function givenId({ headers }: ApiRequest): string | undefined {
  const id = headers?.['x-request-id'];
  return id !== undefined && /^[\w.:/+=@-]{1,128}$/.test(id) ? id : undefined;
}

/** When to try again; a second where nobody knows better. */
function retryHeaders({ status, retryAfter }: ApiError): Readonly<Record<string, string>> {
  // What the client gave up by its own deadline is not worth another try.
  if (status === 504) return { 'x-should-retry': 'false' };
  if (status !== 503 && status !== 429) return {};
  if (retryAfter === undefined) return { 'retry-after': '1' };
  if (!Number.isFinite(retryAfter)) return { 'x-should-retry': 'false' };
  return {
    'retry-after': String(Math.max(1, Math.ceil(retryAfter))),
    'retry-after-ms': String(Math.max(1, Math.ceil(retryAfter * 1000))),
  };
}

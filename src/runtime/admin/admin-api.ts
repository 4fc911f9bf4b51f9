// What operators do, as a function from request to response: models, tenants, keys, usage. It has a port and a key of its own,
// and everything that changes something is in the audit log, with what became of it.

import { seconds, type Clock, type Rng, type Seconds } from '../../core/index.ts';
import { ApiError, badValue, errorBody } from '../../protocol/index.ts';
import type { Access, ApiKey, KeyTools } from '../access/index.ts';
import type { Api, ApiRequest, ApiResponse, ServingApi } from '../http/api.ts';
import { apiErrorOf } from '../http/failure.ts';
import { createRouter, handlerOf, parseJson, type Routes } from '../http/routing.ts';
import { USAGE_GRAIN_SECONDS, type Records, type UsageFilter } from '../ledger/index.ts';
import type { ModelRegistry, ModelVersion } from '../registry/index.ts';
import { adminErrorOf } from './admin-failure.ts';
import { parseAlias, parseKey, parseLoad, parseRollback, parseSwap, parseTenant } from './bodies.ts';

/** Which model to open. */
export interface AdminChoice {
  readonly model?: string;
  readonly emulate?: string;
  readonly tokenizer?: string;
}

export interface AdminOptions {
  readonly registry: ModelRegistry;
  readonly access: Access;
  readonly records: Records;
  /** With the series of every tenant. */
  readonly metrics: ServingApi['metrics'];
  /** Opens a model under a name, or under its own. @throws IngotError */
  readonly open: (choice: AdminChoice, name?: string) => Promise<ModelVersion>;
  /** The name that `open` would give. @throws IngotError */
  readonly idOf: (choice: AdminChoice) => string;
  /** Waits until usage that has come is in the records. */
  readonly flush: () => Promise<void>;
  readonly tools: KeyTools;
  /** Hash of the key that operators bring. */
  readonly adminHash: string;
  readonly clock: Clock;
  /** Names requests. */
  readonly rng: Rng;
  readonly onFailure?: (error: unknown, requestId: string) => void;
}

interface Answer {
  readonly status?: number;
  /** Of a body that is text; others are JSON. */
  readonly type?: string;
  readonly body: unknown;
  /** What the audit log says of it, where that is not the body that came. */
  readonly detail?: string;
}

type Handler = (request: ApiRequest, parts: readonly string[]) => Answer | Promise<Answer>;

/** How long a replaced version stays open where nobody says. */
export const KEEP_WARM: Seconds = seconds(300);
const DAY = 86_400;
/** Entries of the audit log in one answer. */
const AUDIT_DEFAULT = 100;
const AUDIT_MOST = 1000;
/** Characters of a body that the audit log keeps. */
const DETAIL_LENGTH = 2000;

export function createAdminApi(options: AdminOptions): Api {
  const { registry, access, records, metrics, open, idOf, flush, tools, adminHash, clock, rng, onFailure } = options;
  const body = (request: ApiRequest): unknown => parseJson(request.body === '' ? '{}' : request.body);
  const keepWarm = (given: number | undefined): Seconds => (given === undefined ? KEEP_WARM : seconds(given));
  const chosen = ({ model, emulate, tokenizer }: AdminChoice): AdminChoice => {
    if (model !== undefined && emulate !== undefined) {
      throw badValue('emulate', "either 'model' or 'emulate'", emulate);
    }
    return {
      ...(model === undefined ? {} : { model }),
      ...(emulate === undefined ? {} : { emulate }),
      ...(tokenizer === undefined ? {} : { tokenizer }),
    };
  };

  const routes: Routes<Handler> = {
    '/health': { GET: () => ({ body: { status: 'ok' } }) },
    '/metrics': { GET: async () => ({ type: metrics.contentType, body: await metrics.text() }) },
    '/admin/models': {
      GET: () => ({ body: { data: registry.list() } }),
      async POST(request) {
        const { id, ...choice } = parseLoad(body(request));
        const name = id ?? idOf(chosen(choice));
        return { status: 201, body: await registry.load(name, () => open(chosen(choice), name)) };
      },
    },
    '/admin/models/{id}/swap': {
      async POST(request, [id]) {
        const { keep_warm_seconds, ...choice } = parseSwap(body(request));
        return { body: await registry.swap(id, () => open(chosen(choice), id), keepWarm(keep_warm_seconds)) };
      },
    },
    '/admin/models/{id}/rollback': {
      POST: (request, [id]) => ({
        body: registry.rollback(id, keepWarm(parseRollback(body(request)).keep_warm_seconds)),
      }),
    },
    '/admin/models/{id}/provenance': { GET: async (_, [id]) => ({ body: await registry.provenance(id) }) },
    '/admin/models/{id}': {
      GET: (_, [id]) => ({ body: registry.status(id) }),
      DELETE(_, [id]) {
        registry.unload(id);
        return { body: { id, unloaded: true } };
      },
    },
    '/admin/aliases/{alias}': {
      PUT(request, [alias]) {
        const { model } = parseAlias(body(request));
        registry.setAlias(alias, model);
        return { body: { alias, model } };
      },
      DELETE(_, [alias]) {
        registry.removeAlias(alias);
        return { body: { alias, removed: true } };
      },
    },
    '/admin/tenants': {
      GET: () => ({ body: { data: access.tenants } }),
      async POST(request) {
        const { id, limits = {}, models, priority = 0, weight, suspended = false } = parseTenant(body(request));
        return {
          body: await access.saveTenant({
            id,
            limits,
            ...(models === undefined ? {} : { models }),
            priority,
            ...(weight === undefined ? {} : { weight }),
            suspended,
          }),
        };
      },
    },
    '/admin/keys': {
      GET: () => ({ body: { data: access.keys.map(shownKey) } }),
      async POST(request) {
        const { tenant, name = '', expires_in_days: days } = parseKey(body(request));
        const expires = days === undefined ? {} : { expires: Math.floor(clock.now() + days * DAY) };
        const { key, secret } = await access.createKey({ tenant, name, ...expires });
        return { status: 201, body: { ...shownKey(key), key: secret }, detail: JSON.stringify(shownKey(key)) };
      },
    },
    '/admin/keys/{prefix}': {
      DELETE: async (_, [prefix]) => ({ body: shownKey(await access.revokeKey(prefix)) }),
    },
    '/admin/usage': {
      async GET({ query }) {
        const filter = usageFilter(query);
        await flush();
        return { body: { ...filter, data: await records.usage(filter) } };
      },
    },
    '/admin/audit': {
      async GET({ query }) {
        const most = wholeOf(queryOf(query, ['limit']), 'limit', 1, AUDIT_MOST) ?? AUDIT_DEFAULT;
        return { body: { data: await records.audit(most) } };
      },
    },
  };
  const route = createRouter(routes);

  const authorize = ({ headers }: ApiRequest): void => {
    const key = /^Bearer +(\S+)$/i.exec(headers?.['authorization'] ?? '')?.[1] ?? '';
    if (tools.equal(tools.hash(key), adminHash)) return;
    throw new ApiError({
      status: 401,
      code: 'invalid_admin_key',
      message: key === '' ? 'You did not provide the admin key.' : 'This is not the admin key.',
      suggestion: 'Send "Authorization: Bearer KEY" with the key that the server was started with.',
    });
  };

  const respond = (status: number, value: unknown, requestId: string, type?: string): ApiResponse => ({
    status,
    // Secrets pass here.
    headers: { 'content-type': type ?? 'application/json', 'x-request-id': requestId, 'cache-control': 'no-store' },
    body: type === undefined ? JSON.stringify(value) : String(value),
  });
  const newRequestId = (): string =>
    `req_${Array.from({ length: 4 }, () => rng.u32().toString(16).padStart(8, '0')).join('')}`;

  return {
    async handle(request) {
      const requestId = newRequestId();
      const { method, path, from = '' } = request;
      const { name, parts } = route(path);
      const isChange = method !== 'GET' && method !== 'HEAD';
      let outcome = 200;
      let detail = request.body.slice(0, DETAIL_LENGTH);
      let actor = 'admin';
      let response: ApiResponse;
      try {
        if (name !== '/health') {
          actor = 'unknown';
          authorize(request);
          actor = 'admin';
        }
        const handler = handlerOf(request, Object.hasOwn(routes, name) ? routes[name] : undefined, 'See docs/api.md.');
        const answer = await handler(request, parts);
        outcome = answer.status ?? 200;
        detail = answer.detail ?? detail;
        response = respond(outcome, answer.body, requestId, answer.type);
      } catch (cause) {
        const error = adminErrorOf(cause);
        outcome = error.status;
        if (outcome >= 500) onFailure?.(cause, requestId);
        response = respond(outcome, errorBody(error), requestId);
      }
      // Doors that were tried and did not open, too; what they said is nobody's.
      if (isChange || outcome === 401) {
        const told = outcome === 401 ? '' : detail;
        try {
          await records.appendAudit({
            time: clock.now(),
            actor,
            from,
            action: `${method} ${path}`,
            detail: told,
            outcome,
          });
        } catch (error) {
          onFailure?.(error, requestId);
          const lost = new ApiError({
            status: 500,
            code: 'audit_failed',
            message: `The action ended with ${outcome}, but could not be written to the audit log.`,
          });
          return respond(500, errorBody(lost), requestId);
        }
      }
      return response;
    },
    refuse: (error) => respond(error.status, errorBody(apiErrorOf(error)), newRequestId()),
  };
}

/** Without the hash, which is of no use to a person. */
function shownKey(key: ApiKey): Omit<ApiKey, 'hash'> {
  const { hash: _, ...shown } = key;
  return shown;
}

/** @throws ApiError 400 where it has other names */
function queryOf(query: string | undefined, names: readonly string[]): URLSearchParams {
  const parameters = new URLSearchParams(query ?? '');
  for (const name of parameters.keys()) {
    if (!names.includes(name)) throw badValue(name.slice(0, 100), `one of ${names.join(', ')}`, name);
  }
  return parameters;
}

function wholeOf(query: URLSearchParams, name: string, least: number, most: number): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  throw badValue(name, `a whole number from ${least} to ${most}`, text);
}

function usageFilter(text: string | undefined): UsageFilter {
  const query = queryOf(text, ['tenant', 'from', 'to']);
  const tenant = query.get('tenant');
  const hour = (name: 'from' | 'to'): number | undefined => {
    const time = wholeOf(query, name, 0, Number.MAX_SAFE_INTEGER);
    if (time !== undefined && time % USAGE_GRAIN_SECONDS !== 0) {
      throw badValue(name, 'Unix seconds of a whole hour: usage is summed by the hour', time);
    }
    return time;
  };
  const [from, to] = [hour('from'), hour('to')];
  return {
    ...(tenant === null ? {} : { tenant }),
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
  };
}

// Who asks, whether they may, and how much they have left. Keys and tenants are kept by `Records`; the buckets are this
// server's own, full when it starts.

import { fail, nearest, seconds, type Clock, type Seconds } from '../../core/index.ts';
import { ApiError, shownName } from '../../protocol/index.ts';
import { duration } from '../http/limit-headers.ts';
import type { Records } from '../ledger/index.ts';
import type { ApiKey, Tenant } from './tenant.ts';
import { createTokenBucket, type TokenBucket } from './token-bucket.ts';

/** Makes and compares secrets. */
export interface KeyTools {
  /** 256 random bits, as text of letters, digits, `-` and `_`. */
  newSecret(): string;
  /** Some random letters and digits that stand in the open. */
  newName(): string;
  /** Hexadecimal SHA-256. */
  hash(text: string): string;
  /** Compares hashes in a time that does not depend on where they differ. */
  equal(a: string, b: string): boolean;
}

/** Who sent a request. */
export interface Visitor {
  readonly tenant: string;
  /** Prefix of the key. */
  readonly key: string;
  readonly priority: number;
  readonly weight: number;
  /** Models that it may not use are not there for it. */
  mayUse(model: string): boolean;
  /** A request begins. @throws ApiError 429 where it is one too many */
  begin(): Visit;
  limitHeaders(): Readonly<Record<string, string>>;
}

/** A request in progress, as far as limits go. */
export interface Visit {
  /**
   * Tokens that it will take at most, before they are computed: what was asked for, or a full bucket where that is less.
   * @param prompt tokens of its prompts @param answer most tokens of its answers, 0 where it does not say
   * @throws ApiError 429
   */
  reserve(prompt: number, answer: number): void;
  /** What it took in truth, in the place of what was reserved. */
  settle(tokens: number): void;
  /** May be called again. */
  end(): void;
}

export interface Access {
  readonly tenants: readonly Tenant[];
  readonly keys: readonly ApiKey[];
  /** @param authorization the header @throws ApiError 401, 403 */
  identify(authorization: string | undefined): Visitor;
  /** Make or change a tenant; what it has used of its limits stays used. */
  saveTenant(tenant: Omit<Tenant, 'created'>): Promise<Tenant>;
  /** @returns the key, and its secret, which nobody can show again @throws IngotError TENANT_UNKNOWN */
  createKey(wanted: {
    readonly tenant: string;
    readonly name: string;
    readonly expires?: number;
  }): Promise<{ readonly key: ApiKey; readonly secret: string }>;
  /** @throws IngotError KEY_UNKNOWN */
  revokeKey(prefix: string): Promise<ApiKey>;
}

export interface AccessOptions {
  readonly records: Records;
  /** Unix time. */
  readonly clock: Clock;
  readonly tools: KeyTools;
}

const KEY_START = 'ingot-';

/** What a tenant has in use. */
interface Use {
  requests: TokenBucket | undefined;
  tokens: TokenBucket | undefined;
  inProgress: number;
}

export async function openAccess({ records, clock, tools }: AccessOptions): Promise<Access> {
  const stored = await records.load();
  const tenants = new Map(stored.tenants.map((tenant) => [tenant.id, tenant]));
  const keys = new Map(stored.keys.map((key) => [key.prefix, key]));
  const uses = new Map<string, Use>();

  const bucket = (perMinute: number | undefined, old: TokenBucket | undefined): TokenBucket | undefined => {
    if (perMinute === undefined) return undefined;
    if (perMinute === old?.capacity) return old;
    const made = createTokenBucket(perMinute, clock);
    if (old !== undefined) made.take(old.capacity - old.level());
    return made;
  };

  const useOf = ({ id, limits }: Tenant): Use => {
    const old = uses.get(id);
    if (old !== undefined) return old;
    const use = {
      requests: bucket(limits.requests_per_minute, undefined),
      tokens: bucket(limits.tokens_per_minute, undefined),
      inProgress: 0,
    };
    uses.set(id, use);
    return use;
  };

  const keyOf = (authorization: string | undefined): ApiKey => {
    if (authorization === undefined || authorization === '') {
      throw unauthorized('You did not provide an API key.', 'Send it as "Authorization: Bearer KEY".');
    }
    const secret = /^Bearer +(\S+)$/i.exec(authorization)?.[1];
    if (secret === undefined) {
      throw unauthorized(
        'The authorization header is not of the form "Bearer KEY".',
        'Send "Authorization: Bearer KEY".',
      );
    }
    // Names that do not exist take as long as those that do, so that nobody can list them.
    const hash = tools.hash(secret);
    const key = keys.get(prefixOf(secret));
    if (!tools.equal(hash, key?.hash ?? '0'.repeat(hash.length)) || key === undefined) {
      throw unauthorized(
        `Incorrect API key provided: ${shownKey(secret)}.`,
        'Ask the operator of this server for a key.',
      );
    }
    if (key.revoked !== undefined) throw unauthorized(`The API key ${key.prefix}… has been revoked.`);
    if (key.expires !== undefined && clock.now() >= key.expires) {
      throw unauthorized(`The API key ${key.prefix}… has expired.`);
    }
    return key;
  };

  return {
    get tenants() {
      return [...tenants.values()];
    },
    get keys() {
      return [...keys.values()];
    },
    identify(authorization) {
      const { prefix, tenant: id } = keyOf(authorization);
      const tenant = tenants.get(id);
      if (tenant === undefined || tenant.suspended) {
        throw new ApiError({
          status: 403,
          code: 'tenant_suspended',
          message: `The tenant '${id}' of this API key is suspended.`,
          suggestion: 'Ask the operator of this server.',
        });
      }
      return visitorOf(tenant, prefix, useOf(tenant));
    },
    async saveTenant(wanted) {
      const old = tenants.get(wanted.id);
      const tenant: Tenant = { ...wanted, created: old?.created ?? Math.floor(clock.now()) };
      await records.saveTenant(tenant);
      tenants.set(tenant.id, tenant);
      const use = uses.get(tenant.id);
      if (use !== undefined) {
        use.requests = bucket(tenant.limits.requests_per_minute, use.requests);
        use.tokens = bucket(tenant.limits.tokens_per_minute, use.tokens);
      }
      return tenant;
    },
    async createKey({ tenant, name, expires }) {
      if (!tenants.has(tenant)) {
        const near = nearest(tenant, tenants.keys());
        fail({
          code: 'TENANT_UNKNOWN',
          message: `there is no tenant '${shownName(tenant)}'`,
          suggestion: near === undefined ? 'create it first' : `did you mean '${near}'?`,
        });
      }
      const secret = `${KEY_START}${tools.newName()}-${tools.newSecret()}`;
      const key: ApiKey = {
        prefix: prefixOf(secret),
        hash: tools.hash(secret),
        tenant,
        name,
        created: Math.floor(clock.now()),
        ...(expires === undefined ? {} : { expires }),
      };
      await records.saveKey(key);
      keys.set(key.prefix, key);
      return { key, secret };
    },
    async revokeKey(prefix) {
      const key = keys.get(prefix) ?? fail({ code: 'KEY_UNKNOWN', message: `there is no key '${shownName(prefix)}'` });
      const revoked = { ...key, revoked: key.revoked ?? Math.floor(clock.now()) };
      // At once here, even where the store fails: a key is revoked for a reason.
      keys.set(prefix, revoked);
      await records.saveKey(revoked);
      return revoked;
    },
  };
}

function visitorOf(tenant: Tenant, key: string, use: Use): Visitor {
  const { id, limits, models, priority, weight = 1 } = tenant;
  return {
    tenant: id,
    key,
    priority,
    weight,
    mayUse: (model) => models === undefined || models.includes(model),
    begin() {
      const { concurrent_requests: most } = limits;
      if (most !== undefined && use.inProgress >= most) {
        // How long the others take nobody knows.
        throw tooMany(`'${id}' has ${use.inProgress} requests in progress, and may have ${most}.`, seconds(1));
      }
      const { requests } = use;
      if (requests !== undefined) {
        const wait = requests.wait(1);
        if (wait > 0) throw tooMany(`Rate limit of '${id}': ${requests.capacity} requests per minute.`, wait);
        requests.take(1);
      }
      use.inProgress++;
      return visitOf(id, use);
    },
    limitHeaders: () => ({
      ...bucketHeaders('requests', use.requests),
      ...bucketHeaders('tokens', use.tokens),
    }),
  };
}

function visitOf(tenant: string, use: Use): Visit {
  let reserved = 0;
  let isOver = false;
  return {
    reserve(prompt, answer) {
      const { tokens } = use;
      if (tokens === undefined) return;
      const wanted = Math.max(prompt, Math.min(prompt + answer, tokens.capacity));
      const wait = tokens.wait(wanted);
      if (wait > 0) {
        const limit = `Rate limit of '${tenant}': ${tokens.capacity} tokens per minute, ${prompt + answer} requested.`;
        throw tooMany(limit, wait);
      }
      tokens.take(wanted);
      reserved = wanted;
    },
    settle(taken) {
      use.tokens?.take(taken - reserved);
      reserved = 0;
    },
    end() {
      if (isOver) return;
      isOver = true;
      // What was never computed cost nothing.
      use.tokens?.take(-reserved);
      use.inProgress--;
    },
  };
}

/** As OpenAI writes them, then as Cerebras does; a tenant without a limit has none to tell. */
function bucketHeaders(name: 'requests' | 'tokens', bucket: TokenBucket | undefined): Readonly<Record<string, string>> {
  if (bucket === undefined) return {};
  return {
    [`x-ratelimit-limit-${name}`]: String(bucket.capacity),
    [`x-ratelimit-remaining-${name}`]: String(Math.max(0, Math.floor(bucket.level()))),
    [`x-ratelimit-reset-${name}`]: duration(bucket.wait(bucket.capacity)),
    [`x-ratelimit-limit-${name}-minute`]: String(bucket.capacity),
    [`x-ratelimit-remaining-${name}-minute`]: String(Math.max(0, Math.floor(bucket.level()))),
    [`x-ratelimit-reset-${name}-minute`]: bucket.wait(bucket.capacity).toFixed(3),
  };
}

/** Everything before the secret part. */
const prefixOf = (secret: string): string => secret.split('-', 2).join('-');

/** Enough to find the mistake, and nothing that opens a door. */
const shownKey = (secret: string): string =>
  secret.startsWith(KEY_START) ? `${shownName(prefixOf(secret))}…` : `${secret.slice(0, 4)}…`;

const unauthorized = (message: string, suggestion?: string): ApiError =>
  new ApiError({ status: 401, code: 'invalid_api_key', message, ...(suggestion === undefined ? {} : { suggestion }) });

const tooMany = (message: string, retryAfter: Seconds): ApiError =>
  new ApiError({
    status: 429,
    code: 'rate_limit_exceeded',
    message,
    retryAfter,
    suggestion: Number.isFinite(retryAfter)
      ? `Please try again in ${duration(retryAfter)}.`
      : 'It is more than the limit allows at all: send a shorter prompt.',
  });

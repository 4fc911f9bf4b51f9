// What a server keeps: tenants, keys, who changed what, and what was used. Where it is kept is the implementation's affair:
// in memory here, in a database in app/storage. One law suite holds for all.

import { assert } from '../../core/index.ts';
import type { ApiKey, Tenant } from '../access/tenant.ts';

/** One request's use, exact to the token. */
export interface UsageRow {
  /** Unique for ever: a row that comes twice counts once. */
  readonly id: string;
  /** Unix seconds of its end. */
  readonly time: number;
  readonly tenant: string;
  /** Prefix of the key. */
  readonly key: string;
  readonly model: string;
  readonly version: number;
  readonly request: string;
  /** `cancelled`: the client left; what was computed until then counts. */
  readonly outcome: 'complete' | 'cancelled' | 'failed';
  readonly prompt_tokens: number;
  /** Of the prompt's, those that the prefix cache had. */
  readonly cached_tokens: number;
  readonly completion_tokens: number;
  /** Its share of the simulated wafer's time and energy. */
  readonly wafer_seconds: number;
  readonly wafer_joules: number;
}

const isText = (value: unknown): boolean => typeof value === 'string' && !value.includes('\0');
const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 0;

const CHECKS: Readonly<Record<keyof UsageRow, (value: unknown) => boolean>> = {
  id: isText,
  time: Number.isFinite,
  tenant: isText,
  key: isText,
  model: isText,
  version: isCount,
  request: isText,
  outcome: (value) => value === 'complete' || value === 'cancelled' || value === 'failed',
  prompt_tokens: isCount,
  cached_tokens: isCount,
  completion_tokens: isCount,
  wafer_seconds: Number.isFinite,
  wafer_joules: Number.isFinite,
};

/** A row as databases take it, from what was read; undefined where it is none. What a newer version wrote beside is left out. */
export function usageRowOf(read: unknown): UsageRow | undefined {
  if (typeof read !== 'object' || read === null) return undefined;
  const given = new Map<string, unknown>(Object.entries(read));
  const fields = Object.entries(CHECKS).map(([name, isValid]) => ({ name, value: given.get(name), isValid }));
  if (!fields.every(({ value, isValid }) => isValid(value))) return undefined;
  return Object.fromEntries(fields.map(({ name, value }) => [name, value])) as unknown as UsageRow;
}

/** A row before it has a name. */
export type Usage = Omit<UsageRow, 'id'>;

/** Rows on their way. */
export interface LedgerCounts {
  /** Not yet in the records. */
  readonly waiting: number;
  /** Since the start: what no place was left for, and damaged lines of the journal. */
  readonly lost: number;
}

/** Sums of rows. */
export interface UsageTotal {
  readonly tenant: string;
  readonly model: string;
  readonly requests: number;
  readonly prompt_tokens: number;
  readonly cached_tokens: number;
  readonly completion_tokens: number;
  readonly wafer_seconds: number;
  readonly wafer_joules: number;
}

/** Rows are summed by the hour, so bounds are whole hours. */
export const USAGE_GRAIN_SECONDS = 3600;

export interface UsageFilter {
  readonly tenant?: string;
  /** Unix seconds, whole hours: from the one, before the other. */
  readonly from?: number;
  readonly to?: number;
}

/** An action of an operator; entries are only ever added. */
export interface AuditEntry {
  /** Unix seconds. */
  readonly time: number;
  /** Who acted. */
  readonly actor: string;
  /** From which address. */
  readonly from: string;
  /** For example `POST /admin/keys`. */
  readonly action: string;
  /** What was asked for. */
  readonly detail: string;
  /** HTTP status that it ended with. */
  readonly outcome: number;
}

export interface Records {
  load(): Promise<{ readonly tenants: readonly Tenant[]; readonly keys: readonly ApiKey[] }>;
  saveTenant(tenant: Tenant): Promise<void>;
  saveKey(key: ApiKey): Promise<void>;
  appendAudit(entry: AuditEntry): Promise<void>;
  /** Newest first. */
  audit(most: number): Promise<readonly AuditEntry[]>;
  /** All of them or none. Rows that are there already are left alone. */
  appendUsage(rows: readonly UsageRow[]): Promise<void>;
  /** By tenant and model, in the order of their names. */
  usage(filter: UsageFilter): Promise<readonly UsageTotal[]>;
  close(): Promise<void>;
}

/** Entries of the audit log that are kept in memory. */
const MOST_AUDIT = 10_000;
/** Rows by which a second coming is recognised; a writer repeats only its newest. */
const MOST_KNOWN = 10_000;

/** Gone when the process ends; sums only, so that it does not grow with requests. */
export function createMemoryRecords(): Records {
  const tenants = new Map<string, Tenant>();
  const keys = new Map<string, ApiKey>();
  const audit: AuditEntry[] = [];
  const known = new Set<string>();
  const sums = new Map<string, { readonly hour: number; total: UsageTotal }>();

  return {
    load: async () => ({ tenants: [...tenants.values()], keys: [...keys.values()] }),
    async saveTenant(tenant) {
      tenants.set(tenant.id, tenant);
    },
    async saveKey(key) {
      keys.set(key.prefix, key);
    },
    async appendAudit(entry) {
      audit.push(entry);
      if (audit.length > MOST_AUDIT) audit.shift();
    },
    audit: async (most) => audit.slice(-most).reverse(),
    async appendUsage(rows) {
      for (const row of rows) {
        if (known.has(row.id)) continue;
        known.add(row.id);
        if (known.size > MOST_KNOWN) for (const oldest of known) if (known.delete(oldest)) break;
        const hour = Math.floor(row.time / USAGE_GRAIN_SECONDS);
        const place = JSON.stringify([hour, row.tenant, row.model]);
        const total = addUsage(sums.get(place)?.total, { ...row, requests: 1 });
        sums.set(place, { hour, total });
      }
    },
    async usage({ tenant, from = -Infinity, to = Infinity }) {
      const totals = new Map<string, UsageTotal>();
      for (const { hour, total } of sums.values()) {
        const start = hour * USAGE_GRAIN_SECONDS;
        if (start < from || start >= to || (tenant !== undefined && total.tenant !== tenant)) continue;
        const place = JSON.stringify([total.tenant, total.model]);
        totals.set(place, addUsage(totals.get(place), total));
      }
      return [...totals.values()].sort(byName);
    },
    close: async () => undefined,
  };
}

/** The sum of both, of one tenant and model. */
export function addUsage(sum: UsageTotal | undefined, next: UsageTotal): UsageTotal {
  const { tenant, model } = next;
  assert(sum === undefined || (sum.tenant === tenant && sum.model === model), 'sums are of one tenant and model');
  return {
    tenant,
    model,
    requests: (sum?.requests ?? 0) + next.requests,
    prompt_tokens: (sum?.prompt_tokens ?? 0) + next.prompt_tokens,
    cached_tokens: (sum?.cached_tokens ?? 0) + next.cached_tokens,
    completion_tokens: (sum?.completion_tokens ?? 0) + next.completion_tokens,
    wafer_seconds: (sum?.wafer_seconds ?? 0) + next.wafer_seconds,
    wafer_joules: (sum?.wafer_joules ?? 0) + next.wafer_joules,
  };
}

/** By code points, as a database with collation "C" sorts. */
export const byName = (a: UsageTotal, b: UsageTotal): number => {
  const order = (x: string, y: string): number => (x < y ? -1 : x > y ? 1 : 0);
  return order(a.tenant, b.tenant) || order(a.model, b.model);
};

// Tables of the store, for PGlite and PostgreSQL alike, and how they came to be.

import { sql, type Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

/** Lists and limits are JSON in text columns: both databases then return what was written. */
export interface Tables {
  tenants: {
    id: string;
    limits: string;
    models: string | null;
    priority: number;
    weight: number | null;
    suspended: boolean;
    created: number;
  };
  api_keys: {
    prefix: string;
    hash: string;
    tenant: string;
    name: string;
    created: number;
    expires: number | null;
    revoked: number | null;
  };
  audit: {
    time: number;
    actor: string;
    from_address: string;
    action: string;
    detail: string;
    outcome: number;
  };
  usage: {
    id: string;
    time: number;
    tenant: string;
    api_key: string;
    model: string;
    version: number;
    request: string;
    outcome: string;
    prompt_tokens: number;
    cached_tokens: number;
    completion_tokens: number;
    wafer_seconds: number;
    wafer_joules: number;
  };
}

/** In order. A migration that has been released is never changed: what follows it is another. */
export const migrations: Readonly<Record<string, Migration>> = {
  '0001-first': {
    async up(db: Kysely<never>) {
      const statements = [
        sql`create table tenants (
          id text primary key, limits text not null, models text, priority integer not null,
          suspended boolean not null, created bigint not null)`,
        sql`create table api_keys (
          prefix text primary key, hash text not null, tenant text not null references tenants (id),
          name text not null, created bigint not null, expires bigint, revoked bigint)`,
        sql`create table audit (
          number bigint generated always as identity primary key, time double precision not null, actor text not null,
          from_address text not null, action text not null, detail text not null, outcome integer not null)`,
        // Append-only, for whoever has this connection too.
        sql`create function refuse_change() returns trigger language plpgsql as
          $$ begin raise exception 'entries of this table are never changed'; end $$`,
        sql`create trigger audit_append_only before update or delete on audit
          for each statement execute function refuse_change()`,
        sql`create trigger audit_no_truncate before truncate on audit
          for each statement execute function refuse_change()`,
        sql`create table usage (
          id text primary key, time double precision not null, tenant text not null, api_key text not null,
          model text not null, version integer not null, request text not null, outcome text not null,
          prompt_tokens bigint not null, cached_tokens bigint not null, completion_tokens bigint not null,
          wafer_seconds double precision not null, wafer_joules double precision not null)`,
        sql`create index usage_by_tenant_and_time on usage (tenant, time)`,
      ];
      for (const statement of statements) await statement.execute(db);
    },
  },
  '0002-weights': {
    async up(db: Kysely<never>) {
      await sql`alter table tenants add column weight double precision`.execute(db);
    },
  },
};

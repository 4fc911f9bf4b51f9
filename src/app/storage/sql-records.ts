// Records in a database. The same statements run on PGlite and PostgreSQL.

import { sql, type Kysely } from 'kysely';

import type { ApiKey, AuditEntry, Records, Tenant, UsageTotal } from '../../runtime/index.ts';
import type { Tables } from './tables.ts';

/** Rows of one statement: PostgreSQL takes 65,535 parameters. */
const ROWS_AT_ONCE = 1000;

/** @param db migrated; closed with the records */
export function createSqlRecords(db: Kysely<Tables>): Records {
  return {
    async load() {
      const tenants = await db.selectFrom('tenants').selectAll().orderBy('created').orderBy('id').execute();
      const keys = await db.selectFrom('api_keys').selectAll().orderBy('created').orderBy('prefix').execute();
      return {
        tenants: tenants.map(
          ({ limits, models, weight, ...tenant }): Tenant => ({
            ...tenant,
            limits: JSON.parse(limits) as Tenant['limits'],
            ...(models === null ? {} : { models: JSON.parse(models) as string[] }),
            ...(weight === null ? {} : { weight }),
          }),
        ),
        keys: keys.map(
          ({ expires, revoked, ...key }): ApiKey => ({
            ...key,
            ...(expires === null ? {} : { expires }),
            ...(revoked === null ? {} : { revoked }),
          }),
        ),
      };
    },
    async saveTenant({ id, limits, models, priority, weight, suspended, created }) {
      const row = {
        limits: JSON.stringify(limits),
        models: models === undefined ? null : JSON.stringify(models),
        priority,
        weight: weight ?? null,
        suspended,
        created,
      };
      await db
        .insertInto('tenants')
        .values({ id, ...row })
        .onConflict((conflict) => conflict.column('id').doUpdateSet(row))
        .execute();
    },
    async saveKey({ prefix, expires, revoked, ...rest }) {
      const row = { ...rest, expires: expires ?? null, revoked: revoked ?? null };
      await db
        .insertInto('api_keys')
        .values({ prefix, ...row })
        .onConflict((conflict) => conflict.column('prefix').doUpdateSet(row))
        .execute();
    },
    async appendAudit({ from, ...entry }) {
      await db
        .insertInto('audit')
        .values({ ...entry, from_address: from })
        .execute();
    },
    async audit(most) {
      const entries = await db
        .selectFrom('audit')
        .select(['time', 'actor', 'from_address as from', 'action', 'detail', 'outcome'])
        .orderBy(sql`number`, 'desc')
        .limit(most)
        .execute();
      return entries satisfies AuditEntry[];
    },
    async appendUsage(rows) {
      await db.transaction().execute(async (transaction) => {
        for (let from = 0; from < rows.length; from += ROWS_AT_ONCE) {
          await transaction
            .insertInto('usage')
            .values(rows.slice(from, from + ROWS_AT_ONCE).map(({ key, ...row }) => ({ ...row, api_key: key })))
            .onConflict((conflict) => conflict.column('id').doNothing())
            .execute();
        }
      });
    },
    async usage({ tenant, from, to }) {
      const sum = (column: string) => sql<number>`sum(${sql.ref(column)})::bigint`;
      let query = db
        .selectFrom('usage')
        .select((of) => [
          'tenant',
          'model',
          of.fn.countAll<number>().as('requests'),
          sum('prompt_tokens').as('prompt_tokens'),
          sum('cached_tokens').as('cached_tokens'),
          sum('completion_tokens').as('completion_tokens'),
          of.fn.sum<number>('wafer_seconds').as('wafer_seconds'),
          of.fn.sum<number>('wafer_joules').as('wafer_joules'),
        ])
        .groupBy(['tenant', 'model'])
        .orderBy(sql`tenant collate "C"`)
        .orderBy(sql`model collate "C"`);
      if (tenant !== undefined) query = query.where('tenant', '=', tenant);
      if (from !== undefined) query = query.where('time', '>=', from);
      if (to !== undefined) query = query.where('time', '<', to);
      return (await query.execute()) satisfies UsageTotal[];
    },
    close: () => db.destroy(),
  };
}

// The database: PGlite in a folder of this machine, or a PostgreSQL server. Loaded only where somebody asks for storage.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { Kysely, PGliteDialect, PostgresDialect } from 'kysely';
import { Migrator } from 'kysely/migration';

import { IngotError } from '../../core/index.ts';
import type { Records } from '../../runtime/index.ts';
import { lockFolder } from './folder-lock.ts';
import { createSqlRecords } from './sql-records.ts';
import { migrations, type Tables } from './tables.ts';

/** PostgreSQL's `bigint`. One driver gives it as a number and the other as text; sums of tokens stay far below 2^53. */
const BIGINT = 20;
/** More would only wait for each other: writes come in batches. */
const CONNECTIONS = 4;
const CONNECT_MS = 10_000;
/** A server that says nothing for so long has failed; what waits for it is tried again. */
const QUERY_MS = 30_000;

/**
 * A database within this process. Only one process may have the folder open.
 * @param dir is made where it is not there
 * @throws IngotError DATA_IN_USE, DATABASE_FAILED
 */
export async function openEmbedded(dir: string): Promise<Records> {
  mkdirSync(dir, { recursive: true });
  const release = lockFolder(dir);
  try {
    const { PGlite } = await import('@electric-sql/pglite');
    const pglite = new PGlite(join(dir, 'pglite'), { parsers: { [BIGINT]: Number } });
    const records = await migrated(new Kysely<Tables>({ dialect: new PGliteDialect({ pglite }) }), dir);
    return {
      ...records,
      async close() {
        await records.close();
        release();
      },
    };
  } catch (error) {
    release();
    throw error;
  }
}

/** @param url as in DATABASE_URL @throws IngotError DATABASE_FAILED */
export async function openPostgres(url: string): Promise<Records> {
  const { default: pg } = await import('pg');
  const types = new pg.TypeOverrides();
  types.setTypeParser(BIGINT, Number);
  const pool = new pg.Pool({
    connectionString: url,
    max: CONNECTIONS,
    connectionTimeoutMillis: CONNECT_MS,
    query_timeout: QUERY_MS,
    types,
  });
  // A connection that breaks while nobody uses it is made again when somebody does; whoever uses one hears from the query, and
  // what the connection says beside that would end the process.
  pool.on('error', () => undefined);
  pool.on('connect', (client) => client.on('error', () => undefined));
  return migrated(new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) }), withoutSecrets(url));
}

async function migrated(db: Kysely<Tables>, where: string): Promise<Records> {
  const migrator = new Migrator({ db, provider: { getMigrations: () => Promise.resolve({ ...migrations }) } });
  let error: unknown;
  try {
    ({ error } = await migrator.migrateToLatest());
  } catch (cause) {
    error = cause;
  }
  if (error === undefined) return createSqlRecords(db);
  await db.destroy().catch(() => undefined);
  throw new IngotError(
    {
      code: 'DATABASE_FAILED',
      message: `the database could not be opened: ${error instanceof Error ? error.message : String(error)}`,
      where,
      suggestion: 'check that it runs, and that DATABASE_URL or --data names it',
    },
    { cause: error },
  );
}

function withoutSecrets(url: string): string {
  try {
    const { protocol, host, pathname } = new URL(url);
    return `${protocol}//${host}${pathname}`;
  } catch {
    return 'DATABASE_URL';
  }
}

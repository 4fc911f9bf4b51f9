// The database: PGlite in a folder of this machine, or a PostgreSQL server. Loaded only where somebody asks for storage.

import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join, resolve } from 'node:path';
import process from 'node:process';

import { Kysely, PGliteDialect, PostgresDialect } from 'kysely';
import { Migrator } from 'kysely/migration';

import { fail, IngotError } from '../../core/index.ts';
import type { Records } from '../../runtime/index.ts';
import { createSqlRecords } from './sql-records.ts';
import { migrations, type Tables } from './tables.ts';

/** PostgreSQL's `bigint`. One driver gives it as a number and the other as text; sums of tokens stay far below 2^53. */
const BIGINT = 20;
/** More would only wait for each other: writes come in batches. */
const CONNECTIONS = 4;
const CONNECT_MS = 10_000;

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
    types,
  });
  // A connection that breaks while nobody uses it is made again when somebody does.
  pool.on('error', () => undefined);
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

/** Folders that this process has open; the number of a killed process may come again. */
const opened = new Set<string>();

/** Two processes in one folder would destroy it. @returns what gives it free @throws IngotError DATA_IN_USE */
function lockFolder(dir: string): () => void {
  const file = join(dir, 'lock');
  const take = (): number | undefined => {
    try {
      return openSync(file, 'wx');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return undefined;
      throw error;
    }
  };
  let lock = take();
  if (lock === undefined) {
    const owner = Number(readFileSync(file, 'utf8'));
    if (owner === process.pid ? opened.has(resolve(dir)) : isAlive(owner)) {
      fail({
        code: 'DATA_IN_USE',
        message: 'another server has this folder open',
        where: dir,
        found: `process ${owner}`,
        suggestion: `end that server, or take another folder; if there is no such server, remove ${file}`,
      });
    }
    // Whoever had it was killed.
    rmSync(file, { force: true });
    lock = take() ?? fail({ code: 'DATA_IN_USE', message: 'another server has just opened this folder', where: dir });
  }
  writeSync(lock, String(process.pid));
  closeSync(lock);
  opened.add(resolve(dir));
  return () => {
    opened.delete(resolve(dir));
    rmSync(file, { force: true });
  };
}

function isAlive(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

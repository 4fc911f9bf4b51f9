// What a server needs beyond models when others use it: keys and tenants, the ledger, the admin API. Nothing of it is loaded
// or kept where nobody asks for it.

import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';

import { createRng, fail } from '../core/index.ts';
import {
  createAdminApi,
  createMemoryRecords,
  openAccess,
  type Access,
  type AdminChoice,
  type Api,
  type LedgerCounts,
  type Records,
  type Usage,
} from '../runtime/index.ts';
import { keyTools } from '../runtime/index.node.ts';
import { wallClock } from './http/wall-clock.ts';
import { SHIPPED_ID } from './source.ts';
import type { Serving } from './serving.ts';
import type { Ledger } from './storage/ledger.ts';

export interface OperationsOptions {
  /** Every request needs a key. */
  readonly auth: boolean;
  /** There will be an admin API. */
  readonly admin: boolean;
  /** File with the admin's key; one is made where it is absent. */
  readonly adminKeyFile?: string;
  /** Folder for what is kept; PGlite and the journal of usage lie there. */
  readonly data?: string;
  /** PostgreSQL in the place of PGlite. */
  readonly databaseUrl?: string;
  readonly onFailure?: (error: unknown, requestId: string) => void;
}

export interface Operations {
  readonly access?: Access;
  readonly onUsage?: (usage: Usage) => void;
  /** What is on its way into the ledger. */
  readonly ledger?: () => LedgerCounts;
  /** The key that was made for the admin, to be shown once. */
  readonly madeAdminKey?: string;
  adminApi(serving: Serving): Api;
  /** After the last answer. */
  close(): Promise<void>;
}

/** A key that could be guessed would open everything. */
const ADMIN_KEY_LENGTH = 32;

/** @throws IngotError ADMIN_KEY_INVALID, DATA_IN_USE, DATABASE_FAILED */
export async function openOperations(options: OperationsOptions): Promise<Operations> {
  const { auth, admin, adminKeyFile, data, databaseUrl, onFailure } = options;
  const madeAdminKey = admin && adminKeyFile === undefined ? `ingot-admin-${keyTools.newSecret()}` : undefined;
  const adminKey = adminKeyFile === undefined ? madeAdminKey : readAdminKey(adminKeyFile);
  const isKept = data !== undefined || databaseUrl !== undefined;
  const records = await openRecords(data, databaseUrl);
  try {
    const access = await openAccess({ records, clock: wallClock, tools: keyTools });
    const tell = (text: string, cause?: unknown): void =>
      onFailure?.(new Error(text, cause === undefined ? {} : { cause }), 'ledger');
    const ledger = isKept || admin ? await startLedger(records, data, tell) : undefined;
    return {
      ...(auth ? { access } : {}),
      ...(ledger === undefined ? {} : { onUsage: (usage: Usage) => ledger.append(usage), ledger: () => ledger.counts }),
      madeAdminKey,
      adminApi: (serving) =>
        createAdminApi({
          registry: serving.registry,
          access,
          records,
          metrics: serving.api.metrics,
          open: async (choice, name) => (await serving.open(choice, name)).version,
          idOf,
          flush: () => ledger?.flush() ?? Promise.resolve(),
          tools: keyTools,
          adminHash: keyTools.hash(adminKey ?? keyTools.newSecret()),
          clock: wallClock,
          rng: createRng(randomInt(2 ** 32)),
          onFailure,
        }),
      async close() {
        await ledger?.close();
        await records.close();
      },
    };
  } catch (error) {
    await records.close();
    throw error;
  }
}

async function openRecords(data: string | undefined, databaseUrl: string | undefined): Promise<Records> {
  if (data === undefined && databaseUrl === undefined) return createMemoryRecords();
  const { openEmbedded, openPostgres } = await import('./storage/database.ts');
  if (databaseUrl !== undefined) return openPostgres(databaseUrl);
  return openEmbedded(data ?? '');
}

async function startLedger(
  records: Records,
  data: string | undefined,
  tell: (text: string, cause?: unknown) => void,
): Promise<Ledger> {
  const { openLedger } = await import('./storage/ledger.ts');
  return openLedger({ records, tell, ...(data === undefined ? {} : { dir: join(data, 'journal') }) });
}

function readAdminKey(file: string): string {
  let key: string;
  try {
    key = readFileSync(file, 'utf8').trim();
  } catch (error) {
    return fail({
      code: 'ADMIN_KEY_INVALID',
      message: `the file with the admin key cannot be read (${(error as NodeJS.ErrnoException).code})`,
      where: file,
    });
  }
  if (key.length >= ADMIN_KEY_LENGTH && !/\s/.test(key)) return key;
  return fail({
    code: 'ADMIN_KEY_INVALID',
    message: 'this is no admin key',
    where: file,
    expected: `one word of at least ${ADMIN_KEY_LENGTH} characters`,
    found: `${key.length} characters`,
    suggestion: 'make one with: openssl rand -hex 32',
  });
}

const idOf = ({ model, emulate }: AdminChoice): string => {
  const reference = model ?? emulate;
  return reference === undefined ? SHIPPED_ID : basename(resolve(reference));
};

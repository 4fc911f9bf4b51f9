import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { recordsLaws } from '../../src/runtime/ledger/records.laws.ts';
import { createMemoryRecords, type Records } from '../../src/runtime/index.ts';
import { usageRow } from '../../src/runtime/testing/usage-row.ts';
import { openEmbedded, openPostgres } from '../../src/app/storage/database.ts';
import { openLedger } from '../../src/app/storage/ledger.ts';
import { findPostgres, startPostgres, type TestPostgres } from './postgres.ts';

const root = mkdtempSync(join(tmpdir(), 'ingot-storage-'));
let folders = 0;
const newFolder = (): string => join(root, String(folders++));
const open: Records[] = [];
const closedAfter = async (opening: Promise<Records>): Promise<Records> => {
  const records = await opening;
  open.push(records);
  return records;
};
afterEach(async () => {
  for (const records of open.splice(0)) await records.close();
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Whose rows the process writes that is killed. */
const KILLED = 'killed';

const usageOf = (tenant: string): Parameters<Awaited<ReturnType<typeof openLedger>>['append']>[0] => {
  const { id: _, ...usage } = usageRow({ tenant });
  return usage;
};

/** Start a writer, kill it in the middle, and open what it left. Its rows have a tenant of their own. */
async function killAndReopen(args: readonly string[], reopen: () => Promise<Records>): Promise<void> {
  const writer = spawn(process.execPath, [join(import.meta.dirname, 'ledger-writer.ts'), KILLED, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  await new Promise<void>((resolve, reject) => {
    writer.stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      if (said.split('\n').length > 2300) writer.kill('SIGKILL');
    });
    writer.once('close', () => resolve());
    writer.once('error', reject);
  });
  // The last line may have been cut.
  const acknowledged = Number(said.split('\n').at(-2));
  expect(acknowledged).toBeGreaterThan(2000);
  const records = await closedAfter(reopen());
  const ledger = await openLedger({ records, dir: join(args[0], 'journal') });
  const [total] = await records.usage({ tenant: KILLED });
  // Every row that was acknowledged is there; the last appended may not have been said.
  expect(total.requests).toBeGreaterThanOrEqual(acknowledged);
  expect(total).toMatchObject({
    prompt_tokens: 3 * total.requests,
    cached_tokens: total.requests,
    completion_tokens: 5 * total.requests,
    wafer_seconds: 0.5 * total.requests,
    wafer_joules: 2.5 * total.requests,
  });
  await ledger.close();
  expect(readdirSync(join(args[0], 'journal'))).toEqual([]);
}

// Making a database takes seconds of a core: PostgreSQL makes its own meanwhile, and what the laws leave of PGlite's is killed.
const bin = findPostgres();
const postgres = bin === undefined ? undefined : startPostgres(bin);
postgres?.catch(() => undefined);
const embedded = newFolder();
recordsLaws('PGlite', () => openEmbedded(embedded));

describe('PGlite', () => {
  it('is whole after its process was killed in the middle of writes', async () => {
    await killAndReopen([embedded], () => openEmbedded(embedded));
    // The killed process left its lock, which held nobody up; this process has one too.
    await expect(openEmbedded(embedded)).rejects.toThrow('DATA_IN_USE');
  }, 60_000);
});

describe.skipIf(bin === undefined)('PostgreSQL (skipped where it is not installed)', () => {
  let server: TestPostgres;
  beforeAll(async () => {
    server = (await postgres) as TestPostgres;
  }, 60_000);
  afterAll(() => server?.stop());

  recordsLaws('PostgreSQL', async () => openPostgres(await server.newDatabase()));

  it('is whole after its client was killed in the middle of writes', async () => {
    const url = await server.newDatabase();
    await killAndReopen([newFolder(), url], () => openPostgres(url));
  }, 60_000);

  it('refuses to change the audit log, and says what it cannot reach', async () => {
    const url = await server.newDatabase();
    const records = await closedAfter(openPostgres(url));
    await records.appendAudit({ time: 1, actor: 'a', from: '', action: 'x', detail: '', outcome: 200 });
    const { default: pg } = await import('pg');
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await expect(client.query('delete from audit')).rejects.toThrow('never changed');
    await expect(client.query(`update audit set actor = 'b'`)).rejects.toThrow('never changed');
    await expect(client.query('truncate audit')).rejects.toThrow('never changed');
    await client.end();
    await expect(openPostgres(url.replace('/test', '/no-test'))).rejects.toThrow('DATABASE_FAILED');
  });
});

describe('ledger', () => {
  it('goes on when the database fails for a while, and counts each row once', async () => {
    const memory = createMemoryRecords();
    let isDown = true;
    const failures: unknown[] = [];
    const records: Records = {
      ...memory,
      async appendUsage(rows) {
        await memory.appendUsage(rows);
        // Written, but nobody heard of it.
        if (isDown) throw new Error('connection lost');
      },
    };
    const dir = newFolder();
    const ledger = await openLedger({ records, dir, onFailure: (error) => failures.push(error) });
    ledger.append(usageOf('a'));
    await ledger.flush();
    ledger.append(usageOf('a'));
    await ledger.flush();
    expect(failures).toHaveLength(2);
    expect(readdirSync(dir)).toHaveLength(3);
    isDown = false;
    await ledger.close();
    expect(await memory.usage({})).toMatchObject([{ tenant: 'a', requests: 2 }]);
    expect(readdirSync(dir)).toEqual([]);
  });

  it('goes on where the disk takes nothing, and never fails who appends', async () => {
    const memory = createMemoryRecords();
    const failures: unknown[] = [];
    const dir = newFolder();
    const ledger = await openLedger({ records: memory, dir, onFailure: (error) => failures.push(error) });
    rmSync(dir, { recursive: true });
    ledger.append(usageOf('a'));
    await ledger.flush();
    ledger.append(usageOf('a'));
    await ledger.flush();
    expect(failures).toHaveLength(2);
    expect(await memory.usage({})).toEqual([]);
    mkdirSync(dir);
    await ledger.flush();
    expect(await memory.usage({})).toMatchObject([{ tenant: 'a', requests: 2 }]);
    await ledger.close();
    expect(readdirSync(dir)).toEqual([]);
  });

  it('leaves its journal to the next start where the database never came back', async () => {
    const down: Records = { ...createMemoryRecords(), appendUsage: () => Promise.reject(new Error('down')) };
    const dir = newFolder();
    const ledger = await openLedger({ records: down, dir });
    for (let i = 0; i < 5; i++) ledger.append(usageOf('a'));
    await ledger.close();
    // Cut in the middle of a write.
    writeFileSync(join(dir, 'cut.rows'), '{"id":"x","tena');
    const records = createMemoryRecords();
    await (await openLedger({ records, dir })).close();
    expect(await records.usage({})).toMatchObject([{ tenant: 'a', requests: 5, completion_tokens: 25 }]);
    expect(readdirSync(dir)).toEqual([]);
  });
});

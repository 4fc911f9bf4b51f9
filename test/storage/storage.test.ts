import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { recordsLaws } from '../../src/runtime/ledger/records.laws.ts';
import { createMemoryRecords, type Records, type UsageRow } from '../../src/runtime/index.ts';
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

/**
 * A database is away for a while: every row is there in the end, once.
 * @param halt while something is being written
 */
async function outliveOutage(
  records: Records,
  halt: (written: Promise<void>) => Promise<void>,
  goOn: () => Promise<void>,
): Promise<void> {
  const dir = newFolder();
  const told: string[] = [];
  const ledger = await openLedger({ records, dir, tell: (text) => told.push(text) });
  const append = (rows: number): void => {
    for (let i = 0; i < rows; i++) ledger.append(usageOf('patient'));
  };
  append(3);
  await ledger.flush();
  expect(ledger.counts).toEqual({ waiting: 0, lost: 0 });
  append(1200);
  const cut = ledger.flush();
  await halt(cut);
  await cut;
  append(7);
  await ledger.flush();
  append(5);
  await ledger.flush();
  expect(ledger.counts.waiting).toBeGreaterThanOrEqual(12);
  expect(told).toHaveLength(1);
  expect(told[0]).toMatch(/^\d+ rows of usage wait for the database, 0 are lost$/);
  await goOn();
  append(1);
  await ledger.flush();
  expect(ledger.counts).toEqual({ waiting: 0, lost: 0 });
  // The next try may come by itself, before the last row.
  expect(told.slice(1)).toEqual([
    expect.stringMatching(/^the database answers again; [01] rows of usage wait, 0 are lost$/),
  ]);
  expect(await records.usage({ tenant: 'patient' })).toMatchObject([{ requests: 1216, completion_tokens: 5 * 1216 }]);
  await ledger.close();
  expect(readdirSync(dir)).toEqual([]);
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

describe('PGlite, closed and opened again', () => {
  it('has each row of usage once', async () => {
    let now = await openEmbedded(embedded);
    const records: Records = {
      ...createMemoryRecords(),
      appendUsage: (rows) => now.appendUsage(rows),
      usage: (filter) => now.usage(filter),
    };
    const goOn = async (): Promise<void> => {
      now = await openEmbedded(embedded);
    };
    const halt = async (written: Promise<void>): Promise<void> => {
      // It is not ended by others in the middle of anything.
      await written;
      await now.close();
    };
    await outliveOutage(records, halt, goOn);
    await now.close();
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

  it('has each row of usage once when it was away for a while', async () => {
    const records = await closedAfter(openPostgres(await server.newDatabase()));
    await outliveOutage(records, server.halt, server.goOn);
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
  it('counts a row once that was written and not acknowledged', async () => {
    const memory = createMemoryRecords();
    let isDown = true;
    const records: Records = {
      ...memory,
      async appendUsage(rows) {
        await memory.appendUsage(rows);
        if (isDown) throw new Error('connection lost');
      },
    };
    const dir = newFolder();
    const ledger = await openLedger({ records, dir });
    ledger.append(usageOf('a'));
    await ledger.flush();
    ledger.append(usageOf('a'));
    await ledger.flush();
    expect(ledger.counts.waiting).toBe(2);
    isDown = false;
    await ledger.close();
    expect(await memory.usage({})).toMatchObject([{ tenant: 'a', requests: 2 }]);
    expect(readdirSync(dir)).toEqual([]);
  });

  it('hands over in order however many wait, and reads again what memory does not hold', async () => {
    const batches: (readonly UsageRow[])[] = [];
    let isDown = true;
    const records: Records = {
      ...createMemoryRecords(),
      async appendUsage(rows) {
        if (isDown) throw new Error('down');
        batches.push(rows);
      },
    };
    const dir = newFolder();
    const ledger = await openLedger({ records, dir });
    const rows = 23_000;
    for (let i = 0; i < rows; i++) ledger.append({ ...usageOf('a'), prompt_tokens: i });
    await ledger.flush();
    expect(ledger.counts.waiting).toBe(rows);
    // Whatever memory holds is handed over as it was.
    for (const name of readdirSync(dir).filter((file) => file.endsWith('.rows'))) {
      const text = readFileSync(join(dir, name), 'utf8');
      writeFileSync(join(dir, name), text.replaceAll('"tenant":"a"', '"tenant":"b"'));
    }
    isDown = false;
    await ledger.flush();
    const written = batches.flat();
    expect(written.map((row) => row.prompt_tokens)).toEqual(Array.from({ length: rows }, (_, i) => i));
    expect(Math.max(...batches.map((batch) => batch.length))).toBeLessThanOrEqual(5000);
    expect(written.filter(({ tenant }) => tenant === 'a').length).toBeLessThanOrEqual(10_000);
    await ledger.close();
    expect(readdirSync(dir)).toEqual([]);
  });

  it('goes on where the disk takes nothing, and never fails who appends', async () => {
    const memory = createMemoryRecords();
    const told: string[] = [];
    const dir = newFolder();
    const ledger = await openLedger({ records: memory, dir, tell: (text) => told.push(text) });
    rmSync(dir, { recursive: true });
    ledger.append(usageOf('a'));
    await ledger.flush();
    ledger.append(usageOf('a'));
    await ledger.flush();
    expect(told).toEqual(['the journal of usage takes nothing, and what comes now waits in memory']);
    expect(await memory.usage({})).toEqual([]);
    mkdirSync(dir);
    await ledger.flush();
    expect(await memory.usage({})).toMatchObject([{ tenant: 'a', requests: 2 }]);
    await ledger.close();
    expect(readdirSync(dir)).toEqual([]);
  });

  it('holds so many rows without a journal, and says what is lost beyond', async () => {
    const memory = createMemoryRecords();
    let isDown = true;
    const records: Records = {
      ...memory,
      appendUsage: (rows) => (isDown ? Promise.reject(new Error('down')) : memory.appendUsage(rows)),
    };
    const told: string[] = [];
    const ledger = await openLedger({ records, mostLoose: 10, tell: (text) => told.push(text) });
    for (let i = 0; i < 15; i++) ledger.append(usageOf('a'));
    await ledger.flush();
    expect(ledger.counts).toEqual({ waiting: 10, lost: 5 });
    isDown = false;
    await ledger.flush();
    expect(ledger.counts).toEqual({ waiting: 0, lost: 5 });
    expect(told).toEqual([
      '10 rows of usage wait, memory holds no more, and what comes now is lost',
      '10 rows of usage wait for the database, 5 are lost',
      'the database answers again; 0 rows of usage wait, 5 are lost',
    ]);
    expect(await memory.usage({})).toMatchObject([{ tenant: 'a', requests: 10 }]);
    await ledger.close();
  });

  it('leaves its journal to the next start where the database never came back', async () => {
    const down: Records = { ...createMemoryRecords(), appendUsage: () => Promise.reject(new Error('down')) };
    const dir = newFolder();
    const ledger = await openLedger({ records: down, dir });
    for (let i = 0; i < 5; i++) ledger.append(usageOf('a'));
    // Nobody else takes or removes its rows.
    await expect(openLedger({ records: createMemoryRecords(), dir })).rejects.toThrow('DATA_IN_USE');
    await ledger.close();
    // Cut in the middle of a write, and damaged.
    writeFileSync(join(dir, 'cut.rows'), '{"id":"x","tena');
    const row = usageRow({ tenant: 'a' });
    const damaged = [5, null, [row], {}, { ...row, prompt_tokens: 'many' }, { ...row, wafer_joules: null }];
    const lines = ['not a row', ...[...damaged, { ...row, of_a_newer_version: 1 }].map((line) => JSON.stringify(line))];
    writeFileSync(join(dir, 'bad.rows'), `${lines.join('\n')}\n`);
    const records = createMemoryRecords();
    const given: UsageRow[] = [];
    const appendUsage = (rows: readonly UsageRow[]): Promise<void> => {
      given.push(...rows);
      return records.appendUsage(rows);
    };
    const next = await openLedger({ records: { ...records, appendUsage }, dir });
    expect(next.counts).toEqual({ waiting: 0, lost: 7 });
    expect(given.at(-1)).toEqual(row);
    await next.close();
    expect(await records.usage({})).toMatchObject([{ tenant: 'a', requests: 6, completion_tokens: 30 }]);
    expect(readdirSync(dir)).toEqual(['bad.rows.damaged']);
  });
});

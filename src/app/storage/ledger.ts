// Usage on its way to the records: at once into the journal, in batches into the database. Each row has a name that it is
// written under once, so a row that comes again after a crash or a lost answer is not counted again. While the database
// fails rows wait in the journal; memory holds as many as are named here, and whatever is lost beyond that is told and counted.

import { randomUUID } from 'node:crypto';

import type { LedgerCounts, Records, Usage, UsageRow } from '../../runtime/index.ts';
import { openJournal, type Segment } from './journal.ts';

/** How long a row waits for others. */
const BATCH_MS = 200;
/** After a failure of the database. */
const RETRY_MS = 2000;
/** Failures in a row of which one is told: one a minute. */
const TOLD_FAILURES = 30;
/** Rows that wait in memory alone, where there is no journal or its disk takes nothing: some tens of megabytes. */
const MOST_LOOSE = 100_000;
/** Of these, how many go to the database together. */
const LOOSE_ROWS = 5_000;

export interface Ledger {
  readonly counts: LedgerCounts;
  /** Never throws: an answer does not fail because nobody can write down what it cost. */
  append(usage: Usage): void;
  /** Resolves when all that was appended before is in the records, or could not be. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

export interface LedgerOptions {
  readonly records: Records;
  /** Where the journal lies; without it a killed process loses what waits. */
  readonly dir?: string;
  /** Hears what operators should know: that rows wait, that they do no more, that some are lost. */
  readonly tell?: (text: string, cause?: unknown) => void;
  /** Rows that wait in memory alone at most. */
  readonly mostLoose?: number;
}

/**
 * Rows of an earlier process are handed over first.
 * @throws IngotError DATA_IN_USE
 */
export async function openLedger(options: LedgerOptions): Promise<Ledger> {
  const { records, dir, tell = () => {}, mostLoose = MOST_LOOSE } = options;
  const journal = dir === undefined ? undefined : openJournal(dir);
  const boot = randomUUID();
  let number = 0;
  /** Rows that no journal has. */
  const loose: UsageRow[] = [];
  let lost = 0;
  let isLosing = false;
  let isDiskTold = false;
  /** In a row. */
  let failures = 0;
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> = Promise.resolve();

  const waiting = (): number => (journal?.waiting ?? 0) + loose.length;

  function keepLoose(row: UsageRow): void {
    if (loose.length < mostLoose) {
      loose.push(row);
      return;
    }
    lost++;
    if (!isLosing) tell(`${waiting()} rows of usage wait, memory holds no more, and what comes now is lost`);
    isLosing = true;
  }

  function tellOfDisk(error: unknown): void {
    if (!isDiskTold) tell('the journal of usage takes nothing, and what comes now waits in memory', error);
    isDiskTold = true;
  }

  function oldestInJournal(): Segment | undefined {
    try {
      const segment = journal?.oldest();
      if (segment !== undefined) isDiskTold = false;
      return segment;
    } catch (error) {
      // What is loose need not wait for the disk.
      tellOfDisk(error);
      return undefined;
    }
  }

  /** @returns how many are in the records now; 0 where none can be taken */
  async function writeOldest(): Promise<number> {
    const segment = oldestInJournal();
    if (segment !== undefined) {
      const { rows, unreadable } = segment;
      await records.appendUsage(rows);
      segment.done();
      if (unreadable > 0) tell(`${unreadable} rows of a damaged file of the journal are lost; it is set aside`);
      lost += unreadable;
      return rows.length + unreadable;
    }
    const rows = loose.slice(0, LOOSE_ROWS);
    if (rows.length > 0) await records.appendUsage(rows);
    loose.splice(0, rows.length);
    return rows.length;
  }

  async function write(): Promise<void> {
    // What comes meanwhile goes with the next batch.
    let left = waiting();
    try {
      while (left > 0) {
        const written = await writeOldest();
        if (written === 0) break;
        left -= written;
      }
      if (failures > 0) tell(`the database answers again; ${waiting()} rows of usage wait, ${lost} are lost`);
      failures = 0;
      isLosing = false;
    } catch (error) {
      if (failures++ % TOLD_FAILURES === 0) {
        tell(`${waiting()} rows of usage wait for the database, ${lost} are lost`, error);
      }
    }
  }

  /** One batch after the other. */
  const writeNow = (): Promise<void> => {
    writing = writing.then(write).then(() => {
      if (waiting() > 0) schedule(failures === 0 ? BATCH_MS : RETRY_MS);
    });
    return writing;
  };
  const schedule = (ms: number): void => {
    timer ??= setTimeout(() => {
      timer = undefined;
      void writeNow();
    }, ms).unref();
  };

  if (waiting() > 0) await writeNow();
  return {
    get counts() {
      return { waiting: waiting(), lost };
    },
    append(usage) {
      const row = { id: `${boot}-${number++}`, ...usage };
      try {
        if (journal === undefined) keepLoose(row);
        else journal.append(row);
      } catch (error) {
        tellOfDisk(error);
        keepLoose(row);
      }
      schedule(BATCH_MS);
    },
    flush: writeNow,
    async close() {
      await writeNow();
      clearTimeout(timer);
      journal?.close();
    },
  };
}

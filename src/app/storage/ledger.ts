// Usage on its way to the records: at once into the journal, in batches into the database. Each row has a name that it is
// written under once, so a row that comes again after a crash is not counted again.

import { randomUUID } from 'node:crypto';

import type { Records, Usage, UsageRow } from '../../runtime/index.ts';
import { openJournal, readJournal } from './journal.ts';

/** How long a row waits for others. */
const BATCH_MS = 200;
/** After a failure of the database, whose rows stay in the journal. */
const RETRY_MS = 2000;

export interface Ledger {
  /** Never throws: an answer does not fail because nobody can write down what it cost. */
  append(usage: Usage): void;
  /** Resolves when all that was appended before is in the records, or could not be. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

export interface LedgerOptions {
  readonly records: Records;
  /** Where the journal lies; without it a killed process loses what came in its last moments. */
  readonly dir?: string;
  readonly onFailure?: (error: unknown) => void;
}

export async function openLedger({ records, dir, onFailure }: LedgerOptions): Promise<Ledger> {
  if (dir !== undefined) {
    const { rows, remove } = readJournal(dir);
    if (rows.length > 0) await records.appendUsage(rows);
    remove();
  }
  const journal = dir === undefined ? undefined : openJournal(dir);
  const boot = randomUUID();
  let number = 0;
  let queue: UsageRow[] = [];
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> = Promise.resolve();

  /** @returns whether all was written */
  const write = async (): Promise<boolean> => {
    const rows = queue;
    if (rows.length === 0) return true;
    queue = [];
    try {
      const remove = journal?.turn();
      await records.appendUsage(rows);
      remove?.();
      return true;
    } catch (error) {
      onFailure?.(error);
      // Their segment stays; a next start would read it, and a next batch may have them first.
      queue = [...rows, ...queue];
      return false;
    }
  };

  /** One batch after the other. */
  const writeNow = (): Promise<void> => {
    writing = writing.then(write).then((isWritten) => {
      if (queue.length > 0) schedule(isWritten ? BATCH_MS : RETRY_MS);
    });
    return writing;
  };

  const schedule = (ms: number): void => {
    timer ??= setTimeout(() => {
      timer = undefined;
      void writeNow();
    }, ms).unref();
  };

  return {
    append(usage) {
      const row = { id: `${boot}-${number++}`, ...usage };
      try {
        journal?.append(row);
      } catch (error) {
        // It waits in memory alone, until the database has it.
        onFailure?.(error);
      }
      queue.push(row);
      schedule(BATCH_MS);
    },
    flush: writeNow,
    async close() {
      await writeNow();
      clearTimeout(timer);
      // With what could not be written, the journal stays for the next start.
      if (queue.length === 0) journal?.close();
    },
  };
}

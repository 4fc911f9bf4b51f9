// Rows on their way to the database, in files that outlive the process: a line each, appended before anybody is told that the
// request is over. A file is removed when the database has its rows, so what is left at a start was not yet written. Memory
// holds a bounded number of them, however many wait.

import { randomUUID } from 'node:crypto';
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

import { usageRowOf, type UsageRow } from '../../runtime/index.ts';
import { lockFolder } from './folder-lock.ts';

/** Rows that go to the database together. */
export interface Segment {
  readonly rows: readonly UsageRow[];
  /** Rows that cannot be read again, of a damaged file. */
  readonly unreadable: number;
  /** The database has them. A damaged file is set aside. */
  done(): void;
}

export interface Journal {
  /** Rows that wait. */
  readonly waiting: number;
  /** @throws where the disk takes nothing */
  append(row: UsageRow): void;
  /**
   * The rows that came first; undefined where none wait. Where it is the segment in progress, another begins.
   * @throws where the disk gives or takes nothing, and nothing has changed
   */
  oldest(): Segment | undefined;
  /** What waits is found by the next start. */
  close(): void;
}

const SUFFIX = '.rows';
/** What a damaged file is called, which nobody reads again by himself. */
const DAMAGED = '.damaged';
/** Rows of a file at most, some megabytes: as many are read at once. */
const SEGMENT_ROWS = 5_000;
/** Rows that are kept in memory too, because they mostly wait for a moment; others are read again. */
const MOST_KEPT = 10_000;

/** A file of rows. */
interface Waiting {
  readonly path: string;
  count: number;
  unreadable: number;
  /** Undefined where they are in the file alone. */
  rows: UsageRow[] | undefined;
}

/**
 * @param dir is made where it is not there; one process has it to itself
 * @throws IngotError DATA_IN_USE
 */
export function openJournal(dir: string): Journal {
  mkdirSync(dir, { recursive: true });
  const release = lockFolder(dir);
  const boot = randomUUID();
  let number = 0;
  const complete: Waiting[] = leftIn(dir);
  let waiting = complete.reduce((sum, { count }) => sum + count, 0);
  /** Rows in memory. */
  let kept = 0;
  let current = begin();

  function begin(): Waiting & { readonly file: number; bytes: number } {
    const path = join(dir, `${boot}-${number++}${SUFFIX}`);
    return { path, file: openSync(path, 'a'), bytes: 0, count: 0, unreadable: 0, rows: [] };
  }

  /** Begin another file. */
  function turn(): void {
    // First the next: where there is no room for it, nothing has changed.
    const next = begin();
    closeSync(current.file);
    complete.push(current);
    current = next;
  }

  return {
    get waiting() {
      return waiting;
    },
    append(row) {
      if (current.count >= SEGMENT_ROWS) turn();
      current.bytes += appendLine(current.file, JSON.stringify(row), current.bytes);
      current.count++;
      waiting++;
      if (kept >= MOST_KEPT && current.rows !== undefined) {
        kept -= current.rows.length;
        current.rows = undefined;
      }
      if (current.rows === undefined) return;
      current.rows.push(row);
      kept++;
    },
    oldest() {
      if (complete.length === 0 && current.count > 0) turn();
      if (complete.length === 0) return undefined;
      const segment = complete[0];
      if (segment.rows === undefined) {
        const { rows, unreadable } = readRows(segment);
        segment.rows = rows;
        segment.unreadable = unreadable;
        kept += rows.length;
      }
      const { path, rows = [], unreadable, count } = segment;
      return {
        rows,
        unreadable,
        done() {
          complete.shift();
          waiting -= count;
          kept -= rows.length;
          if (unreadable > 0 && existsSync(path)) renameSync(path, `${path}${DAMAGED}`);
          else rmSync(path, { force: true });
        },
      };
    },
    close() {
      closeSync(current.file);
      if (current.count === 0) rmSync(current.path, { force: true });
      release();
    },
  };
}

/** All of it or nothing. @param end where the file ends @returns its bytes @throws where the disk takes nothing */
function appendLine(file: number, text: string, end: number): number {
  const line = Buffer.from(`${text}\n`);
  if (writeSync(file, line) === line.length) return line.length;
  ftruncateSync(file, end);
  throw new Error('the disk of the journal is full');
}

/** What an earlier process left, in the order in which it was written. */
function leftIn(dir: string): Waiting[] {
  const paths = readdirSync(dir)
    .filter((name) => name.endsWith(SUFFIX))
    .map((name) => join(dir, name));
  const age = new Map(paths.map((path) => [path, statSync(path).mtimeMs]));
  return paths
    .sort((a, b) => (age.get(a) ?? 0) - (age.get(b) ?? 0))
    .flatMap((path) => {
      const count = linesOf(path).length;
      if (count > 0) return [{ path, count, unreadable: 0, rows: undefined }];
      rmSync(path);
      return [];
    });
}

/** What follows the last line end was cut by the end of the process, in the middle of a write. */
const linesOf = (path: string): string[] => readFileSync(path, 'utf8').split('\n').slice(0, -1);

function readRows({ path, count }: Waiting): { readonly rows: UsageRow[]; readonly unreadable: number } {
  let lines: readonly string[] = [];
  try {
    lines = linesOf(path);
  } catch {
    // Somebody took the file away, or the disk is broken.
  }
  const rows = lines.flatMap((line) => rowOf(line) ?? []);
  return { rows, unreadable: count - rows.length };
}

/** One that the database would refuse would hold up all behind it. */
function rowOf(line: string): UsageRow | undefined {
  try {
    return usageRowOf(JSON.parse(line));
  } catch {
    return undefined;
  }
}

// Rows on their way to the database, in files that outlive the process: a line each, appended before anybody is told that the
// request is over. A segment is removed when the database has its rows, so what is left at a start was not yet written.

import { randomUUID } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';

import type { UsageRow } from '../../runtime/index.ts';

export interface Journal {
  /** @throws where the disk takes nothing */
  append(row: UsageRow): void;
  /** Begin another segment. @returns what removes all before it @throws where the disk takes nothing, and nothing has changed */
  turn(): () => void;
  close(): void;
}

const SUFFIX = '.rows';

/** @returns the rows that an earlier process left, and what removes them when they are written */
export function readJournal(dir: string): { readonly rows: readonly UsageRow[]; readonly remove: () => void } {
  mkdirSync(dir, { recursive: true });
  const files = readdirSync(dir).filter((name) => name.endsWith(SUFFIX));
  const rows = files.flatMap((name) => {
    // What follows the last line end was cut by the end of the process, in the middle of a write.
    const lines = readFileSync(join(dir, name), 'utf8').split('\n').slice(0, -1);
    return lines.map((line) => JSON.parse(line) as UsageRow);
  });
  return { rows, remove: () => files.forEach((name) => rmSync(join(dir, name), { force: true })) };
}

/** @param dir exists */
export function openJournal(dir: string): Journal {
  const boot = randomUUID();
  let number = 0;
  let segment = begin();
  /** Earlier segments whose rows may not be written yet. */
  const done: string[] = [];

  function begin(): { readonly path: string; readonly file: number } {
    const path = join(dir, `${boot}-${number++}${SUFFIX}`);
    return { path, file: openSync(path, 'a') };
  }

  return {
    append: (row) => void writeSync(segment.file, `${JSON.stringify(row)}\n`),
    turn() {
      // First the next: where there is no room for it, rows go on into this one.
      const next = begin();
      closeSync(segment.file);
      done.push(segment.path);
      segment = next;
      const before = [...done];
      return () => {
        for (const path of before) rmSync(path, { force: true });
        done.splice(0, before.length);
      };
    },
    close() {
      closeSync(segment.file);
      rmSync(segment.path, { force: true });
    },
  };
}

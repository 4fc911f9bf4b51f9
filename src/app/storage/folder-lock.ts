// A folder that one process has to itself.

import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join, resolve } from 'node:path';
import process from 'node:process';

import { fail } from '../../core/index.ts';

/** Folders that this process has open; the number of a killed process may come again. */
const opened = new Set<string>();

/** Two processes in one folder would destroy it. @param dir exists @returns what gives it free @throws IngotError DATA_IN_USE */
export function lockFolder(dir: string): () => void {
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
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  return !isZombie(pid);
}

/** It has ended, and its parent has not asked how, as the first process of many containers never does. */
function isZombie(pid: number): boolean {
  try {
    // Its state stands behind its name, which may have anything in it (proc(5)).
    return /^.*\) Z /s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

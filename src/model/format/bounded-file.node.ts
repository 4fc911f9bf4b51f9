import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { fail, formatCount, IngotError, nearest } from '../../core/index.ts';

/** One call of the system reads at most 2³¹ − 1 bytes on some platforms. */
const MAX_READ_BYTES = 2 ** 30;
const HASH_CHUNK_BYTES = 2 ** 20;

export interface OpenFile {
  readonly path: string;
  readonly bytes: number;
  /** Fill `target` with the bytes from `position` on. */
  read(target: Uint8Array, position: number): void;
  close(): void;
}

/** Files by name, wherever they lie: in a folder, or in one file together. */
export interface Files {
  /** Where they lie, for messages. */
  readonly path: string;
  /** Where this one lies, for messages. */
  where(name: string): string;
  names(): readonly string[];
  /** Whether there is this name, as a file or (in the Hugging Face cache) a link to one; or as what `open` refuses. */
  has(name: string): boolean;
  /** @throws IngotError CHECKPOINT_FILE_MISSING, CHECKPOINT_FILE_UNREADABLE; CHECKPOINT_FILE_CHANGED on a later read past the end */
  open(name: string, suggestion?: string): OpenFile;
}

export const filesOf = (dir: string): Files => ({
  path: dir,
  where: (name) => join(dir, name),
  names: () => readdirSync(dir),
  has: (name) => statSync(join(dir, name), { throwIfNoEntry: false }) !== undefined,
  open: (name, suggestion) => openFile(dir, name, suggestion),
});

function openFile(dir: string, name: string, suggestion?: string): OpenFile {
  const path = join(dir, name);
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) {
    const near = nearest(name, readdirSync(dir));
    fail({
      code: 'CHECKPOINT_FILE_MISSING',
      message: near === name ? `${name} is a link to a file that is not there` : `the checkpoint has no ${name}`,
      where: path,
      suggestion:
        suggestion ??
        (near === undefined || near === name ? 'fetch the whole repository of the model' : `there is a ${near}`),
    });
  }
  // To open anything else may wait for ever, as for the other end of a pipe.
  if (!stat.isFile()) {
    fail({
      code: 'CHECKPOINT_FILE_UNREADABLE',
      message: `${name} is not a regular file`,
      where: path,
      expected: 'a file, or a link to one',
      found: stat.isDirectory() ? 'a folder' : stat.isFIFO() ? 'a pipe' : stat.isSocket() ? 'a socket' : 'a device',
      suggestion: 'fetch the whole repository of the model',
    });
  }
  const fd = open(path);
  return {
    path,
    bytes: fstatSync(fd).size,
    read(target, position) {
      for (let done = 0; done < target.length; ) {
        const read = readSync(fd, target, done, Math.min(target.length - done, MAX_READ_BYTES), position + done);
        if (read === 0) {
          fail({
            code: 'CHECKPOINT_FILE_CHANGED',
            message: 'the file became shorter after it was opened',
            where: path,
            suggestion: 'do not write to a checkpoint that is in use',
          });
        }
        done += read;
      }
    },
    close: () => closeSync(fd),
  };
}

function open(path: string): number {
  try {
    return openSync(path, 'r');
  } catch (error) {
    throw new IngotError(
      {
        code: 'CHECKPOINT_FILE_UNREADABLE',
        message: 'the file is there, but cannot be opened',
        where: path,
        found: (error as NodeJS.ErrnoException).code,
        suggestion: 'check the permissions of the file and the limit on open files',
      },
      { cause: error },
    );
  }
}

/**
 * Text of a file.
 * @param maxBytes limit on what an untrusted file may make us read
 * @throws IngotError CHECKPOINT_FILE_MISSING, CHECKPOINT_FILE_TOO_LARGE
 */
export function readText(files: Files, name: string, maxBytes: number, suggestion?: string): string {
  const file = files.open(name, suggestion);
  try {
    if (file.bytes > maxBytes) {
      fail({
        code: 'CHECKPOINT_FILE_TOO_LARGE',
        message: `${name} is larger than Ingot reads`,
        where: file.path,
        expected: `at most ${formatCount(maxBytes)} bytes`,
        found: `${formatCount(file.bytes)} bytes`,
      });
    }
    const bytes = new Uint8Array(file.bytes);
    file.read(bytes, 0);
    return new TextDecoder().decode(bytes);
  } finally {
    file.close();
  }
}

/** Hexadecimal SHA-256 of a file, read in pieces. */
export function sha256(files: Files, name: string): string {
  const file = files.open(name);
  try {
    const hash = createHash('sha256');
    const chunk = new Uint8Array(HASH_CHUNK_BYTES);
    for (let at = 0; at < file.bytes; at += chunk.length) {
      const part = chunk.subarray(0, Math.min(chunk.length, file.bytes - at));
      file.read(part, at);
      hash.update(part);
    }
    return hash.digest('hex');
  } finally {
    file.close();
  }
}

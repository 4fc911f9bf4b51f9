// A PostgreSQL server of the test's own, where its programs are on this machine.

import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as soon } from 'node:timers/promises';
import { promisify } from 'node:util';

const DEBIAN = '/usr/lib/postgresql';

/** The folder with its programs, or undefined. */
export function findPostgres(): string | undefined {
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN) : [];
  return versions.map((version) => join(DEBIAN, version, 'bin')).find((bin) => existsSync(join(bin, 'initdb')));
}

export interface TestPostgres {
  /** An empty database. */
  newDatabase(): Promise<string>;
  stop(): Promise<void>;
}

/** It refuses to run as root, and on this machine tests may. */
function account(): { readonly uid?: number; readonly gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const of = (flag: string): number => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
  return { uid: of('-u'), gid: of('-g') };
}

export async function startPostgres(bin: string): Promise<TestPostgres> {
  const dir = mkdtempSync(join(tmpdir(), 'ingot-postgres-'));
  const user = account();
  if (user.uid !== undefined && user.gid !== undefined) chownSync(dir, user.uid, user.gid);
  const data = join(dir, 'data');
  const options = { ...user, cwd: dir, stdio: 'ignore' } as const;
  const initial = ['-D', data, '-U', 'ingot', '-A', 'trust', '--no-sync', '-E', 'UTF8', '--locale', 'C'];
  await promisify(execFile)(join(bin, 'initdb'), initial, { ...user, cwd: dir });
  // By socket only: no port to collide with.
  const server: ChildProcess = spawn(
    join(bin, 'postgres'),
    // The server is not what is killed, so it need not wait for the disk.
    ['-D', data, '-k', dir, '-c', 'listen_addresses=', '-c', 'fsync=off'],
    options,
  );
  const psql = (statement: string): void =>
    void execFileSync(join(bin, 'psql'), ['-h', dir, '-U', 'ingot', '-d', 'postgres', '-c', statement], options);
  for (let tries = 0; ; tries++) {
    try {
      psql('select 1');
      break;
    } catch (error) {
      if (tries > 100) throw error;
      await soon(100);
    }
  }
  let databases = 0;
  return {
    async newDatabase() {
      const name = `test${databases++}`;
      psql(`create database ${name}`);
      return `postgres://ingot@/${name}?host=${encodeURIComponent(dir)}`;
    },
    async stop() {
      const ended = new Promise((resolve) => server.once('exit', resolve));
      // At once: nobody will open it again.
      server.kill('SIGQUIT');
      await ended;
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

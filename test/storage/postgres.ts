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
  /** Nobody can reach it until `goOn`. */
  halt(): Promise<void>;
  goOn(): Promise<void>;
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
  const psql = (statement: string): void =>
    void execFileSync(join(bin, 'psql'), ['-h', dir, '-U', 'ingot', '-d', 'postgres', '-c', statement], options);
  const start = async (): Promise<ChildProcess> => {
    const process = spawn(
      join(bin, 'postgres'),
      // Its process is killed, not its machine, so it need not wait for the disk.
      ['-D', data, '-k', dir, '-c', 'listen_addresses=', '-c', 'fsync=off'],
      options,
    );
    for (let tries = 0; ; tries++) {
      try {
        psql('select 1');
        return process;
      } catch (error) {
        if (tries > 100) throw error;
        await soon(100);
      }
    }
  };
  let server = await start();
  /** At once, in the middle of whatever it does. */
  const halt = async (): Promise<void> => {
    const ended = new Promise((resolve) => server.once('exit', resolve));
    server.kill('SIGQUIT');
    await ended;
  };
  let databases = 0;
  return {
    async newDatabase() {
      const name = `test${databases++}`;
      psql(`create database ${name}`);
      return `postgres://ingot@/${name}?host=${encodeURIComponent(dir)}`;
    },
    halt,
    async goOn() {
      server = await start();
    },
    async stop() {
      await halt();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

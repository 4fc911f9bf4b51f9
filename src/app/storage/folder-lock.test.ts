import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { afterAll, describe, expect, it } from 'vitest';
import { lockFolder } from './folder-lock.ts';

const dir = mkdtempSync(join(tmpdir(), 'ingot-lock-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const file = join(dir, 'lock');

describe('the lock of a folder', () => {
  it('holds while its process lives, and is given free', () => {
    const release = lockFolder(dir);
    expect(() => lockFolder(dir)).toThrow('DATA_IN_USE');
    release();
    expect(existsSync(file)).toBe(false);
    writeFileSync(file, String(process.ppid));
    expect(() => lockFolder(dir)).toThrow('DATA_IN_USE');
    // Of an earlier process whose number came again.
    writeFileSync(file, String(process.pid));
    lockFolder(dir)();
  });

  it.runIf(process.platform === 'linux')('does not hold for a process that ended and was never asked for', async () => {
    const shell = spawn('sh', ['-c', 'true & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      const [said] = (await once(shell.stdout, 'data')) as [Buffer];
      writeFileSync(file, said.toString().trim());
      await expect.poll(() => lockFolder(dir)).toBeTypeOf('function');
    } finally {
      shell.kill('SIGKILL');
    }
  });
});

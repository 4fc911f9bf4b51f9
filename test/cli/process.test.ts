// The real program: its exit code, what it leaves behind, and Ctrl-C.
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { writeTinyCheckpoint } from '../tiny-checkpoint.ts';

const bin = resolve(import.meta.dirname, '../../bin/ingot.mjs');
const root = mkdtempSync(join(tmpdir(), 'ingot-process-'));
const tiny = join(root, 'tiny');
beforeAll(() => writeTinyCheckpoint(tiny));
afterAll(() => rmSync(root, { recursive: true }));

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Start Ingot; `onOutput` sees all standard output so far. */
const start = (argv: readonly string[], onOutput?: (out: string, child: ChildProcess) => void): Promise<Ended> =>
  run(process.execPath, [bin, ...argv], onOutput);

function run(
  command: string,
  argv: readonly string[],
  onOutput?: (out: string, child: ChildProcess) => void,
): Promise<Ended> {
  const child = spawn(command, argv, { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
    onOutput?.(out, child);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => void (err += text));
  return new Promise((done, failed) => {
    child.once('error', failed);
    child.once('close', (code) => done({ code, out, err }));
  });
}

describe('the program', () => {
  it('shows a newcomer everything, and ends', async () => {
    const { code, out, err } = await start(['up', '--model', tiny, '--once', '--port', '0', '--max-tokens', '4']);
    expect(err).toBe('');
    expect(code).toBe(0);
    for (const text of ['simulated, not measured', 'SRAM per PE', 'tokens/s', 'first token', 'rests on', 'curl http']) {
      expect(out).toContain(text);
    }
    expect(out).toMatch(/all 4 tokens +[\d.]+ [mµ]?s +[\d.]+ [mµ]s\n/);
    expect(out).not.toContain('\u001b');
  });

  it('shows with the shipped checkpoint what the README shows', async () => {
    const { code, out } = await start(['up', '--once', '--port', '0']);
    expect(code).toBe(0);
    const readme = readFileSync(join(import.meta.dirname, '..', '..', 'README.md'), 'utf8');
    const transcript = /```\n(ingot-tiny on[^]*?)```/.exec(readme)?.[1] ?? '';
    // Measured times differ on each machine; everything simulated, and the text, do not.
    const lines = transcript.split('\n').filter((line) => line !== '…' && !/^(first token \(|all )/.test(line));
    expect(lines.length).toBeGreaterThan(8);
    for (const line of lines) expect(out).toContain(line);
    for (const [, label, time] of transcript.matchAll(/^(first token \(.*?\)|all \d+ tokens).* ([\d.]+ [mµ]s)$/gm))
      expect(out).toMatch(new RegExp(`${label.replace(/[()]/g, '\\$&')} .* ${time}\n`));
  });

  it('prints a curl that a shell understands', async () => {
    let answer: Promise<Ended> | undefined;
    const argv = ['up', '--model', tiny, '--port', '0', '--max-tokens', '2'];
    const { code } = await start(argv, (text, child) => {
      const line = /^curl [^]*?'\n(?!.*\\)$/m.exec(text)?.[0];
      if (line === undefined || answer !== undefined) return;
      answer = run('sh', ['-c', `command -v curl > /dev/null || exit 0; ${line}`]);
      void answer.finally(() => child.kill('SIGINT'));
    });
    expect(code).toBe(0);
    const { out } = (await answer) as Ended;
    // A machine without curl has nothing to check.
    if (out !== '') expect(JSON.parse(out)).toMatchObject({ object: 'text_completion', model: 'tiny' });
  });

  it('serves until Ctrl-C, answers meanwhile, and leaves nothing behind', async () => {
    let answer: Promise<Response> | undefined;
    const { code, out, err } = await start(['serve', '--model', tiny, '--port', '0'], (text, child) => {
      const url = /http:\S+\/v1/.exec(text)?.[0];
      if (url === undefined || answer !== undefined) return;
      answer = fetch(`${url}/models`);
      void answer.finally(() => child.kill('SIGINT'));
    });
    expect((await answer)?.status).toBe(200);
    expect(code).toBe(0);
    expect(out).toMatch(/^tiny on http:\/\/127\.0\.0\.1:\d+\/v1\n$/);
    expect(err).not.toMatch(/\bat \S+:\d+/);
  });

  it('ends with its terminal where there is no certificate to renew', async () => {
    const ended = await start(['serve', '--model', tiny, '--port', '0'], (text, child) => {
      if (text.includes('http')) child.kill('SIGHUP');
    });
    expect(ended.code).toBeNull();
  });

  it('serves a model without weights, and a checkpoint with drafts, at the pace of the wafer, and reports', async () => {
    const emulated = ['serve', '--emulate', 'qwen3-0.6b', '--port', '0'];
    const drafted = ['serve', '--model', tiny, '--draft', tiny, '--pace', 'wafer', '--port', '0'];
    for (const argv of [emulated, drafted]) {
      let answer: Promise<unknown> | undefined;
      const { code, err } = await start(argv, (text, child) => {
        const [, model, url] = /^(\S+) on (http:\S+\/v1)/.exec(text) ?? [];
        if (url === undefined || answer !== undefined) return;
        const body = JSON.stringify({ model, prompt: 'hello hello hello', max_tokens: 12, ignore_eos: true });
        answer = fetch(`${url}/completions`, { method: 'POST', body }).then((response) => response.json());
        void answer.finally(() => child.kill('SIGINT'));
      });
      expect(code).toBe(0);
      expect(await answer).toMatchObject({ usage: { completion_tokens: 12 } });
      expect(err).toMatch(/^12 tokens generated, \d+ of prompts \(0\.0 % from the prefix cache\), in \d+ steps$/m);
      expect(err).toMatch(/^pace of the wafer: /m);
      // A draft by the model itself is right, also in its bits.
      expect(/^(\d+) drafts, \1 accepted \(100\.0 %\)$/m.test(err)).toBe(argv === drafted);
      expect(err.includes('answers are filler')).toBe(argv === emulated);
    }
  });

  it('says what is wrong and how it ended', async () => {
    const { code, out, err } = await start(['compile', 'no-such-model']);
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toMatch(/^error MODEL_UNKNOWN: /);
  });
});

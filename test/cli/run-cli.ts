// Runs a command line in this process, and keeps what a person would see.
import { expect } from 'vitest';
import { runCli } from '../../src/app/cli/main.ts';
import type { Io } from '../../src/app/cli/io.ts';
import { expectGolden } from '../golden.ts';

export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export async function runIngot(...argv: readonly string[]): Promise<Outcome> {
  let out = '';
  let err = '';
  const io: Io = {
    out: (text) => void (out += text),
    err: (text) => void (err += text),
    errIsTerminal: false,
    paint: (_, text) => text,
    paintErr: (_, text) => text,
    interrupt: () => new AbortController().signal,
  };
  const code = await runCli(argv, io);
  return { code, out, err };
}

/** What a golden file holds: the command, both outputs and the exit code. */
export const transcript = (argv: readonly string[], { code, out, err }: Outcome): string =>
  [`$ ingot ${argv.map(quoted).join(' ')}`.trimEnd(), out + err, `exit code ${code}`].join('\n');

const quoted = (word: string): string => (/^[\w./:=<>-]+$/.test(word) ? word : `'${word}'`);

/** Runs a command line and holds what it prints to its golden file; no line but of an error is wider than 80 columns. */
export const transcriptsIn =
  (root: string) =>
  async (name: string, argv: readonly string[]): Promise<void> => {
    const text = transcript(argv, await runIngot(...argv));
    const widest = Math.max(...text.split('\n').map((line) => [...line].length));
    if (!name.startsWith('error')) expect(widest).toBeLessThanOrEqual(80);
    expectGolden(`cli/${name}.txt`, text.replaceAll(root, '<dir>'));
  };

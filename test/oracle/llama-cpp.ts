// llama.cpp as an oracle: an implementation of these models that nobody here wrote.

import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import process from 'node:process';
import type { WeightSource } from '../../src/model/index.ts';
import type { LlmShape } from '../../src/spec/index.ts';
import { modelGguf } from './model-gguf.ts';

const oracles = resolve(import.meta.dirname, '..', '..', '.oracles');

/** Why the oracle cannot be asked, or undefined where it can. */
export const llamaCppAbsent: string | undefined = existsSync(join(oracles, 'node_modules', 'node-llama-cpp'))
  ? undefined
  : 'llama.cpp is not installed; run: node scripts/install-oracles.ts';

export interface LlamaCppJob {
  readonly oracles: string;
  readonly file: string;
  readonly vocab: number;
  readonly prompt: readonly number[];
  readonly steps: number;
}

export interface LlamaCppResult {
  /** Logits after each token of the prompt. */
  readonly prompt: readonly (readonly number[])[];
  /** Tokens that greedy decoding chose. */
  readonly greedy: readonly number[];
  /** Logits from which each was chosen. */
  readonly logits: readonly (readonly number[])[];
  readonly release: string;
}

/** Longer than any model of these tests takes on a busy machine; a hang must not hold the suite. */
const childLimitMs = 60_000;

/** Let llama.cpp process a prompt and then decode greedily, one thread, all in float32. */
export const runLlamaCpp = (
  shape: LlmShape,
  weights: WeightSource,
  prompt: readonly number[],
  steps: number,
): Promise<LlamaCppResult> => runLlamaCppFile(modelGguf(shape, weights), shape.vocab, prompt, steps);

/** The same for the bytes of a GGUF file, whose tensors may be of other types. */
export const runLlamaCppFile = (
  gguf: Uint8Array,
  vocab: number,
  prompt: readonly number[],
  steps: number,
): Promise<LlamaCppResult> =>
  runChild('llama-cpp-child.ts', [gguf], ([file]): LlamaCppJob => ({ oracles, file, vocab, prompt, steps }));

export interface TokenizeJob {
  readonly oracles: string;
  readonly vocabularies: readonly { readonly file: string; readonly texts: readonly string[] }[];
}

/** Ids that llama.cpp gives each text, without BOS; only the vocabulary of each file is loaded, all in one process. */
export const tokenizeWithLlamaCpp = (
  vocabularies: readonly { readonly gguf: Uint8Array; readonly texts: readonly string[] }[],
): Promise<number[][][]> =>
  runChild(
    'llama-cpp-tokenize-child.ts',
    vocabularies.map(({ gguf }) => gguf),
    (files): TokenizeJob => ({
      oracles,
      vocabularies: vocabularies.map(({ texts }, i) => ({ file: files[i], texts })),
    }),
  );

export interface EmbedJob {
  readonly oracles: string;
  readonly files: readonly string[];
  readonly texts: readonly (readonly number[])[];
  readonly contextSize: number;
}

/** Of each file and each text the embedding, as the file's pooling has it; keys and values are in half precision there. */
export const embedWithLlamaCpp = (
  ggufs: readonly Uint8Array[],
  texts: readonly (readonly number[])[],
  contextSize: number,
): Promise<number[][][]> =>
  runChild('llama-cpp-embed-child.ts', ggufs, (files): EmbedJob => ({ oracles, files, texts, contextSize }));

async function runChild<T>(
  script: string,
  ggufs: readonly Uint8Array[],
  jobOf: (files: readonly string[]) => object,
): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'ingot-oracle-'));
  try {
    const files = ggufs.map((_, i) => join(folder, `model-${i}.gguf`));
    for (const [i, file] of files.entries()) writeFileSync(file, ggufs[i]);
    const job = jobOf(files);
    const output = await new Promise<string>((done, refuse) => {
      const child = execFile(
        process.execPath,
        [join(import.meta.dirname, script)],
        { timeout: childLimitMs, maxBuffer: 1 << 28 },
        (error, stdout, stderr) => {
          if (error === null) done(stdout);
          else refuse(new Error(`llama.cpp did not answer: ${error.message}\n${stderr}`, { cause: error }));
        },
      );
      child.stdin?.end(JSON.stringify(job));
    });
    return JSON.parse(output) as T;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

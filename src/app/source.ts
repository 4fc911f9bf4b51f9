// What is served: a checkpoint that is executed, or a model of which only the shape is known, emulated with filler.

import { fail, formatCount } from '../core/index.ts';
import { createWordTokenizer, type Embedding, type Tokenizer } from '../model/index.ts';
import { createProgramExecutor } from '../runtime/index.node.ts';
import { createEmulateExecutor, fillerOf, pageWords, type Executor } from '../runtime/index.ts';
import type { Program } from '../wafer/index.ts';
import { openFolder, openModel, shippedCheckpoint, type OpenModel } from './place.ts';

export interface ExecuteOptions {
  readonly kvTokens: number;
  readonly threads: 1 | 2;
  readonly onProgress?: (done: number, total: number) => void;
}

export interface Source {
  readonly model: OpenModel;
  readonly tokenizer: Tokenizer;
  /** A checkpoint with the same tokenizer; absent where it is built in. */
  readonly tokenizerPath: string | undefined;
  /** How its hidden states become embeddings; absent where it is not executed. */
  readonly embedding?: Embedding;
  /** Tokens that end an answer. */
  readonly eos: readonly number[];
  /** @throws IngotError of createProgramExecutor */
  execute(program: Program, options: ExecuteOptions): Promise<Executor>;
  /** After its executor. */
  close(): void;
}

/** What the API calls the shipped checkpoint, whose folder has no telling name. */
export const SHIPPED_ID = 'ingot-tiny';

/**
 * @param path a folder or a GGUF file; the shipped checkpoint if absent
 * @throws IngotError of openCheckpoint
 */
export function openExecuted(path: string | undefined): Source {
  const opened = openFolder(path ?? shippedCheckpoint);
  const { checkpoint } = opened;
  return {
    model: path === undefined ? { ...opened, id: SHIPPED_ID, name: SHIPPED_ID } : opened,
    tokenizer: checkpoint.tokenizer,
    tokenizerPath: checkpoint.dir,
    embedding: checkpoint.embedding,
    eos: checkpoint.generation.eosIds,
    execute: (program, options) => createProgramExecutor({ program, weights: checkpoint.weights, ...options }),
    // Not before the executor, which reads rows of the embedding table where they lie.
    close: () => checkpoint.close(),
  };
}

/**
 * @param reference a name of `spec/llm`, or a checkpoint whose weights are left alone
 * @param tokenizerOf a checkpoint whose tokenizer is taken; the built-in vocabulary if absent
 * @throws IngotError MODEL_UNKNOWN, TOKENIZER_MISMATCH; of openCheckpoint
 */
export function openEmulated(reference: string, tokenizerOf: string | undefined): Source {
  const { checkpoint, ...model } = openModel(reference);
  checkpoint?.close();
  const { vocab, maxContext } = model.graph.shape;
  const tokenizer =
    tokenizerOf === undefined
      ? (checkpoint?.tokenizer ?? createWordTokenizer(pageWords(), vocab))
      : tokenizerFrom(tokenizerOf);
  if (tokenizer.vocabSize > vocab) {
    fail({
      code: 'TOKENIZER_MISMATCH',
      message: `the tokenizer makes token ids that ${model.name} does not have`,
      where: tokenizerOf ?? reference,
      expected: `at most ${formatCount(vocab)} tokens`,
      found: formatCount(tokenizer.vocabSize),
      suggestion: 'take a checkpoint of the same family',
    });
  }
  return {
    model,
    tokenizer,
    tokenizerPath: tokenizerOf ?? checkpoint?.dir,
    eos: checkpoint?.generation.eosIds ?? tokenizer.eosIds,
    execute: (_, { kvTokens }) =>
      Promise.resolve(createEmulateExecutor({ vocab, maxContext, kvTokens, filler: fillerOf(tokenizer) })),
    close: () => undefined,
  };
}

function tokenizerFrom(path: string): Tokenizer {
  const { checkpoint } = openFolder(path);
  checkpoint.close();
  return checkpoint.tokenizer;
}

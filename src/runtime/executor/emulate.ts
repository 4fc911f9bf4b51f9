// An executor for a model of which only the shape is known: filler in the place of answers, no arithmetic. It keeps
// what an executor must keep: results depend on a sequence's own tokens only, as they are found through its block table.

import { blockTokens } from '../wasm/layout.ts';
import type { Filler } from '../emulate/filler.ts';
import { createBatchCheck } from './batch.ts';
import type { BatchItem, Executor, SparseLogits } from './executor.ts';

export interface EmulateExecutorOptions {
  readonly vocab: number;
  readonly maxContext: number;
  /** Tokens of KV cache over all sequences, rounded up to whole blocks. */
  readonly kvTokens: number;
  readonly filler: Filler;
  /** Tokens that one step may process; default 512. */
  readonly maxStepTokens?: number;
}

/** FNV-1a, a token at a time. */
const OFFSET = 0x811c9dc5;
const PRIME = 0x01000193;

export function createEmulateExecutor(options: EmulateExecutorOptions): Executor<SparseLogits> {
  const { vocab, kvTokens, filler, maxStepTokens = 512 } = options;
  const blocks = Math.ceil(kvTokens / blockTokens);
  const maxContext = Math.min(options.maxContext, blocks * blockTokens);
  const limits = { vocab, maxContext, blocks, maxStepTokens };
  const check = createBatchCheck(limits, false);
  /** In the place of keys and values: a hash of all tokens up to one. */
  const hashes = new Uint32Array(blocks * blockTokens);

  const slot = ({ blockTable }: BatchItem, position: number): number =>
    blockTable[Math.floor(position / blockTokens)] * blockTokens + (position % blockTokens);

  /** Results of one step, by length: they are valid until the next, which has them again. */
  const pools: { readonly arrays: Float32Array[]; used: number }[] = [];
  const valuesOf = (length: number): Float32Array => {
    const pool = (pools[length] ??= { arrays: [], used: 0 });
    return (pool.arrays[pool.used++] ??= new Float32Array(length));
  };

  function run(item: BatchItem): SparseLogits[] {
    const { tokens, start, wantLogits } = item;
    const firstWanted = tokens.length - wantLogits;
    let results: SparseLogits[] | undefined;
    let hash = start === 0 ? OFFSET : hashes[slot(item, start - 1)];
    for (let i = 0; i < tokens.length; i++) {
      hash = Math.imul(hash ^ (tokens[i] + 1), PRIME);
      hash = (hash ^ (hash >>> 15)) >>> 0;
      hashes[slot(item, start + i)] = hash;
      if (i < firstWanted) continue;
      const logits = filler.after(tokens[i], hash, valuesOf);
      if (results === undefined) results = [logits];
      else results.push(logits);
    }
    return results ?? [];
  }

  return {
    ...limits,
    blockTokens,
    execute(batch) {
      try {
        check(batch);
      } catch (error) {
        return Promise.reject(error);
      }
      for (const pool of pools) if (pool !== undefined) pool.used = 0;
      return Promise.resolve(batch.items.map(run));
    },
    close: () => Promise.resolve(),
  };
}

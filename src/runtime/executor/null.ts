// An executor without a model: it takes any valid batch and answers with logits made from the tokens alone. For
// measuring everything around the arithmetic.

import { blockTokens } from '../wasm/layout.ts';
import { createBatchCheck } from './batch.ts';
import type { BatchItem, Executor } from './executor.ts';

export interface NullExecutorOptions {
  readonly vocab: number;
  readonly maxContext: number;
  readonly blocks: number;
  /** Default 512. */
  readonly maxStepTokens?: number;
}

/** Logits in [0, 1) that depend on token `at` of the item and its position only: an integer hash of both and the index. */
function pseudoLogits(out: Float32Array, item: BatchItem, at: number): Float32Array {
  const seed = Math.imul(item.tokens[at] + 1, 0x9e3779b1) ^ Math.imul(item.start + at + 1, 0x85ebca77);
  for (let i = 0; i < out.length; i++) {
    let h = Math.imul(seed ^ i, 0xc2b2ae3d);
    h = Math.imul(h ^ (h >>> 15), 0x27d4eb2f);
    out[i] = (h >>> 8) / 2 ** 24;
  }
  return out;
}

/** Same checks and contract as the program's executor, no arithmetic, no memory but the results. */
export function createNullExecutor({
  vocab,
  maxContext,
  blocks,
  maxStepTokens = 512,
}: NullExecutorOptions): Executor<Float32Array> {
  const limits = { vocab, maxContext, blocks, maxStepTokens };
  const check = createBatchCheck(limits, false);
  const pool: Float32Array[] = [];
  return {
    ...limits,
    blockTokens,
    execute(batch) {
      try {
        check(batch);
      } catch (error) {
        return Promise.reject(error);
      }
      let used = 0;
      return Promise.resolve(
        batch.items.map((item) =>
          Array.from({ length: item.wantLogits }, (_, i) => {
            const out = (pool[used] ??= new Float32Array(vocab));
            used++;
            return pseudoLogits(out, item, item.tokens.length - item.wantLogits + i);
          }),
        ),
      );
    },
    close: () => Promise.resolve(),
  };
}

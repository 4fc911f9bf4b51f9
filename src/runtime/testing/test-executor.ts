// A tiny deterministic executor for tests of what stands above executors. Its logits are a hash of the
// sequence's tokens as read back through the block table, so a wrong block, position or chunk changes the answer or throws.

import { assert, createRng } from '../../core/index.ts';
import type { Batch, BatchItem, Executor } from '../executor/executor.ts';

export interface TestExecutorOptions {
  readonly vocab?: number;
  readonly maxContext?: number;
  readonly blockTokens?: number;
  readonly blocks?: number;
  readonly maxStepTokens?: number;
  /** Called when a step begins; may advance a clock, wait, or throw. */
  readonly onStep?: (batch: Batch) => void | Promise<void>;
  /** Change the logits of one item. */
  readonly edit?: (logits: Float32Array, tokens: readonly number[]) => void;
}

export interface TestExecutor extends Executor {
  readonly steps: number;
}

export function createTestExecutor(options: TestExecutorOptions = {}): TestExecutor {
  const { vocab = 16, maxContext = 64, blockTokens = 4, blocks = 32, maxStepTokens = 16, onStep, edit } = options;
  const tokenAt = new Int32Array(blocks * blockTokens);
  const ownerAt = new Int32Array(blocks * blockTokens).fill(-1);
  let steps = 0;

  const slot = (item: BatchItem, position: number): number => {
    const block = item.blockTable[Math.floor(position / blockTokens)];
    assert(block !== undefined && block >= 0 && block < blocks, `position ${position} has no block`);
    return block * blockTokens + (position % blockTokens);
  };
  const write = (item: BatchItem): void => {
    for (const [i, token] of item.tokens.entries()) {
      const at = slot(item, item.start + i);
      tokenAt[at] = token;
      ownerAt[at] = item.sequence;
    }
  };
  const history = (item: BatchItem): number[] => {
    const tokens: number[] = [];
    for (let position = 0; position < item.start + item.tokens.length; position++) {
      const at = slot(item, position);
      assert(ownerAt[at] === item.sequence, `position ${position} of ${item.sequence} holds another's token`);
      tokens.push(tokenAt[at]);
    }
    return tokens;
  };
  const logitsOf = (tokens: readonly number[]): Float32Array => {
    let hash = 0x811c9dc5;
    for (const token of tokens) hash = Math.imul(hash ^ (token + 1), 0x01000193) >>> 0;
    const rng = createRng(hash);
    const logits = Float32Array.from({ length: vocab }, () => rng.normal() * 2);
    edit?.(logits, tokens);
    return logits;
  };

  return {
    vocab,
    maxContext,
    blockTokens,
    blocks,
    maxStepTokens,
    get steps() {
      return steps;
    },
    async execute(batch) {
      steps++;
      await onStep?.(batch);
      const total = batch.items.reduce((sum, item) => sum + item.tokens.length, 0);
      assert(total > 0 && total <= maxStepTokens, `${total} tokens in a step of at most ${maxStepTokens}`);
      for (const item of batch.items) write(item);
      return batch.items.map((item) => {
        const tokens = history(item);
        return item.wantLogits ? logitsOf(tokens) : undefined;
      });
    },
    close: () => Promise.resolve(),
  };
}

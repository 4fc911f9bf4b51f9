// A tiny deterministic executor for tests of what stands above executors. What it caches for a token is a hash of
// the token, its position and what is cached for the one before, as keys and values are; logits are made of it. So a wrong block,
// position or chunk changes the answer, and blocks with equal history may be shared.

import { assert, createRng } from '../../core/index.ts';
import type { Batch, BatchItem, Executor } from '../executor/executor.ts';

export interface TestExecutorOptions {
  readonly vocab?: number;
  /** Width of hidden states, default 8; 0 for none. */
  readonly hiddenWidth?: number;
  readonly maxContext?: number;
  readonly blockTokens?: number;
  readonly blocks?: number;
  readonly maxStepTokens?: number;
  /** Called when a step begins; may advance a clock, wait, or throw. */
  readonly onStep?: (batch: Batch) => void | Promise<void>;
  /** Change the logits of one token. */
  readonly edit?: (logits: Float32Array, tokens: readonly number[]) => void;
  /** Change what is drawn from by this share, for a draft that is nearly right. */
  readonly noise?: number;
}

export interface TestExecutor extends Executor<Float32Array> {
  readonly steps: number;
}

export function createTestExecutor(options: TestExecutorOptions = {}): TestExecutor {
  const { vocab = 16, maxContext = 64, blockTokens = 4, blocks = 32, maxStepTokens = 16, onStep, edit } = options;
  const { noise = 0, hiddenWidth = 8 } = options;
  /** What is cached, and the token and position that it stands for. */
  const hashAt = new Uint32Array(blocks * blockTokens);
  const tokenAt = new Int32Array(blocks * blockTokens);
  const positionAt = new Int32Array(blocks * blockTokens).fill(-1);
  let steps = 0;

  const slot = (item: BatchItem, position: number): number => {
    const block = item.blockTable[Math.floor(position / blockTokens)];
    assert(block !== undefined && block >= 0 && block < blocks, `position ${position} has no block`);
    return block * blockTokens + (position % blockTokens);
  };
  const write = (item: BatchItem): void => {
    for (const [i, token] of item.tokens.entries()) {
      const position = item.start + i;
      const at = slot(item, position);
      const before = position === 0 ? 0x811c9dc5 : hashAt[slot(item, position - 1)];
      hashAt[at] = Math.imul(before ^ (token + 1), 0x01000193) >>> 0;
      tokenAt[at] = token;
      positionAt[at] = position;
    }
  };
  const history = (item: BatchItem, length: number): number[] =>
    Array.from({ length }, (_, position) => {
      const at = slot(item, position);
      assert(positionAt[at] === position, `position ${position} of ${item.sequence} holds another`);
      return tokenAt[at];
    });
  const logitsAfter = (item: BatchItem, position: number): Float32Array => {
    const hash = hashAt[slot(item, position)];
    const rng = createRng(hash);
    const logits = Float32Array.from({ length: vocab }, () => rng.normal() * 2);
    const wrong = createRng(~hash);
    if (noise > 0) for (let i = 0; i < vocab; i++) logits[i] += noise * wrong.normal();
    edit?.(logits, history(item, position + 1));
    return logits;
  };

  /** Of the token and all before it, as logits are. */
  const hiddenOf = (item: BatchItem, position: number): Float32Array => {
    const rng = createRng(hashAt[slot(item, position)]);
    return Float32Array.from({ length: hiddenWidth }, () => rng.normal());
  };

  return {
    vocab,
    ...(hiddenWidth === 0 ? {} : { hiddenWidth }),
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
        const end = item.start + item.tokens.length;
        history(item, end);
        const resultAt = item.hidden === true ? hiddenOf : logitsAfter;
        return Array.from({ length: item.wantLogits }, (_, i) => resultAt(item, end - item.wantLogits + i));
      });
    },
    close: () => Promise.resolve(),
  };
}

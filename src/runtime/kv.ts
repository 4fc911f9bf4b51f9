// The KV cache's blocks: who may write where. The executor owns the memory; this owns the ids.
// What must stay true: free + used = total, and no block has two owners.

import { assert } from '../core/index.ts';

export interface KvBlocks {
  readonly total: number;
  /** Blocks with an owner. */
  readonly used: number;
  /** Tokens that one block holds. */
  readonly blockTokens: number;
  /** Blocks that hold `tokens` tokens. */
  blocksFor(tokens: number): number;
  canAllocate(count: number): boolean;
  /** Ids of `count` blocks, which the caller owns until it frees them. Asks for no more than are free. */
  allocate(count: number): Int32Array;
  free(blocks: Int32Array): void;
}

export function createKvBlocks(total: number, blockTokens: number): KvBlocks {
  assert(total > 0 && blockTokens > 0, 'a KV cache has blocks, and blocks hold tokens');
  // A stack: the block freed last is used first, so that its memory is likely still in the CPU's cache.
  const stack = Int32Array.from({ length: total }, (_, i) => total - 1 - i);
  const owned = new Uint8Array(total);
  let freeCount = total;

  return {
    total,
    blockTokens,
    get used() {
      return total - freeCount;
    },
    blocksFor: (tokens) => Math.ceil(tokens / blockTokens),
    canAllocate: (count) => count <= freeCount,
    allocate(count) {
      assert(count <= freeCount, `${count} blocks asked for, ${freeCount} free`);
      freeCount -= count;
      const blocks = stack.slice(freeCount, freeCount + count).reverse();
      for (const block of blocks) owned[block] = 1;
      return blocks;
    },
    free(blocks) {
      for (let i = blocks.length - 1; i >= 0; i--) {
        assert(owned[blocks[i]] === 1, `block ${blocks[i]} freed without an owner`);
        owned[blocks[i]] = 0;
        stack[freeCount++] = blocks[i];
      }
    },
  };
}

// The KV cache's blocks: who may write where, and which blocks hold what others may read. The executor owns the memory;
// this owns the ids.
//
// A full block is found by the tokens in it and by everything before them. The name of its contents is a number, given when
// the contents are first sealed; a block is known by its parent's number and its own tokens.
//
// What must stay true:
// - free + used = total; a block is used while it has an owner, and a block with two owners is sealed.
// - Sealed contents never change: a sealed block is full, and is written again only after it lost its last owner and its key.
// - A block that nobody owns keeps its key until its memory is needed; the longest unused go first.

import { assert } from '../core/index.ts';
import { createBlockIndex, NO_PARENT } from './kv-index.ts';
import { createBlockQueue } from './kv-queue.ts';

export interface KvBlocks {
  readonly total: number;
  /** Blocks with an owner. */
  readonly used: number;
  /** Blocks without an owner whose contents can still be found. */
  readonly cached: number;
  /** Owners given up so far: while it stands still, what did not fit does not fit. */
  readonly freed: number;
  /** Tokens that one block holds. */
  readonly blockTokens: number;
  /** Blocks that hold `tokens` tokens. */
  blocksFor(tokens: number): number;
  /** Whether so many blocks have no owner once `shared` have one. */
  canAllocate(count: number, shared?: Int32Array): boolean;
  /** Ids of `count` blocks of the caller's own, empty, until it frees them. Asks for no more than are free. */
  allocate(count: number): Int32Array;
  /** One owner less for each; call it with a whole block table, whose end is forgotten before its beginning. */
  free(blocks: Int32Array): void;
  /** Blocks that hold the beginning of `tokens`, in order, as many as are known; whose they become is up to `share`. */
  find(salt: string, tokens: Int32Array): Int32Array;
  /** One owner more for each. */
  share(blocks: Int32Array): void;
  /** Block `place` of a table that holds `tokens` is full, and all before it are sealed: from now on it can be found. */
  seal(salt: string, blockTable: Int32Array, place: number, tokens: Int32Array): void;
  /** Whether its one owner may write it. */
  isWritable(block: number): boolean;
}

/** Not sealed. */
const NO_CONTENTS = NO_PARENT;

export function createKvBlocks(total: number, blockTokens: number): KvBlocks {
  assert(total > 0 && blockTokens > 0, 'a KV cache has blocks, and blocks hold tokens');
  // A stack: the block freed last is used first, so that its memory is likely still in the CPU's cache.
  const stack = Int32Array.from({ length: total }, (_, i) => total - 1 - i);
  const owners = new Int32Array(total);
  const contents = new Float64Array(total).fill(NO_CONTENTS);
  const index = createBlockIndex(total, blockTokens);
  /** Blocks without an owner that can be found, the longest unused first. */
  const kept = createBlockQueue(total);
  let empty = total;
  let nextContents = NO_CONTENTS + 1;
  let freed = 0;

  const takeEmpty = (): number => {
    if (empty > 0) return stack[--empty];
    const oldest = kept.take();
    index.remove(oldest);
    return oldest;
  };

  return {
    total,
    blockTokens,
    get used() {
      return total - empty - kept.size;
    },
    get cached() {
      return kept.size;
    },
    get freed() {
      return freed;
    },
    blocksFor: (tokens) => Math.ceil(tokens / blockTokens),
    canAllocate(count, shared) {
      let available = empty + kept.size;
      if (shared !== undefined) for (const block of shared) if (owners[block] === 0) available--;
      return count <= available;
    },
    allocate(count) {
      assert(count <= empty + kept.size, 'no more blocks are asked for than are free');
      const blocks = new Int32Array(count);
      for (let i = 0; i < count; i++) {
        const block = takeEmpty();
        owners[block] = 1;
        contents[block] = NO_CONTENTS;
        blocks[i] = block;
      }
      return blocks;
    },
    free(blocks) {
      freed += blocks.length;
      for (let i = blocks.length - 1; i >= 0; i--) {
        const block = blocks[i];
        assert(owners[block] > 0, 'no block is freed without an owner');
        owners[block]--;
        if (owners[block] > 0) continue;
        if (!index.has(block)) stack[empty++] = block;
        else kept.add(block);
      }
    },
    find(salt, tokens) {
      const found: number[] = [];
      let parent = NO_PARENT;
      for (let from = 0; from + blockTokens <= tokens.length; from += blockTokens) {
        const block = index.find({ parent, salt, tokens, from });
        if (block === undefined) break;
        found.push(block);
        parent = contents[block];
      }
      return Int32Array.from(found);
    },
    share(blocks) {
      for (const block of blocks) {
        assert(contents[block] !== NO_CONTENTS, 'no block is shared before it is sealed');
        if (owners[block] === 0) kept.remove(block);
        owners[block]++;
      }
    },
    seal(salt, blockTable, place, tokens) {
      const block = blockTable[place];
      assert(
        owners[block] === 1 && contents[block] === NO_CONTENTS,
        'a block that is shared or sealed cannot be sealed',
      );
      const parent = place === 0 ? NO_PARENT : contents[blockTable[place - 1]];
      assert(place === 0 || parent !== NO_CONTENTS, 'a block is never sealed before the one in front of it');
      const key = { parent, salt, tokens, from: place * blockTokens };
      const twin = index.find(key);
      if (twin !== undefined) {
        // Two sequences computed the same at once. The contents have one name, and the first block goes by it.
        contents[block] = contents[twin];
        return;
      }
      contents[block] = nextContents++;
      index.add(block, key);
    },
    isWritable: (block) => owners[block] === 1 && contents[block] === NO_CONTENTS,
  };
}

// Where a full block is found by what it holds: its own tokens, and everything before them. The name of everything before is a
// number (of a first block it is the salt). A hash only says where to look; what is found is compared, so no two histories
// can collide, by chance or by design.

/** What a block holds: `blockTokens` of `tokens`, from `from` on, behind contents of the name `parent`. */
export interface BlockKey {
  readonly parent: number;
  /** Counts for first blocks only, whose parent is `NO_PARENT`. */
  readonly salt: string;
  readonly tokens: Int32Array;
  readonly from: number;
}

export interface BlockIndex {
  has(block: number): boolean;
  /** The block that holds this, if one does. */
  find(key: BlockKey): number | undefined;
  /**
   * From now on `block` is found by this, until it is removed, unless too many others lie where it is looked for. Nothing else
   * may be found by it.
   */
  add(block: number, key: BlockKey): void;
  remove(block: number): void;
}

export const NO_PARENT = 0;

const NO_BLOCK = -1;
/** By chance a chain has a dozen blocks at most. A longer one was made by somebody who knows the hash, and would hold up all. */
const LONGEST_CHAIN = 64;
/** 2³² divided by the golden ratio (Knuth's multiplier). */
const GOLDEN = 0x9e3779b1;

/** A hash table with chains, in arrays: keys made of text cost more than the tokens that are in them. */
export function createBlockIndex(total: number, blockTokens: number): BlockIndex {
  /** First block of each chain, and what follows it. */
  const mask = 2 ** Math.ceil(Math.log2(total + 1)) - 1;
  const heads = new Int32Array(mask + 1).fill(NO_BLOCK);
  const next = new Int32Array(total);
  /** By block; its parent is below `NO_PARENT` while it is not here. */
  const parents = new Float64Array(total).fill(NO_PARENT - 1);
  const hashes = new Int32Array(total);
  const held = new Int32Array(total * blockTokens);
  const salts: (string | undefined)[] = [];

  function hashOf({ parent, salt, tokens, from }: BlockKey): number {
    let hash = parent | 0;
    if (parent === NO_PARENT) for (let i = 0; i < salt.length; i++) hash = mixed(hash, salt.charCodeAt(i));
    for (let i = 0; i < blockTokens; i++) hash = mixed(hash, tokens[from + i]);
    return hash;
  }

  function holds(block: number, { parent, salt, tokens, from }: BlockKey): boolean {
    if (parents[block] !== parent || (parent === NO_PARENT && salts[block] !== salt)) return false;
    for (let i = 0, at = block * blockTokens; i < blockTokens; i++, at++)
      if (held[at] !== tokens[from + i]) return false;
    return true;
  }

  return {
    has: (block) => parents[block] >= NO_PARENT,
    find(key) {
      const hash = hashOf(key);
      for (let block = heads[hash & mask]; block !== NO_BLOCK; block = next[block]) {
        if (hashes[block] === hash && holds(block, key)) return block;
      }
      return undefined;
    },
    add(block, key) {
      const { parent, salt, tokens, from } = key;
      const hash = hashOf(key);
      const first = heads[hash & mask];
      let length = 0;
      for (let other = first; other !== NO_BLOCK; other = next[other]) length++;
      if (length === LONGEST_CHAIN) return;
      hashes[block] = hash;
      parents[block] = parent;
      if (parent === NO_PARENT) salts[block] = salt;
      for (let i = 0, at = block * blockTokens; i < blockTokens; i++, at++) held[at] = tokens[from + i];
      next[block] = first;
      heads[hash & mask] = block;
    },
    remove(block) {
      const chain = hashes[block] & mask;
      if (heads[chain] === block) heads[chain] = next[block];
      else {
        let before = heads[chain];
        while (next[before] !== block) before = next[before];
        next[before] = next[block];
      }
      parents[block] = NO_PARENT - 1;
      salts[block] = undefined;
    },
  };
}

const mixed = (hash: number, value: number): number => {
  const product = Math.imul(hash ^ value, GOLDEN);
  return product ^ (product >>> 15);
};

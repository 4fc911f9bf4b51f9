// A sequence: the live state of one answer that a scheduler and the executor need to know.
// All its tokens are kept, because blocks may be taken back: what they held is then computed again.

import { assert, seconds, type Seconds } from '../core/index.ts';
import type { KvBlocks } from './kv.ts';

/** What a client was promised; what a scheduler may order by. */
export interface LatencyTargets {
  /** Arrival to first token. */
  readonly ttft: Seconds;
  /** Each token after the first. */
  readonly tpot: Seconds;
}

/** What a scheduler may know of a sequence's standing. */
export interface Standing {
  /** On the server's clock. */
  readonly arrived: Seconds;
  /** The smaller goes first; 0 is usual. */
  readonly priority: number;
  /** Who is accounted. */
  readonly tenant: string;
  /** Its tenant's share in relation to others. */
  readonly weight: number;
  readonly targets?: LatencyTargets;
  /** Only sequences of equal salt find each other's blocks. */
  readonly salt: string;
  /** Each of its tokens has to go through the executor, whatever the prefix cache has. */
  readonly isComputedWhole?: boolean;
  /** Most of its tokens in one step. */
  readonly mostStepTokens?: number;
}

export interface Sequence extends Standing {
  /** Unique while the engine lives, rising with arrival. */
  readonly id: number;
  readonly promptTokens: number;
  /** It ends after this many generated tokens at the latest. */
  readonly maxTokens: number;
  /** Prompt, then answer; room for more behind `length`. */
  tokens: Int32Array;
  /** Tokens known so far. */
  length: number;
  /** Where a step finds its one token while it decodes: a view into `tokens` for each would cost more than the token. */
  readonly single: Int32Array;
  /** Blocks it owns, in token order; empty while it waits. Set by the scheduler. */
  blockTable: Int32Array;
  /** Where the table lies, with room for more behind it. */
  tableRoom: Int32Array;
  /** Tokens whose keys and values are cached. */
  computed: number;
  /** Blocks of the table that are sealed. */
  sealed: number;
  /** Prompt tokens that were found in the prefix cache at its first admission; undefined before. */
  found: number | undefined;
  /** Its place in the scheduler's order, set when it is added. */
  rank: number;
}

export const NO_BLOCKS = new Int32Array(0);

const USUAL: Standing = { arrived: seconds(0), priority: 0, tenant: '', weight: 1, salt: '' };

export function createSequence(
  id: number,
  prompt: Int32Array,
  maxTokens: number,
  standing: Partial<Standing> = {},
): Sequence {
  return {
    ...USUAL,
    ...standing,
    id,
    promptTokens: prompt.length,
    maxTokens,
    tokens: prompt,
    length: prompt.length,
    single: new Int32Array(1),
    blockTable: NO_BLOCKS,
    tableRoom: NO_BLOCKS,
    computed: 0,
    sealed: 0,
    found: undefined,
    rank: 0,
  };
}

/** Tokens sampled so far. */
export const generated = (sequence: Sequence): number => sequence.length - sequence.promptTokens;

/** Tokens to be processed before the next can be sampled: 1 while it decodes. */
export const tokensLeft = (sequence: Sequence): number => sequence.length - sequence.computed;

/** Room to begin with behind a prompt. */
const FIRST_ROOM = 64;

/** Tokens of the next step, valid until the one after it. */
export function nextTokens({ tokens, single, computed }: Sequence, count: number): Int32Array {
  if (count !== 1) return tokens.subarray(computed, computed + count);
  single[0] = tokens[computed];
  return single;
}

export function appendToken(sequence: Sequence, token: number): void {
  if (sequence.length === sequence.tokens.length) {
    // Choices of one prompt share its array until they write; a running step may still read the old one.
    const room = Math.max(FIRST_ROOM, sequence.length >> 1);
    const grown = new Int32Array(sequence.length + room);
    grown.set(sequence.tokens);
    sequence.tokens = grown;
  }
  sequence.tokens[sequence.length++] = token;
}

/**
 * Own blocks for the first `tokens` tokens.
 * @returns false, and nothing changed, where too few are free
 */
export function reserve(kv: KvBlocks, sequence: Sequence, tokens: number): boolean {
  const { blockTable } = sequence;
  const missing = kv.blocksFor(tokens) - blockTable.length;
  if (missing <= 0) return true;
  if (!kv.canAllocate(missing)) return false;
  extendTable(sequence, kv.allocate(missing));
  return true;
}

/**
 * Own blocks for all known tokens, those that hold their beginning shared with others.
 * @param spare blocks that must stay free
 * @returns false, and nothing changed, where too few are free
 */
export function admit(kv: KvBlocks, sequence: Sequence, prefixCache: boolean, spare: number): boolean {
  assert(sequence.blockTable.length === 0, 'a sequence is admitted without blocks');
  // One token at least is computed, because logits come from it.
  const reusable = sequence.tokens.subarray(0, sequence.length - 1);
  const shared = prefixCache && sequence.isComputedWhole !== true ? kv.find(sequence.salt, reusable) : NO_BLOCKS;
  const own = kv.blocksFor(sequence.length) - shared.length;
  if (!kv.canAllocate(own + spare, shared)) return false;
  kv.share(shared);
  extendTable(sequence, shared);
  extendTable(sequence, kv.allocate(own));
  sequence.sealed = shared.length;
  sequence.computed = shared.length * kv.blockTokens;
  sequence.found ??= Math.min(sequence.computed, sequence.promptTokens);
  return true;
}

/** Its blocks are free; what they held can be found until their memory is needed. */
export function release(kv: KvBlocks, sequence: Sequence): void {
  kv.free(sequence.blockTable);
  sequence.blockTable = NO_BLOCKS;
  sequence.computed = 0;
  sequence.sealed = 0;
}

/** `tokens` more are computed: let others find the blocks that are full now. */
export function advance(kv: KvBlocks, sequence: Sequence, tokens: number, prefixCache: boolean): void {
  sequence.computed += tokens;
  if (!prefixCache) return;
  for (; (sequence.sealed + 1) * kv.blockTokens <= sequence.computed; sequence.sealed++) {
    kv.seal(sequence.salt, sequence.blockTable, sequence.sealed, sequence.tokens);
  }
}

/** A running step may still read the table as it was. */
function extendTable(sequence: Sequence, blocks: Int32Array): void {
  const { length } = sequence.blockTable;
  const needed = length + blocks.length;
  if (needed > sequence.tableRoom.length) {
    const roomier = new Int32Array(2 * needed);
    roomier.set(sequence.blockTable);
    sequence.tableRoom = roomier;
  }
  sequence.tableRoom.set(blocks, length);
  sequence.blockTable = sequence.tableRoom.subarray(0, needed);
}

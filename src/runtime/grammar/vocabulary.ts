// A vocabulary as a trie of bytes, so that which tokens may follow is found by one walk: a byte that may not follow ends
// all tokens that go on with it.

import { fail } from '../../core/index.ts';
import type { Tokenizer } from '../../model/index.ts';
import type { Grammar, GrammarState } from './automaton.ts';

export interface GrammarVocabulary {
  /** Every byte has a token of its own; otherwise only ASCII has, and grammars must keep to it. */
  readonly allBytes: boolean;
  /** Tokens that may follow, one bit each. Kept in the state. */
  mask(grammar: Grammar, state: GrammarState): Uint32Array;
  bytesOf(token: number): Uint8Array;
}

/** What grammars are written in: printable ASCII, and the line feed between parts. */
const NEEDED: readonly number[] = [0x0a, ...Array.from({ length: 0x7f - 0x20 }, (_, i) => 0x20 + i)];
const FIRST_BEYOND_ASCII = 0x80;
/** Masks over all grammars; 32 MB with a vocabulary of 128,000. */
const MAX_KEPT_MASKS = 2_000;

/**
 * @param marks tokens that the answer's reader looks for: they are text even where they are special, as no others are, and
 *   where a mark must come it comes as its token, not letter by letter, as models were trained
 * @throws IngotError GRAMMAR_VOCABULARY where bytes of JSON have no token, so that an answer might not be finished
 */
export function createGrammarVocabulary(
  tokenizer: Tokenizer,
  marks: ReadonlySet<number> = new Set(),
): GrammarVocabulary {
  const ids: number[] = [];
  const single = new Uint8Array(256);
  for (let id = 0; id < tokenizer.vocabSize; id++) {
    if (tokenizer.specialIds.has(id) && !marks.has(id)) continue;
    const bytes = tokenizer.tokenBytes(id);
    if (bytes.length === 1) single[bytes[0]] = 1;
    if (bytes.length > 0) ids.push(id);
  }
  for (const byte of NEEDED) {
    if (single[byte] === 1) continue;
    fail({
      code: 'GRAMMAR_VOCABULARY',
      message: `the vocabulary has no token for the character ${JSON.stringify(String.fromCharCode(byte))} alone`,
      expected: 'a token for each printable ASCII character',
      suggestion: 'Use this model without response_format and without forced tool calls.',
    });
  }
  const trie = buildTrie(ids, tokenizer);
  /** States with a mask, oldest first. */
  const masked: GrammarState[] = [];
  const words = Math.ceil(tokenizer.vocabSize / 32);
  const allBytes = single.every((has, byte) => has === 1 || byte < FIRST_BEYOND_ASCII);

  return {
    allBytes,
    bytesOf: (token) => tokenizer.tokenBytes(token),
    mask(grammar, state) {
      if (state.mask !== undefined) return state.mask;
      if (masked.length >= MAX_KEPT_MASKS) {
        // The older half at once, so that the list is not moved at every step.
        for (const old of masked.splice(0, MAX_KEPT_MASKS / 2)) old.mask = undefined;
      }
      masked.push(state);
      const mask = walk(trie, grammar, state, words);
      for (const mark of marks) {
        if (((mask[mark >> 5] >>> (mark & 31)) & 1) === 0) continue;
        for (const token of spellings(tokenizer.tokenBytes(mark), trie, grammar, state)) {
          mask[token >> 5] &= ~(1 << (token & 31));
        }
      }
      return (state.mask = mask);
    },
  };
}

/** Nodes in the order in which a walk meets them. */
interface Trie {
  readonly byte: Uint8Array;
  /** Bytes from the root, so the root's children have 1. */
  readonly depth: Uint16Array;
  /** The node after the last one below this. */
  readonly after: Int32Array;
  /** Where the node's tokens begin in `tokens`; they end where the next node's begin. */
  readonly first: Int32Array;
  readonly tokens: Int32Array;
  readonly deepest: number;
}

function buildTrie(ids: readonly number[], tokenizer: Tokenizer): Trie {
  const bytes = (id: number): Uint8Array => tokenizer.tokenBytes(id);
  const sorted = [...ids].sort((a, b) => compareBytes(bytes(a), bytes(b)));
  const total = ids.reduce((sum, id) => sum + bytes(id).length, 0);
  const byte = new Uint8Array(total);
  const depth = new Uint16Array(total);
  const after = new Int32Array(total);
  const first = new Int32Array(total + 1);
  const open: number[] = [];
  let nodes = 0;
  let deepest = 0;
  let before = new Uint8Array(0);
  sorted.forEach((id, at) => {
    const own = bytes(id);
    let common = 0;
    while (common < before.length && common < own.length && before[common] === own[common]) common++;
    while (open.length > common) after[open.pop() as number] = nodes;
    for (let d = common; d < own.length; d++) {
      byte[nodes] = own[d];
      depth[nodes] = d + 1;
      // A node on the way to a token has none itself: those with fewer bytes came before.
      first[nodes] = at;
      open.push(nodes++);
    }
    deepest = Math.max(deepest, own.length);
    before = own as Uint8Array<ArrayBuffer>;
  });
  while (open.length > 0) after[open.pop() as number] = nodes;
  first[nodes] = sorted.length;
  return {
    byte: byte.subarray(0, nodes),
    depth: depth.subarray(0, nodes),
    after: after.subarray(0, nodes),
    first: first.subarray(0, nodes + 1),
    tokens: Int32Array.from(sorted),
    deepest,
  };
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length && i < b.length; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return a.length - b.length;
}

function walk(trie: Trie, grammar: Grammar, start: GrammarState, words: number): Uint32Array {
  const { byte, depth, after, first, tokens, deepest } = trie;
  const mask = new Uint32Array(words);
  const path = Array.from({ length: deepest + 1 }, () => start);
  for (let node = 0; node < byte.length; ) {
    const next = grammar.step(path[depth[node] - 1], byte[node]);
    if (next === null) {
      node = after[node];
      continue;
    }
    path[depth[node]] = next;
    for (let t = first[node]; t < first[node + 1]; t++) mask[tokens[t] >> 5] |= 1 << (tokens[t] & 31);
    node++;
  }
  return mask;
}

/** Tokens that are the beginning of a mark, and after which nothing but the rest of it could come. */
function spellings(mark: Uint8Array, trie: Trie, grammar: Grammar, start: GrammarState): number[] {
  const tokens: number[] = [];
  let state: GrammarState | null = start;
  let node = 0;
  let end = trie.byte.length;
  for (let i = 0; i < mark.length - 1; i++) {
    while (node < end && trie.byte[node] !== mark[i]) node = trie.after[node];
    state = state && grammar.step(state, mark[i]);
    if (node >= end || state === null) break;
    if (grammar.onlyByte(state) === mark[i + 1]) {
      tokens.push(...trie.tokens.subarray(trie.first[node], trie.first[node + 1]));
    }
    end = trie.after[node];
    node++;
  }
  return tokens;
}

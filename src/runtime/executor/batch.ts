// What a caller may ask for in one step, and how a step is cut into passes of the kernels.

import { fail } from '../../core/index.ts';
import { blockTokens } from '../wasm/layout.ts';
import type { Batch, BatchItem } from './executor.ts';

/** Limits of an executor that a batch must keep. */
export interface BatchLimits {
  readonly vocab: number;
  readonly maxContext: number;
  readonly blocks: number;
  readonly maxStepTokens: number;
  readonly hiddenWidth?: number;
}

/**
 * Makes what refuses a batch that would read or write outside of what it names, before anything is written. It throws
 * IngotError EXECUTOR_BATCH_INVALID.
 * @param readsContext whether the executor reads all blocks of a context, or no more than the position before the first
 */
export function createBatchCheck(limits: BatchLimits, readsContext = true): (batch: Batch) => void {
  /** By block, who writes it, counted on from batch to batch, so that nothing has to be put back. */
  const writers = new Float64Array(limits.blocks).fill(-1);
  let writersSoFar = 0;
  return ({ items }) => {
    const first = writersSoFar;
    writersSoFar += items.length;
    let tokens = 0;
    for (let i = 0; i < items.length; i++) {
      validateItem(items[i], i, limits, readsContext, writers, first);
      tokens += items[i].tokens.length;
    }
    if (tokens > limits.maxStepTokens) {
      refuse('the batch', 'has too many tokens', `at most ${limits.maxStepTokens}`, `${tokens}`);
    }
  };
}

/** @param first the number of the batch's first writer */
function validateItem(
  item: BatchItem,
  index: number,
  limits: BatchLimits,
  readsContext: boolean,
  writers: Float64Array,
  first: number,
): void {
  const { tokens, start, blockTable } = item;
  if (tokens.length === 0) refuseItem(item, index, 'has no tokens', 'at least 1', '0');
  if (!(Number.isInteger(item.wantLogits) && item.wantLogits >= 0 && item.wantLogits <= tokens.length)) {
    refuseItem(item, index, 'wants logits of tokens that it lacks', `0 to ${tokens.length}`, `${item.wantLogits}`);
  }
  if (item.hidden === true && limits.hiddenWidth === undefined) {
    refuseItem(item, index, 'wants hidden states of an executor without any', 'logits', 'hidden states');
  }
  if (!Number.isInteger(start) || start < 0) refuseItem(item, index, 'starts at no position', '0 or more', `${start}`);
  const end = start + tokens.length;
  if (end > limits.maxContext) {
    refuseItem(
      item,
      index,
      'goes past the longest context',
      `positions below ${limits.maxContext}`,
      `up to ${end - 1}`,
    );
  }
  for (const token of tokens) {
    if (token < 0 || token >= limits.vocab) {
      refuseItem(item, index, 'has a token id outside the vocabulary', `0 to ${limits.vocab - 1}`, `${token}`);
    }
  }
  const needed = Math.ceil(end / blockTokens);
  if (blockTable.length < needed) {
    refuseItem(
      item,
      index,
      'has too short a block table',
      `${needed} blocks for ${end} tokens`,
      `${blockTable.length}`,
    );
  }
  const firstWritten = Math.floor(start / blockTokens);
  const firstRead = readsContext || start === 0 ? 0 : Math.floor((start - 1) / blockTokens);
  for (let i = firstRead; i < needed; i++) {
    const block = blockTable[i];
    // As an unsigned number, one below 0 is beyond all.
    if (block >>> 0 >= limits.blocks) {
      refuseItem(item, index, 'names a block that does not exist', `0 to ${limits.blocks - 1}`, `${block}`);
    }
  }
  for (let i = firstWritten; i < needed; i++) {
    const block = blockTable[i];
    if (writers[block] >= first) {
      const other = writers[block] - first;
      refuseItem(item, index, `writes block ${block}, as item ${other} does`, 'blocks of its own', `block ${block}`);
    }
    writers[block] = first + index;
  }
}

function refuseItem({ sequence }: BatchItem, index: number, what: string, expected: string, found: string): never {
  return refuse(`item ${index} (sequence ${sequence})`, what, expected, found);
}

function refuse(where: string, what: string, expected: string, found: string): never {
  fail({
    code: 'EXECUTOR_BATCH_INVALID',
    message: `${where} ${what}`,
    where,
    expected,
    found,
  });
}

/** One token of a pass. */
export interface PassRow {
  readonly item: number;
  readonly token: number;
  readonly position: number;
}

export interface Pass {
  readonly rows: readonly PassRow[];
  /** Rows whose logits are wanted, at most `wantedRows`; `items` says whose they are. */
  readonly wanted: readonly number[];
  readonly items: readonly number[];
  /** Hidden states are wanted of them instead. */
  readonly hidden: boolean;
}

/** Tokens in order of the items, at most `rows` a pass and `wantedRows` logits a pass, or hidden states, never both. */
export function cutIntoPasses({ items }: Batch, rows: number, wantedRows: number): Pass[] {
  const passes: { rows: PassRow[]; wanted: number[]; items: number[]; hidden: boolean }[] = [];
  let current: (typeof passes)[number] | undefined;
  for (const [item, { tokens, start, wantLogits, hidden = false }] of items.entries()) {
    for (let i = 0; i < tokens.length; i++) {
      const wanted = i >= tokens.length - wantLogits;
      const isFull =
        current === undefined ||
        current.rows.length === rows ||
        (wanted && current.wanted.length === wantedRows) ||
        (wanted && current.wanted.length > 0 && current.hidden !== hidden);
      if (current === undefined || isFull) {
        current = { rows: [], wanted: [], items: [], hidden: false };
        passes.push(current);
      }
      if (wanted) {
        current.hidden = hidden;
        current.wanted.push(current.rows.length);
        current.items.push(item);
      }
      current.rows.push({ item, token: tokens[i], position: start + i });
    }
  }
  return passes;
}

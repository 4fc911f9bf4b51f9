// A small model guesses for a large one. It draws each guess from its own logits with the very number that the large model's
// token will be drawn with, so that two models of one mind say the same: a coupling without communication (Daliri,
// Musco, Suresh, "Coupling without Communication and Drafter-Invariant Speculative Decoding", 2024).

import { fail, joules, seconds } from '../../core/index.ts';
import type { BatchItem, Executor } from '../executor/executor.ts';
import { createKvBlocks } from '../kv.ts';
import { sampleLogits } from '../sampler.ts';
import { appendToken, createSequence, NO_BLOCKS, reserve, tokensLeft, type Sequence } from '../sequence.ts';
import type { StepModel } from '../step-model.ts';
import type { Drafter, DraftWant } from './drafter.ts';

export interface DraftModelOptions {
  readonly executor: Executor;
  /** Tokens of the model that verifies. */
  readonly vocab: number;
  /** Prices the draft model's own steps. */
  readonly stepModel?: StepModel;
}

/** A want in progress: the draft model's own sequence, which runs ahead of the one that it guesses for. */
interface Drafting {
  readonly want: DraftWant;
  readonly own: Sequence;
  readonly drafts: number[];
}

/** @throws IngotError DRAFT_VOCABULARY */
export function createModelDrafter({ executor, vocab, stepModel }: DraftModelOptions): Drafter {
  if (executor.vocab !== vocab) {
    fail({
      code: 'DRAFT_VOCABULARY',
      message: 'the draft model has another vocabulary than the model that it drafts for',
      expected: `${vocab} tokens`,
      found: `${executor.vocab} tokens`,
      suggestion: 'take a smaller model of the same family',
    });
  }
  const kv = createKvBlocks(executor.blocks, executor.blockTokens);
  const sequences = new Map<number, Sequence>();
  let time = 0;
  let energy = 0;

  function begin(want: DraftWant): Drafting | undefined {
    const { sequence, tokens, most } = want;
    if (tokens.length + most > executor.maxContext) return undefined;
    const own = sequences.get(sequence) ?? createSequence(sequence, new Int32Array(0), 0);
    sequences.set(sequence, own);
    follow(own, tokens);
    return reserve(kv, own, tokens.length + most) ? { want, own, drafts: [] } : undefined;
  }

  /** Steps until every want has its drafts: prompts in chunks, then one guess a step. */
  async function step(open: readonly Drafting[]): Promise<void> {
    let budget = executor.maxStepTokens;
    const items: BatchItem[] = [];
    const taken: Drafting[] = [];
    for (const drafting of open) {
      const { own } = drafting;
      const count = Math.min(budget, tokensLeft(own));
      if (count === 0) break;
      budget -= count;
      taken.push(drafting);
      items.push({
        sequence: own.id,
        tokens: own.tokens.subarray(own.computed, own.computed + count),
        start: own.computed,
        blockTable: own.blockTable,
        wantLogits: count === tokensLeft(own) ? 1 : 0,
      });
    }
    const results = await executor.execute({ items });
    const cost = stepModel?.step({ items: items.map((item) => ({ tokens: item.tokens.length, cached: item.start })) });
    time += cost?.time ?? 0;
    energy += cost?.energy ?? 0;
    for (const [i, { own, want, drafts }] of taken.entries()) {
      own.computed += items[i].tokens.length;
      if (items[i].wantLogits === 0) continue;
      const uniform = (): number => want.draws.peek(drafts.length);
      const token = sampleLogits(results[i][0], want.sampling, { uniform });
      drafts.push(token);
      appendToken(own, token);
    }
  }

  /** More guesses are wanted, and nobody has left meanwhile. */
  const isOpen = (drafting: Drafting | undefined): drafting is Drafting =>
    drafting !== undefined &&
    drafting.drafts.length < drafting.want.most &&
    sequences.get(drafting.own.id) === drafting.own;

  return {
    async propose(wants) {
      time = 0;
      energy = 0;
      const all = wants.map(begin);
      for (;;) {
        const open = all.filter(isOpen);
        if (open.length === 0) break;
        await step(open);
      }
      return { drafts: all.map((drafting) => drafting?.drafts ?? []), time: seconds(time), energy: joules(energy) };
    },
    forget(sequence) {
      const own = sequences.get(sequence);
      if (own === undefined) return;
      kv.free(own.blockTable);
      own.blockTable = NO_BLOCKS;
      sequences.delete(sequence);
    },
    close: () => executor.close(),
  };
}

/** Make `own` hold `tokens`; what it has computed counts as far as both agree. */
function follow(own: Sequence, tokens: Int32Array): void {
  let same = 0;
  while (same < own.length && same < tokens.length && own.tokens[same] === tokens[same]) same++;
  own.length = same;
  // The last token is computed anew, because its logits are wanted.
  own.computed = Math.min(own.computed, same, tokens.length - 1);
  for (const token of tokens.subarray(same)) appendToken(own, token);
}

// Drafts beside what a scheduler has decided: they take tokens of the step that are left, blocks that are free, and never
// anything from anybody. So how many there are depends on the company, and therefore nothing else may depend on them: the
// engine draws each token from the model's logits with the number that it would be drawn with anyway, and keeps going while the
// draft says the same. Answers are equal with and without drafts, bit for bit, at any temperature.

import { joules, seconds, type Joules, type Seconds } from '../../core/index.ts';
import type { Answer } from '../engine-answer.ts';
import type { KvBlocks } from '../kv.ts';
import type { StepItem } from '../scheduler/index.ts';
import { generated, reserve, tokensLeft } from '../sequence.ts';
import type { Drafter } from './drafter.ts';

/** A share of a step whose last tokens are guesses that it verifies. */
export interface PlannedItem extends StepItem<Answer> {
  readonly drafts?: readonly number[];
}

export interface SpeculationOptions {
  readonly drafter: Drafter;
  /** Drafts per sequence and step. */
  readonly draftTokens: number;
  readonly maxStepTokens: number;
}

export const NO_DRAFTS: readonly number[] = [];

/** What was guessed, and what the guessing takes on the wafer. */
export interface Guesses {
  readonly draftsOf: ReadonlyMap<Answer, readonly number[]>;
  readonly time: Seconds;
  readonly energy: Joules;
}

const NO_GUESSES: Guesses = { draftsOf: new Map(), time: seconds(0), energy: joules(0) };

/** Whether the drafter has something to go by: the first token of an answer has not, and some look at predictions only. */
export const isGuessable = ({ sequence, tokens }: StepItem<Answer>, { ofPredictions = false }: Drafter): boolean =>
  !(ofPredictions && sequence.prediction === undefined) && tokens === tokensLeft(sequence) && generated(sequence) > 0;

/** Ask for as many drafts as the step has tokens left. */
export async function guess(
  items: readonly StepItem<Answer>[],
  { drafter, draftTokens, maxStepTokens }: SpeculationOptions,
): Promise<Guesses> {
  let budget = maxStepTokens - items.reduce((sum, { tokens }) => sum + tokens, 0);
  const asking: Answer[] = [];
  const wants = [];
  for (const item of items) {
    const { sequence } = item;
    // The last token of the longest answer needs no successor.
    const useful = sequence.maxTokens - generated(sequence) - 1;
    const most = Math.min(draftTokens, budget, useful);
    if (most < 1 || !isGuessable(item, drafter)) continue;
    budget -= most;
    asking.push(sequence);
    const { draws, id, prediction } = sequence;
    const { sampling } = sequence.request;
    wants.push({
      sequence: id,
      tokens: sequence.tokens.subarray(0, sequence.length),
      most,
      sampling,
      draws,
      prediction,
    });
  }
  if (wants.length === 0) return NO_GUESSES;
  const { drafts, time, energy } = await drafter.propose(wants);
  return { draftsOf: new Map(asking.map((sequence, i) => [sequence, drafts[i]])), time, energy };
}

/** @returns the items with the drafts for which there is room, without those of sequences that left while drafts were made */
export function addDrafts(
  items: readonly StepItem<Answer>[],
  { draftsOf }: Guesses,
  kv: KvBlocks,
): readonly PlannedItem[] {
  return items
    .filter(({ sequence }) => !sequence.ended)
    .map((item) => {
      const guessed = draftsOf.get(item.sequence) ?? NO_DRAFTS;
      const drafts = guessed.slice(0, roomFor(kv, item.sequence, guessed.length));
      return { ...item, tokens: item.tokens + drafts.length, drafts };
    });
}

/** How many of `count` drafts have blocks, or find them free. */
function roomFor(kv: KvBlocks, sequence: Answer, count: number): number {
  if (reserve(kv, sequence, sequence.length + count)) return count;
  return sequence.blockTable.length * kv.blockTokens - sequence.length;
}

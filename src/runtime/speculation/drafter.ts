// Who guesses tokens before the model has them. A step then verifies several at the cost of one.

import type { Joules, Seconds } from '../../core/index.ts';
import type { Draws, Sampling } from '../sampler.ts';

/** One sequence that could use a draft. */
export interface DraftWant {
  readonly sequence: number;
  /** Prompt and answer so far. */
  readonly tokens: Int32Array;
  /** What the client says the answer will repeat. */
  readonly prediction?: Int32Array;
  /** Tokens that can be verified now. */
  readonly most: number;
  readonly sampling: Sampling;
  /** `peek(i)` is what the sequence's i-th next token will be drawn with. */
  readonly draws: Draws;
}

export interface Proposal {
  /** Per want, at most `most` tokens; none where there is no guess. */
  readonly drafts: readonly (readonly number[])[];
  /** What the guessing takes on the wafer. */
  readonly time: Seconds;
  readonly energy: Joules;
}

export interface Drafter {
  /** It has guesses only for sequences with a prediction; others are not asked about. */
  readonly ofPredictions?: boolean;
  propose(wants: readonly DraftWant[]): Promise<Proposal>;
  /** The sequence ended. */
  forget(sequence: number): void;
  close(): Promise<void>;
}

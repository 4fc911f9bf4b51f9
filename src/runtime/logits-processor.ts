// What a request does to the logits of its own answers before a token is drawn: penalties, biases, grammars.

import type { AdjustableLogits } from './adjustable-logits.ts';

/**
 * The rules of one answer, with their state. The engine calls `adjust` once for each token that it is about to draw, and
 * `accept` with the token that was drawn; a draft that is rejected is never accepted, so nothing has to be taken back.
 */
export interface LogitsProcessor {
  /**
   * Changes logits in place. At least one token stays possible.
   * @param logits the answer's own copy
   * @param generated the answer's tokens so far, without the prompt
   */
  adjust(logits: AdjustableLogits, generated: readonly number[]): void;
  /** The drawn token; true where the answer is complete with it and ends, as by an end token that has been shown. */
  accept(token: number): boolean;
}

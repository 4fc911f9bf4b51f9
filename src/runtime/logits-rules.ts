// Rules on logits that requests ask for by number: penalties, biases, a least length.

import type { LogitsProcessor } from './logits-processor.ts';

export interface Penalties {
  /** Taken off for each time that the answer has the token already. */
  readonly frequency: number;
  /** Taken off once where the answer has the token already. */
  readonly presence: number;
  /** Divides positive logits, and multiplies negative ones, of tokens in the prompt or the answer (CTRL, arXiv 1909.05858). */
  readonly repetition: number;
}

/** Frequency and presence look at the answer only, repetition at the prompt too, as in other open servers. */
export function createPenalties({ frequency, presence, repetition }: Penalties, prompt: Int32Array): LogitsProcessor {
  const counts = new Map<number, number>();
  const seen = repetition === 1 ? new Set<number>() : new Set(prompt);
  return {
    adjust(logits) {
      for (const token of seen) {
        const logit = logits.get(token);
        logits.set(token, logit * (logit > 0 ? 1 / repetition : repetition));
      }
      for (const [token, count] of counts) logits.set(token, logits.get(token) - (frequency * count + presence));
    },
    accept(token) {
      counts.set(token, (counts.get(token) ?? 0) + 1);
      if (repetition !== 1) seen.add(token);
      return false;
    },
  };
}

/** Added to the logits of some tokens. */
export const createBias = (biases: readonly (readonly [token: number, bias: number])[]): LogitsProcessor => ({
  adjust(logits) {
    for (const [token, bias] of biases) logits.set(token, logits.get(token) + bias);
  },
  accept: () => false,
});

/** No end before so many tokens. */
export const createLeastLength = (least: number, eos: readonly number[]): LogitsProcessor => ({
  adjust(logits, generated) {
    if (generated.length < least) for (const token of eos) logits.set(token, -Infinity);
  },
  accept: () => false,
});

/** One after the other; the last has the last word. */
export const inOrder = (rules: readonly LogitsProcessor[]): LogitsProcessor => ({
  adjust(logits, generated) {
    for (const rule of rules) rule.adjust(logits, generated);
  },
  accept: (token) => rules.map((rule) => rule.accept(token)).includes(true),
});

// Soft-capping of scores and logits (Gemma 2, arXiv 2408.00118, section 2).

import type { OpDefinition } from './definition.ts';

export const softcap: OpDefinition<'softcap'> = {
  inputs: (op) => [{ name: op.input, width: op.width }],
  width: (op) => op.width,
  // Divide, tanh, multiply.
  flops: (op, tokens) => tokens * op.width * 3,
  weights: () => [],
  weightElements: () => 0,
  evaluate: (op, step) => step.value(op.input).map((x) => op.cap * Math.tanh(x / op.cap)),
};

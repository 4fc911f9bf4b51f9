// Gated linear units (Shazeer 2020, arXiv 2002.05202).

import type { GluOp } from '../graph.ts';
import type { OpDefinition } from './definition.ts';

const activations: Record<GluOp['activation'], { readonly flops: number; readonly apply: (x: number) => number }> = {
  /** x · sigmoid(x): negate, exp, add, divide. */
  silu: { flops: 4, apply: (x) => x / (1 + Math.exp(-x)) },
  /** The tanh form of GELU (Hendrycks and Gimpel 2016, arXiv 1606.08415). */
  'gelu-tanh': {
    flops: 9,
    apply: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x))),
  },
};

export const glu: OpDefinition<'glu'> = {
  inputs: (op) => [
    { name: op.gate, width: op.width },
    { name: op.up, width: op.width },
  ],
  width: (op) => op.width,
  flops: (op, tokens) => tokens * op.width * (activations[op.activation].flops + 1),
  weights: () => [],
  weightElements: () => 0,
  evaluate(op, step) {
    const up = step.value(op.up);
    const { apply } = activations[op.activation];
    return step.value(op.gate).map((x, i) => apply(x) * up[i]);
  },
};

// Gated linear units (Shazeer 2020, arXiv 2002.05202).

import type { GluOp } from '../graph.ts';
import type { OpDefinition } from './definition.ts';

/** `clamped-silu` (gpt-oss, `swiglu` in gpt_oss/torch/model.py of its release): slope of the sigmoid, and bounds. */
export const clampedSilu = { slope: 1.702, limit: 7 } as const;

/** FLOPs for one element, and its meaning. */
interface Unit {
  readonly flops: number;
  apply(gate: number, up: number): number;
}

const units: Record<GluOp['activation'], Unit> = {
  /** gate · sigmoid(gate) · up: negate, exp, add, divide, multiply. */
  silu: { flops: 5, apply: (x, up) => (x / (1 + Math.exp(-x))) * up },
  /** The tanh form of GELU (Hendrycks and Gimpel 2016, arXiv 1606.08415). */
  'gelu-tanh': {
    flops: 10,
    apply: (x, up) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x))) * up,
  },
  /** gate · sigmoid(slope · gate) · (up + 1), the gate bounded from above, up from both sides. */
  'clamped-silu': {
    flops: 9,
    apply(gate, up) {
      const { slope, limit } = clampedSilu;
      const x = Math.min(gate, limit);
      return (x / (1 + Math.exp(-slope * x))) * (Math.min(Math.max(up, -limit), limit) + 1);
    },
  },
};

export const glu: OpDefinition<'glu'> = {
  inputs: (op) => [
    { name: op.gate, width: op.width },
    { name: op.up, width: op.width },
  ],
  width: (op) => op.width,
  flops: (op, tokens) => tokens * op.width * units[op.activation].flops,
  weights: () => [],
  weightElements: () => 0,
  evaluate(op, step) {
    const up = step.value(op.up);
    const unit = units[op.activation];
    return step.value(op.gate).map((x, i) => unit.apply(x, up[i]));
  },
};

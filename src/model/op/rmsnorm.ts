// Root-mean-square norm (Zhang and Sennrich 2019, arXiv 1910.07467): y = x / sqrt(mean(x²) + eps) ⊙ (offset + w).

import { elementsOf, type OpDefinition } from './definition.ts';

export const rmsnorm: OpDefinition<'rmsnorm'> = {
  inputs: (op) => [{ name: op.input, width: op.width + (op.passed ?? 0) }],
  width: (op) => op.width + (op.passed ?? 0),
  // Square and add, then two multiplications, per element; divide, add, root, divide per part.
  flops: (op, tokens) => tokens * (4 * op.width + 4 * op.groups),
  weights: (op) => [{ name: op.weight, shape: [op.width / op.groups] }],
  weightElements: (op) => elementsOf(rmsnorm.weights(op)),
  evaluate(op, step) {
    const x = step.value(op.input);
    const weight = step.weight(op.weight);
    const { offset = 0 } = op;
    const part = op.width / op.groups;
    const out = x.slice();
    const rowWidth = op.width + (op.passed ?? 0);
    const parts = step.tokens.length * op.groups;
    for (let i = 0; i < parts; i++) normalize(Math.floor(i / op.groups) * rowWidth + (i % op.groups) * part);
    return out;

    function normalize(from: number): void {
      let squares = 0;
      for (let i = 0; i < part; i++) squares += x[from + i] * x[from + i];
      const scale = 1 / Math.sqrt(squares / part + op.eps);
      for (let i = 0; i < part; i++) out[from + i] = x[from + i] * scale * (offset + weight[i]);
    }
  },
};

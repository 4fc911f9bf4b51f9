import type { OpDefinition } from './definition.ts';

export const linear: OpDefinition<'linear'> = {
  inputs: (op) => [{ name: op.input, width: op.k }],
  width: (op) => op.n,
  flops: (op, tokens) => tokens * op.n * (2 * op.k + (op.bias === undefined ? 0 : 1)),
  weights: (op) => [
    { name: op.weight, shape: [op.rows?.of ?? op.n, op.k] },
    ...(op.bias === undefined ? [] : [{ name: op.bias, shape: [op.n] }]),
  ],
  // What the op has of it; others may have the rest.
  weightElements: (op) => op.n * (op.k + (op.bias === undefined ? 0 : 1)),
  evaluate(op, step) {
    const x = step.value(op.input);
    const weight = step.weight(op.weight).subarray((op.rows?.from ?? 0) * op.k);
    const bias = op.bias === undefined ? undefined : step.weight(op.bias);
    const rows = step.tokens.length;
    const out = new Float32Array(rows * op.n);
    for (let row = 0; row < rows; row++) {
      for (let j = 0; j < op.n; j++) {
        let sum = bias === undefined ? 0 : bias[j];
        for (let i = 0; i < op.k; i++) sum += x[row * op.k + i] * weight[j * op.k + i];
        out[row * op.n + j] = sum;
      }
    }
    return out;
  },
};

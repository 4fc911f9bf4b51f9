import type { OpDefinition } from './definition.ts';

export const add: OpDefinition<'add'> = {
  inputs: (op) => [
    { name: op.a, width: op.width },
    { name: op.b, width: op.width },
  ],
  width: (op) => op.width,
  flops: (op, tokens) => tokens * op.width,
  weights: () => [],
  weightElements: () => 0,
  evaluate(op, step) {
    const b = step.value(op.b);
    return step.value(op.a).map((x, i) => x + b[i]);
  },
};

import { fail } from '../../core/index.ts';
import { elementsOf, type OpDefinition } from './definition.ts';

export const embedding: OpDefinition<'embedding'> = {
  inputs: () => [],
  width: (op) => op.width,
  flops: (op, tokens) => (op.scale === undefined ? 0 : tokens * op.width),
  weights: (op) => [{ name: op.weight, shape: [op.vocab, op.width] }],
  weightElements: (op) => elementsOf(embedding.weights(op)),
  evaluate(op, step) {
    const table = step.weight(op.weight);
    const out = new Float32Array(step.tokens.length * op.width);
    for (const [row, token] of step.tokens.entries()) {
      if (!Number.isInteger(token) || token < 0 || token >= op.vocab) {
        fail({
          code: 'TOKEN_OUT_OF_RANGE',
          message: 'a token id is not in the vocabulary',
          where: `position ${step.start + row}`,
          expected: `an integer from 0 to ${op.vocab - 1}`,
          found: String(token),
        });
      }
      out.set(table.subarray(token * op.width, (token + 1) * op.width), row * op.width);
    }
    const { scale } = op;
    return scale === undefined ? out : out.map((x) => x * scale);
  },
};

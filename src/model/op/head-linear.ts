import type { OpDefinition } from './definition.ts';
import type { HeadLinearOp } from '../graph.ts';

/** Where element (i of k, o of n) of a head's matrix lies in the weight. */
export function headElement(op: HeadLinearOp, head: number, i: number, o: number): number {
  const first = head * op.rows + op.from;
  return op.stored === 'kn' ? (first + i) * op.n + o : (first + o) * op.k + i;
}

export const headLinear: OpDefinition<'head-linear'> = {
  inputs: (op) => [{ name: op.input, width: op.heads * (op.k + op.passed) }],
  width: (op) => op.heads * (op.n + op.passed),
  flops: (op, tokens) => tokens * op.heads * 2 * op.k * op.n,
  weights: (op) => [{ name: op.weight, shape: [op.heads * op.rows, op.stored === 'kn' ? op.n : op.k] }],
  // What the op reads of it; another op may read the rest.
  weightElements: (op) => op.heads * op.k * op.n,
  evaluate(op, step) {
    const x = step.value(op.input);
    const weight = step.weight(op.weight);
    const [inWidth, outWidth] = [op.k + op.passed, op.n + op.passed];
    const parts = step.tokens.length * op.heads;
    const out = new Float32Array(parts * outWidth);
    for (let part = 0; part < parts; part++) {
      const head = part % op.heads;
      for (let o = 0; o < op.n; o++) {
        let sum = 0;
        for (let i = 0; i < op.k; i++) sum += x[part * inWidth + i] * weight[headElement(op, head, i, o)];
        out[part * outWidth + o] = sum;
      }
      out.set(x.subarray(part * inWidth + op.k, (part + 1) * inWidth), part * outWidth + op.n);
    }
    return out;
  },
};

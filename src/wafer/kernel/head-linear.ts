import type { HeadLinearOp } from '../../model/index.ts';
import { phase, waveletsOf } from '../phase.ts';
import { across, allReduceOf, along, type Kernel } from './kernel.ts';
import { matrix } from './linear.ts';

/**
 * A matrix for each head, all of them spread evenly over the region. Where every head's input lies over the whole axis,
 * it is a matrix of all heads' outputs. Otherwise a PE holds inputs of one head, and of the outputs of that head the
 * share of its line: partial results are added over the PEs of the head, and every head's share travels along the axis, so
 * that each PE then has its share of all heads, where latent attention has the channels of its keys.
 */
export const headLinear: Kernel<HeadLinearOp> = {
  phases: (op, axis, context) => {
    if (op.isSpread) return matrix(op.k, [op.heads * op.n], false, axis, context);
    const { tokens, type } = context;
    const parts = along(axis, context);
    const lines = across(axis, context);
    const inputs = Math.ceil((op.heads * (op.k + op.passed)) / parts);
    const outputs = Math.ceil(op.n / lines);
    const headParts = Math.max(1, Math.min(parts, Math.ceil(op.k / inputs)));
    const gathered = op.heads * Math.ceil((op.n + op.passed) / lines) * tokens;
    return [
      phase('multiply', { vectors: [{ count: tokens * inputs, length: outputs, type, looped: true }] }),
      ...allReduceOf(headParts, tokens * Math.ceil(op.heads / parts) * outputs, axis, context),
      ...(parts > 1
        ? [
            phase('gather heads', {
              hops: parts - 1,
              ramps: 2,
              tasks: 1,
              wavelets: waveletsOf(gathered, type),
              vectors: [{ count: 1, length: 0, type }],
            }),
          ]
        : []),
    ];
  },
};

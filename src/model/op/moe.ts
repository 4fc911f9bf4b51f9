// Mixture of experts, for sizing: how much it weighs and works, not what it computes.

import { assert } from '../../core/index.ts';
import type { OpDefinition } from './definition.ts';

/** Gate, up and down of one gated MLP. */
const mlpElements = (width: number, ffn: number): number => 3 * width * ffn;
/** A multiply-add per weight, then silu and product per element between. */
const mlpFlops = (width: number, ffn: number): number => 2 * mlpElements(width, ffn) + 5 * ffn;

export const moe: OpDefinition<'moe'> = {
  inputs: (op) => [{ name: op.input, width: op.width }],
  width: (op) => op.width,
  // Router and its softmax over all experts; then the chosen and the shared experts and their weighted sum.
  // Biases and top-k selection are left out: less than a thousandth of the whole on published models.
  flops: (op, tokens) =>
    tokens *
    (op.experts * (2 * op.width + 4) +
      op.activeExperts * (mlpFlops(op.width, op.expertFfn) + 2 * op.width) +
      op.sharedExperts * (mlpFlops(op.width, op.sharedFfn) + op.width)),
  weights: (op) => [{ name: op.router, shape: [op.experts, op.width] }],
  weightElements: (op) =>
    op.experts * (op.width + (op.routerBias ? 1 : 0)) +
    op.experts * (mlpElements(op.width, op.expertFfn) + (op.expertBias ? 2 * op.expertFfn + op.width : 0)) +
    op.sharedExperts * mlpElements(op.width, op.sharedFfn),
  evaluate() {
    assert(false, 'mixture of experts has no meaning here yet; executors refuse such graphs');
  },
};

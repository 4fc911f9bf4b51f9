// Mixture of gated MLPs (Shazeer et al. 2017, arXiv 1701.06538; without a shared expert, which is an MLP beside it).

import type { LinearOp, MoeOp } from '../graph.ts';
import type { OpDefinition, StepView, WeightUse } from './definition.ts';
import { glu } from './glu.ts';
import { linear } from './linear.ts';

/** The three projections of one expert, as ops on values that only they see. */
export interface ExpertOps {
  readonly gate: LinearOp;
  readonly up: LinearOp;
  readonly down: LinearOp;
}

export function expertOps(op: MoeOp, expert: number): ExpertOps {
  const project = (module: string, input: string, k: number, n: number, out: string): LinearOp => {
    const name = module.replace('{expert}', String(expert));
    const bias = op.expertBias ? { bias: `${name}.bias` } : {};
    return { kind: 'linear', input, weight: `${name}.weight`, ...bias, role: 'expert', k, n, out };
  };
  return {
    gate: project(op.gate, op.input, op.width, op.expertFfn, 'gate'),
    up: project(op.up, op.input, op.width, op.expertFfn, 'up'),
    down: project(op.down, 'gated', op.expertFfn, op.width, 'expert'),
  };
}

/** The router as an op: a bias that only the choice sees is none of its own. */
export const routerOp = (op: MoeOp): LinearOp => ({
  kind: 'linear',
  input: op.input,
  weight: op.router,
  ...(op.routing.bias === 'logits' && op.routerBias !== undefined ? { bias: op.routerBias } : {}),
  role: 'router',
  k: op.width,
  n: op.experts,
  out: 'scores',
});

/** The best of `candidates` by `value`, best first, the first of equals. */
function best(count: number, candidates: readonly number[], value: (i: number) => number): number[] {
  return [...candidates].sort((a, b) => value(b) - value(a) || a - b).slice(0, count);
}

/**
 * The experts of a token, best first; the lower number of equals.
 * @param choice one score for each expert, the bias of the choice included
 * @param round precision of the sum of a group's two best
 */
export function chooseExperts(
  op: MoeOp,
  choice: Float32Array | Float64Array,
  round = (x: number): number => x,
): number[] {
  const all = Array.from(choice, (_, expert) => expert);
  const { groups } = op.routing;
  const score = (expert: number): number => choice[expert];
  if (groups === undefined) return best(op.activeExperts, all, score);
  const size = op.experts / groups.count;
  const members = (group: number): number[] => all.slice(group * size, (group + 1) * size);
  const sums = Array.from({ length: groups.count }, (_, group) =>
    round(best(2, members(group), score).reduce((sum, expert) => sum + score(expert), 0)),
  );
  const kept = best(groups.active, [...sums.keys()], (group) => sums[group]);
  return best(op.activeExperts, kept.flatMap(members), score);
}

/** Experts and their weights for one row of router logits. */
function route(
  op: MoeOp,
  logits: Float32Array,
  step: StepView,
): { readonly expert: number; readonly weight: number }[] {
  const { score, normalize, scale, bias } = op.routing;
  const most = logits.reduce((a, b) => Math.max(a, b));
  const terms = Float64Array.from(logits, (x) => (score === 'softmax' ? Math.exp(x - most) : 1 / (1 + Math.exp(-x))));
  const total = score === 'softmax' ? terms.reduce((a, b) => a + b) : 1;
  const scores = terms.map((term) => term / total);
  const added = bias === 'choice' && op.routerBias !== undefined ? step.weight(op.routerBias) : undefined;
  const chosen = chooseExperts(op, added === undefined ? scores : scores.map((x, expert) => x + added[expert]));
  const sum = normalize ? chosen.reduce((partial, expert) => partial + scores[expert], 0) : 1;
  return chosen.map((expert) => ({ expert, weight: (scale * scores[expert]) / sum }));
}

export const moe: OpDefinition<'moe'> = {
  inputs: (op) => [{ name: op.input, width: op.width }],
  width: (op) => op.width,
  // Router and its softmax over all experts; then the chosen experts and their weighted sum.
  // Biases and top-k selection are left out: less than a thousandth of the whole on published models.
  flops: (op, tokens) => {
    const { gate, down } = expertOps(op, 0);
    const unit = { kind: 'glu', gate: '', up: '', activation: op.activation, width: op.expertFfn, out: '' } as const;
    const expert = 2 * (2 * gate.k * gate.n) + 2 * down.k * down.n + glu.flops(unit, 1, 0);
    return tokens * (op.experts * (2 * op.width + 4) + op.activeExperts * (expert + 2 * op.width));
  },
  weights: (op) => {
    const uses: WeightUse[] = [{ name: op.router, shape: [op.experts, op.width] }];
    if (op.routerBias !== undefined) uses.push({ name: op.routerBias, shape: [op.experts] });
    for (let expert = 0; expert < op.experts; expert++) {
      const { gate, up, down } = expertOps(op, expert);
      uses.push(...linear.weights(gate), ...linear.weights(up), ...linear.weights(down));
    }
    return uses;
  },
  // Experts are alike, and a mixture may have hundreds.
  weightElements: (op) => {
    const { gate, up, down } = expertOps(op, 0);
    const expert = linear.weightElements(gate) + linear.weightElements(up) + linear.weightElements(down);
    return op.experts * (op.width + (op.routerBias === undefined ? 0 : 1) + expert);
  },
  evaluate(op, step) {
    const x = step.value(op.input);
    const out = new Float32Array(x.length);
    const logits = linear.evaluate(routerOp(op), step);
    for (let row = 0; row < step.tokens.length; row++) {
      const token = x.subarray(row * op.width, (row + 1) * op.width);
      const sums = new Float64Array(op.width);
      for (const { expert, weight } of route(op, logits.subarray(row * op.experts, (row + 1) * op.experts), step)) {
        const y = runExpert(op, expert, token, step);
        for (let i = 0; i < op.width; i++) sums[i] += weight * y[i];
      }
      out.set(sums, row * op.width);
    }
    return out;
  },
};

/** What one expert makes of one token. */
function runExpert(op: MoeOp, expert: number, token: Float32Array, step: StepView): Float32Array {
  const { gate, up, down } = expertOps(op, expert);
  const values = new Map([[op.input, token]]);
  const value = (name: string): Float32Array => values.get(name) ?? step.value(name);
  const one: StepView = {
    tokens: [0],
    start: step.start,
    cache: step.cache,
    value,
    weight: (name) => step.weight(name),
  };
  values.set(gate.out, linear.evaluate(gate, one));
  values.set(up.out, linear.evaluate(up, one));
  const unit = { kind: 'glu', gate: gate.out, up: up.out, activation: op.activation, width: op.expertFfn } as const;
  values.set(down.input, glu.evaluate({ ...unit, out: down.input }, one));
  return linear.evaluate(down, one);
}

import { createRng } from '../../src/core/index.ts';

export interface HeadFit {
  /** [vocab, width], row-major. */
  readonly head: Float32Array;
  /** Mean −ln p of the targets in the last pass, in nats. */
  readonly loss: number;
  /** Share of targets that had the highest score in the last pass. */
  readonly accuracy: number;
}

/**
 * Softmax regression: the matrix that makes target i the likely one at hidden state i. Plain stochastic gradient
 * descent, one example at a time in seeded order, with a rate that falls linearly to zero.
 * @param hidden [examples, width], rows of root mean square 1 (they come out of a norm)
 * @param rate first step, over the squared length of a row. Above 2 a step may overshoot its example; the falling
 *   rate mends that, and the larger weights leave wider margins between tokens
 */
export function fitHead(
  hidden: Float32Array,
  targets: Int32Array,
  vocab: number,
  { passes, rate, seed }: { readonly passes: number; readonly rate: number; readonly seed: number },
): HeadFit {
  const examples = targets.length;
  const width = hidden.length / examples;
  const head = new Float32Array(vocab * width);
  const scores = new Float64Array(vocab);
  const order = Int32Array.from({ length: examples }, (_, i) => i);
  const rng = createRng(seed);
  // Smaller gradients than this change no stored weight by a bfloat16 step.
  const negligible = 1e-4;
  let loss = 0;
  let correct = 0;
  for (let pass = 0; pass < passes; pass++) {
    for (let i = examples - 1; i > 0; i--) {
      const j = Math.floor(rng.uniform() * (i + 1));
      [order[i], order[j]] = [order[j], order[i]];
    }
    const step = (rate * (1 - pass / passes)) / width;
    loss = 0;
    correct = 0;
    for (const example of order) {
      const x = hidden.subarray(example * width, (example + 1) * width);
      const target = targets[example];
      let best = 0;
      for (let v = 0; v < vocab; v++) {
        let sum = 0;
        for (let d = 0, at = v * width; d < width; d++, at++) sum += head[at] * x[d];
        scores[v] = sum;
        if (sum > scores[best]) best = v;
      }
      const top = scores[best];
      let total = 0;
      for (let v = 0; v < vocab; v++) total += scores[v] = Math.exp(scores[v] - top);
      loss -= Math.log(scores[target] / total) / examples;
      correct += best === target ? 1 : 0;
      for (let v = 0; v < vocab; v++) {
        const gradient = scores[v] / total - (v === target ? 1 : 0);
        if (Math.abs(gradient) < negligible) continue;
        for (let d = 0, at = v * width; d < width; d++, at++) head[at] -= step * gradient * x[d];
      }
    }
  }
  return { head, loss, accuracy: correct / examples };
}

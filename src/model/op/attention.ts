// Causal grouped-query attention (Ainslie et al. 2023, arXiv 2305.13245): query head h reads key head
// floor(h · kvHeads / heads). Sliding window as in Mistral 7B (arXiv 2310.06825). Sinks as in gpt-oss (arXiv 2508.10925).

import { assert } from '../../core/index.ts';
import type { AttentionOp } from '../graph.ts';
import type { OpDefinition } from './definition.ts';

/** Elements of a value of one head. */
export const valueHeadDim = (op: AttentionOp): number => op.latent?.valueHeadDim ?? op.headDim;

/** First position that the query at `position` sees. */
const firstVisible = (op: AttentionOp, position: number): number =>
  op.slidingWindow === undefined ? 0 : Math.max(0, position - op.slidingWindow + 1);

/** Keys seen, summed over `tokens` queries that follow `context` earlier tokens. */
export function visibleKeys(op: AttentionOp, tokens: number, context: number): number {
  const full = tokens * context + (tokens * (tokens + 1)) / 2;
  const window = op.slidingWindow;
  if (window === undefined) return full;
  // Query i would see context + i + 1 keys; those over the window are taken off.
  const overLast = context + tokens - window;
  if (overLast <= 0) return full;
  const overFirst = Math.max(1, context + 1 - window);
  return full - ((overFirst + overLast) * (overLast - overFirst + 1)) / 2;
}

export const attention: OpDefinition<'attention'> = {
  inputs: (op) => [
    { name: op.q, width: op.heads * op.headDim },
    { name: op.k, width: op.kvHeads * op.headDim },
    ...(op.latent === undefined ? [{ name: op.v, width: op.kvHeads * op.headDim }] : []),
  ],
  width: (op) => op.heads * valueHeadDim(op),
  // Per query head and key: dot product and weighted sum, then scale, maximum, subtract, exp, sum, divide; a soft
  // cap divides, takes a tanh and multiplies.
  flops: (op, tokens, context) =>
    visibleKeys(op, tokens, context) *
    op.heads *
    (2 * op.headDim + 2 * valueHeadDim(op) + 6 + (op.softcap === undefined ? 0 : 3)),
  weights: (op) => (op.sinks === undefined ? [] : [{ name: op.sinks, shape: [op.heads] }]),
  weightElements: (op) => (op.sinks === undefined ? 0 : op.heads),
  evaluate(op, step) {
    const { keys, values } = step.cache;
    assert(keys.length === step.start, `cache holds ${keys.length} tokens, step starts at ${step.start}`);
    const dim = op.headDim;
    const kvWidth = op.kvHeads * dim;
    const q = step.value(op.q);
    const k = step.value(op.k);
    const v = op.latent === undefined ? step.value(op.v) : k;
    const valueDim = valueHeadDim(op);
    for (let row = 0; row < step.tokens.length; row++) {
      keys.push(k.slice(row * kvWidth, (row + 1) * kvWidth));
      values.push(v.slice(row * kvWidth, (row + 1) * kvWidth));
    }
    const sinks = op.sinks === undefined ? undefined : step.weight(op.sinks);
    const out = new Float32Array(step.tokens.length * op.heads * valueDim);
    for (let row = 0; row < step.tokens.length; row++) {
      const position = step.start + row;
      const first = firstVisible(op, position);
      for (let head = 0; head < op.heads; head++) {
        const from = (row * op.heads + head) * dim;
        const kvFrom = Math.floor((head * op.kvHeads) / op.heads) * dim;
        const scores = new Float64Array(position - first + 1);
        for (let j = 0; j < scores.length; j++) {
          let dot = 0;
          for (let i = 0; i < dim; i++) dot += q[from + i] * keys[first + j][kvFrom + i];
          const score = dot * op.scale;
          scores[j] = op.softcap === undefined ? score : op.softcap * Math.tanh(score / op.softcap);
        }
        // Without a sink, a score that weighs nothing.
        const sink = sinks?.[head] ?? -Infinity;
        const maximum = scores.reduce((a, b) => Math.max(a, b), sink);
        const weights = scores.map((score) => Math.exp(score - maximum));
        const total = weights.reduce((a, b) => a + b, Math.exp(sink - maximum));
        const to = (row * op.heads + head) * valueDim;
        for (let i = 0; i < valueDim; i++) {
          let sum = 0;
          for (let j = 0; j < weights.length; j++) sum += weights[j] * values[first + j][kvFrom + i];
          out[to + i] = sum / total;
        }
      }
    }
    return out;
  },
};

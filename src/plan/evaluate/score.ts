// What a text says of a model: how well each next token is foretold, and how far another model's word is from it.

/** Means over all tokens that were foretold. */
export interface TextScore {
  readonly tokens: number;
  /** exp of the mean of -ln p(next token). */
  readonly perplexity: number;
  /** Share of positions at which the likeliest token is the reference's. */
  readonly agreement: number;
  /** Mean Kullback-Leibler divergence from the reference's distribution, in nats: Σ p ln(p / q). */
  readonly divergence: number;
}

export interface Scorer {
  /** Logits for the next token, of the model and of the reference, and the token that came. */
  add(logits: Float32Array, reference: Float32Array, next: number): void;
  /** At least one token was added. */
  score(): TextScore;
}

/** Index of the largest, the first of equals, and ln Σ exp, in float64. */
function summaryOf(logits: Float32Array): { readonly best: number; readonly logSum: number } {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i] > logits[best]) best = i;
  let sum = 0;
  for (const x of logits) sum += Math.exp(x - logits[best]);
  return { best, logSum: logits[best] + Math.log(sum) };
}

export function createScorer(): Scorer {
  let [tokens, loss, agreed, divergence] = [0, 0, 0, 0];
  return {
    add(logits, reference, next) {
      const own = summaryOf(logits);
      const other = logits === reference ? own : summaryOf(reference);
      tokens++;
      loss += own.logSum - logits[next];
      if (own.best === other.best) agreed++;
      for (const [i, x] of reference.entries()) {
        const logP = x - other.logSum;
        divergence += Math.exp(logP) * (logP - (logits[i] - own.logSum));
      }
    },
    score: () => ({
      tokens,
      perplexity: Math.exp(loss / tokens),
      agreement: agreed / tokens,
      // Rounding may leave a hair below the least that it can be.
      divergence: Math.max(0, divergence / tokens),
    }),
  };
}

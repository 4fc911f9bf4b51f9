// Earliest deadline first. A request's deadline for its first token orders it; a chunk of prefill is cut so that, by
// the step model's price, no sequence that decodes misses the deadline of its next token.
// Deadlines: arrival + TTFT for the first token, and TPOT more for each after it.

import { seconds } from '../../core/index.ts';
import { generated, type LatencyTargets, type Sequence } from '../sequence.ts';
import type { PolicyContext, PolicyFactory } from './scheduler.ts';

/** For who names no targets (assumed): a reader waits a blink, then reads at ten tokens a second. */
export const USUAL_TARGETS: LatencyTargets = { ttft: seconds(0.2), tpot: seconds(0.1) };

export const slo: PolicyFactory = <S extends Sequence>({ now, stepModel }: PolicyContext) => {
  /** Until the first of the next tokens is due. */
  const slack = (decoding: readonly S[]): number => {
    let least = Infinity;
    for (const sequence of decoding) {
      const { arrived, targets = USUAL_TARGETS } = sequence;
      least = Math.min(least, arrived + targets.ttft + generated(sequence) * targets.tpot);
    }
    return least - now();
  };
  return {
    rank: ({ arrived, targets = USUAL_TARGETS }: S) => arrived + targets.ttft,
    prefillTokens(decoding: readonly S[], most: number): number {
      if (stepModel === undefined || decoding.length === 0) return most;
      const until = slack(decoding);
      const items = decoding.map(({ computed }) => ({ tokens: 1, cached: computed }));
      const fits = (tokens: number): boolean =>
        stepModel.step({ items: [...items, { tokens, cached: 0 }] }).time <= until;
      // A deadline that is lost already must not stop others for ever, hence at least one token.
      let low = 1;
      let high = most;
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (fits(middle)) low = middle;
        else high = middle - 1;
      }
      return low;
    },
  };
};

// Runs a model over the windows of a text beside a reference, and scores it.

import type { BatchItem, Executor } from '../../runtime/index.ts';
import { createScorer, type TextScore } from './score.ts';

/** Tokens of a window that are computed at a time: their logits are all kept until they are scored. */
const STEP_TOKENS = 32;

/**
 * Score `executor` on windows of at most its context. With the reference itself the agreement is 1 and the divergence 0.
 * @param progress is told of each step's tokens; it may throw to end the run
 */
export async function evaluateWindows(
  executor: Executor<Float32Array>,
  reference: Executor<Float32Array>,
  windows: readonly Int32Array[],
  progress: (tokens: number) => void,
): Promise<TextScore> {
  const scorer = createScorer();
  const size = Math.min(STEP_TOKENS, executor.maxStepTokens, reference.maxStepTokens);
  for (const window of windows) {
    // The last token foretells nothing that is known.
    for (let start = 0; start < window.length - 1; start += size) {
      const tokens = window.slice(start, Math.min(start + size, window.length - 1));
      const item = (blockTokens: number): BatchItem => ({
        sequence: 0,
        tokens,
        start,
        blockTable: Int32Array.from({ length: Math.ceil(window.length / blockTokens) }, (_, block) => block),
        wantLogits: tokens.length,
      });
      const [expected] = await reference.execute({ items: [item(reference.blockTokens)] });
      const [found] =
        executor === reference ? [expected] : await executor.execute({ items: [item(executor.blockTokens)] });
      for (const [i, logits] of found.entries()) scorer.add(logits, expected[i], window[start + i + 1]);
      progress(tokens.length);
    }
  }
  return scorer.score();
}

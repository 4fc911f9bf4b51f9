import { describe, expect, it } from 'vitest';
import { createVirtualClock, seconds } from '../core/index.ts';
import { createEngine } from './engine.ts';
import { createTestExecutor } from './testing/test-executor.ts';

describe('a logits processor', () => {
  it('changes what is drawn and ends its answer; log probabilities stay those of the model', async () => {
    const engine = createEngine({ executor: createTestExecutor(), clock: createVirtualClock(seconds(0)) });
    const seen: number[][] = [];
    const tokens: number[] = [];
    const logprobs: number[] = [];
    let reason = '';
    for await (const event of engine.submit({
      prompts: [[1, 2]],
      sampling: { temperature: 1 },
      seed: 1,
      maxTokens: 9,
      logprobs: 0,
      processor: () => ({
        adjust(logits, generated) {
          seen.push([...generated]);
          logits.keep(new Uint32Array(0), [3]);
        },
        accept: () => seen.length === 3,
      }),
    })) {
      if (event.kind === 'finish') reason = event.reason;
      else {
        tokens.push(...event.tokens.map(({ token }) => token));
        logprobs.push(...event.tokens.map(({ logprob = 0 }) => logprob));
      }
    }
    expect(seen).toEqual([[], [3], [3, 3]]);
    expect(tokens).toEqual([3, 3, 3]);
    expect(reason).toBe('stop');
    // Certain under the rules, not under the model.
    expect(logprobs.every((logprob) => logprob < -0.1)).toBe(true);
  });
});

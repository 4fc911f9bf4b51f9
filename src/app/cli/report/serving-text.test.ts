import { expect, it } from 'vitest';
import type { EngineCounts, PaceCounts } from '../../../runtime/index.ts';
import { servingSummary } from './serving-text.ts';

const counts: EngineCounts = {
  waiting: 0,
  running: 0,
  blocks: 8,
  blocksUsed: 0,
  blocksCached: 0,
  preemptions: 0,
  steps: 100,
  promptTokens: 10,
  cachedTokens: 0,
  generatedTokens: 100,
  computedTokens: 110,
  draftedTokens: 0,
  acceptedTokens: 0,
  waferSeconds: 0.2,
  waferJoules: 1,
};

const told = (pace: Partial<PaceCounts>): string =>
  servingSummary({
    ...counts,
    pace: { steps: 100, lateSteps: 0, lateSeconds: 0, worstSeconds: 0, ...pace },
  });

it('tells how the pace was kept, and not better than it was', () => {
  expect(told({ lateSteps: 5, worstSeconds: 0.001 })).toContain(
    '5.0 % of steps late, by 1.000 ms at most; this machine kept up',
  );
  expect(told({ lateSteps: 6 })).toContain('stood still at times and caught up');
  expect(told({ lateSteps: 90, behindFrom: 5 })).toContain('falls behind from 5 streams at once');
});

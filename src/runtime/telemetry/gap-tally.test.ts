import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { seconds } from '../../core/index.ts';
import { itl, type Timeline } from '../../protocol/index.ts';
import { LATENCY_BUCKETS } from './buckets.ts';
import { gapTally } from './gap-tally.ts';

it('counts each gap in the first bucket that is not below it', () => {
  const gap = fc.oneof(
    fc.constantFrom(...LATENCY_BUCKETS),
    fc.double({ min: 0, max: 5000, noNaN: true }),
    fc.double({ min: 0, max: 0.01, noNaN: true }),
  );
  fc.assert(
    fc.property(fc.array(gap, { maxLength: 40 }), (gaps) => {
      const tokens = [0, ...gaps.map((_, i) => gaps.slice(0, i + 1).reduce((a, b) => a + b, 0))].map(seconds);
      const timeline: Timeline = { pointOfView: 'server', sent: seconds(0), tokens };
      const { counts, sum } = gapTally(timeline);
      const found = itl(timeline);
      const expected = Array.from({ length: LATENCY_BUCKETS.length + 1 }, () => 0);
      for (const each of found) {
        const bucket = LATENCY_BUCKETS.findIndex((bound) => each <= bound);
        expected[bucket < 0 ? LATENCY_BUCKETS.length : bucket]++;
      }
      expect([...counts]).toEqual(expected);
      expect(sum).toBe(found.reduce((a, b) => a + b, 0));
    }),
  );
});

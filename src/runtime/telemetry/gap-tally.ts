// Gaps between an answer's tokens in buckets: thousands a request, and shown under several names. They are counted once,
// without a list of them.

import type { Timeline } from '../../protocol/index.ts';
import { LATENCY_BUCKETS } from './buckets.ts';
import { bucketOf, type Tally } from './fast-histogram.ts';

const bounds = Float64Array.from(LATENCY_BUCKETS);
const known = new WeakMap<Timeline, Tally>();

/** The gaps between successive tokens (`itl` of the timeline) by `LATENCY_BUCKETS`. */
export function gapTally(timeline: Timeline): Tally {
  let tally = known.get(timeline);
  if (tally === undefined) known.set(timeline, (tally = count(timeline.tokens)));
  return tally;
}

function count(tokens: readonly number[]): Tally {
  const counts = new Float64Array(bounds.length + 1);
  let sum = 0;
  let bucket = 0;
  for (let i = 1; i < tokens.length; i++) {
    const gap = tokens[i] - tokens[i - 1];
    sum += gap;
    // Most gaps are like the one before.
    const isSame = (bucket === 0 || gap > bounds[bucket - 1]) && (bucket === bounds.length || gap <= bounds[bucket]);
    if (!isSame) bucket = bucketOf(bounds, gap);
    counts[bucket]++;
  }
  return { counts, sum };
}

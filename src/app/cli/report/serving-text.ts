// What a server did until it ended, in a few lines.

import { formatCount } from '../../../core/index.ts';
import type { EngineCounts } from '../../../runtime/index.ts';
import { percent } from './layout.ts';

const percentOf = (part: number, whole: number): string => percent(part / Math.max(1, whole));

const ms = (seconds: number): string => `${(seconds * 1000).toFixed(3)} ms`;

/** More of the steps late than this is told, though the machine caught up. */
const SOME_LATE = 0.05;

export function servingSummary(counts: EngineCounts): string {
  const { steps, promptTokens, cachedTokens, generatedTokens, preemptions, draftedTokens, acceptedTokens } = counts;
  if (steps === 0) return 'nothing was computed\n';
  const lines = [
    `${formatCount(generatedTokens)} tokens generated, ${formatCount(promptTokens)} of prompts ` +
      `(${percentOf(cachedTokens, promptTokens)} from the prefix cache), in ${formatCount(steps)} steps`,
    `simulated: ${counts.waferSeconds.toFixed(3)} s and ${formatCount(Math.round(counts.waferJoules))} J on the wafer`,
  ];
  if (preemptions > 0) lines.push(`${formatCount(preemptions)} preemptions: --context is short for this traffic`);
  if (draftedTokens > 0) {
    const share = percentOf(acceptedTokens, draftedTokens);
    lines.push(`${formatCount(draftedTokens)} drafts, ${formatCount(acceptedTokens)} accepted (${share})`);
  }
  const { pace } = counts;
  if (pace !== undefined) {
    const { lateSteps, worstSeconds, behindFrom } = pace;
    const late = percentOf(lateSteps, pace.steps);
    lines.push(
      `pace of the wafer: ${late} of steps late, by ${ms(worstSeconds)} at most; ` +
        (behindFrom === undefined
          ? lateSteps > SOME_LATE * pace.steps
            ? 'this machine stood still at times and caught up'
            : 'this machine kept up'
          : `this machine falls behind from ${behindFrom} stream${behindFrom === 1 ? '' : 's'} at once`),
    );
  }
  return `${lines.join('\n')}\n`;
}

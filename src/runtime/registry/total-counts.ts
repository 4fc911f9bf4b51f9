import type { EngineCounts } from '../engine.ts';
import type { PaceCounts } from '../pace.ts';

/** What several engines hold and have done; of those that are closed, only what they have done. */
export function totalCounts(open: readonly EngineCounts[], closed: readonly EngineCounts[]): EngineCounts {
  const sum = (engines: readonly EngineCounts[], of: (counts: EngineCounts) => number): number =>
    engines.reduce((total, counts) => total + of(counts), 0);
  const all = [...open, ...closed];
  const paces = all.flatMap(({ pace }) => (pace === undefined ? [] : [pace]));
  return {
    waiting: sum(open, (c) => c.waiting),
    running: sum(open, (c) => c.running),
    blocks: sum(open, (c) => c.blocks),
    blocksUsed: sum(open, (c) => c.blocksUsed),
    blocksCached: sum(open, (c) => c.blocksCached),
    preemptions: sum(all, (c) => c.preemptions),
    steps: sum(all, (c) => c.steps),
    promptTokens: sum(all, (c) => c.promptTokens),
    cachedTokens: sum(all, (c) => c.cachedTokens),
    generatedTokens: sum(all, (c) => c.generatedTokens),
    computedTokens: sum(all, (c) => c.computedTokens),
    draftedTokens: sum(all, (c) => c.draftedTokens),
    acceptedTokens: sum(all, (c) => c.acceptedTokens),
    waferSeconds: sum(all, (c) => c.waferSeconds),
    waferJoules: sum(all, (c) => c.waferJoules),
    ...(paces.length === 0 ? {} : { pace: totalPace(paces) }),
  };
}

function totalPace(paces: readonly PaceCounts[]): PaceCounts {
  const sum = (of: (pace: PaceCounts) => number): number => paces.reduce((total, pace) => total + of(pace), 0);
  const behind = paces.flatMap(({ behindFrom }) => (behindFrom === undefined ? [] : [behindFrom]));
  return {
    steps: sum((pace) => pace.steps),
    lateSteps: sum((pace) => pace.lateSteps),
    lateSeconds: sum((pace) => pace.lateSeconds),
    worstSeconds: Math.max(...paces.map((pace) => pace.worstSeconds)),
    ...(behind.length === 0 ? {} : { behindFrom: Math.min(...behind) }),
  };
}

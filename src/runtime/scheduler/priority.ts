// Levels with aging: a level is worth a stretch of waiting, so that the least urgent request is passed by more urgent
// ones only for as many stretches as there are levels between them.

import type { PolicyFactory } from './scheduler.ts';

/** Seconds of waiting that make up for one level. */
export const LEVEL_SECONDS = 10;

export const priority: PolicyFactory = () => ({
  rank: ({ arrived, priority: level }) => arrived + level * LEVEL_SECONDS,
});

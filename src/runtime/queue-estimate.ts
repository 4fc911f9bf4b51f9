// How long a newcomer will wait, by Little's law: with so many running, each for so long, one ends every
// residence / running seconds, and everybody ahead has to be let in first.

import { seconds, type Seconds } from '../core/index.ts';

/** Weight of the newest answer in the mean. */
const NEWEST = 0.1;

export interface QueueEstimate {
  /** An answer ended that ran for so long. */
  ended(residence: Seconds): void;
  /** 0 while no answer has ended. @param ahead sequences that must start before, the newcomer included */
  expect(ahead: number, running: number): Seconds;
}

export function createQueueEstimate(): QueueEstimate {
  let mean: number | undefined;
  return {
    ended(residence) {
      mean = mean === undefined ? residence : mean + NEWEST * (residence - mean);
    },
    expect: (ahead, running) => seconds((Math.max(0, ahead) * (mean ?? 0)) / Math.max(1, running)),
  };
}

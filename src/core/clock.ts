import { seconds, type Seconds } from './units.ts';

/** Time is passed in. `app` passes the wall clock; the planner and tests pass a virtual one. */
export interface Clock {
  now(): Seconds;
}

export interface VirtualClock extends Clock {
  /** Move forward; going back is a defect of the caller. */
  advanceTo(time: Seconds): void;
}

export function createVirtualClock(start: Seconds = seconds(0)): VirtualClock {
  let time = start;
  return {
    now: () => time,
    advanceTo(next) {
      if (next < time) throw new RangeError(`virtual clock cannot go back from ${time} s to ${next} s`);
      time = next;
    },
  };
}

import type { Seconds } from '../../core/index.ts';
import { wallClock } from './wall-clock.ts';

/** Timers come in whole milliseconds, and late by up to another on a busy machine. */
const TIMER_MS = 2;

/**
 * Resolves at a time of the wall clock, some microseconds late at most where the event loop is free: by a timer as far
 * as timers are good for, then by looking once in every turn of the loop, in which all else goes on.
 */
export const untilWallClock = (time: Seconds): Promise<void> =>
  new Promise((resolve) => {
    const look = (): void => {
      const leftMs = (time - wallClock.now()) * 1000;
      if (leftMs <= 0) resolve();
      else if (leftMs > TIMER_MS + 1) setTimeout(look, leftMs - TIMER_MS);
      else setImmediate(look);
    };
    look();
  });

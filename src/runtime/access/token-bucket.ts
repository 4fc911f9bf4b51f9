// A bucket that fills evenly and holds a minute's worth. What is taken may turn out to have been more than was asked for;
// then it owes, and later requests wait.

import { seconds, type Clock, type Seconds } from '../../core/index.ts';

const MINUTE = 60;

export interface TokenBucket {
  readonly capacity: number;
  /** What could be taken now; below zero while it owes. */
  level(): number;
  /** How long until `amount` could be taken; Infinity where it holds less than that when full. */
  wait(amount: number): Seconds;
  /** Takes, or with a negative amount gives back, without asking. */
  take(amount: number): void;
}

/** @param perMinute what flows in, and what it holds */
export function createTokenBucket(perMinute: number, clock: Clock): TokenBucket {
  const rate = perMinute / MINUTE;
  let amount = perMinute;
  let at = clock.now();

  const fill = (): number => {
    const now = clock.now();
    amount = Math.min(perMinute, amount + (now - at) * rate);
    at = now;
    return amount;
  };

  return {
    capacity: perMinute,
    level: fill,
    wait(wanted) {
      if (wanted > perMinute) return seconds(Infinity);
      return seconds(Math.max(0, wanted - fill()) / rate);
    },
    take(taken) {
      amount = Math.min(perMinute, fill() - taken);
    },
  };
}

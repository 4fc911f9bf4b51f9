import { seconds, type Clock } from '../../core/index.ts';

/** Unix time that never goes back: the time at start plus a monotonic count, to a quarter of a microsecond. */
export const wallClock: Clock = { now: () => seconds((performance.timeOrigin + performance.now()) / 1000) };

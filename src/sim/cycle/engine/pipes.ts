// The way of a color from one CE to one other as a pipe: the rule of wires.ts, but both ends may be far ahead of
// everything else, because each wavelet carries the cycles in which it was put in, passed the first router, and
// was taken out. A number that is not known yet makes whoever asks for it wait, and wakes it later.

import { ramp, type Depths, type ResolvedProgram } from '../../../wafer/machine/index.ts';
import type { Timing } from '../timing.ts';
import type { PortLog } from './port-log.ts';

/** "Not known yet." */
export const unknown = -1;

/** What a pipe and a tree give to the CEs at their ends. `at` is the number that the builder gave. */
export interface Ends {
  /** First cycle in which the CE can put another wavelet in, or `unknown`. */
  room(at: number): number;
  /** Put one in that is ready at the first router in cycle `ready`. */
  put(at: number, bits: number, ready: number): void;
  /** Cycle in which the next wavelet is in the CE's queue, or `unknown`. */
  arrival(at: number): number;
  /** Take it in `cycle`; its payload. Presumes that `arrival` has just told when. */
  take(at: number, cycle: number): number;
}

/** The ways of pipes: where each begins, and for every channel on one the FIFO behind it, which at the end is an input queue. */
export interface PipeWays {
  readonly begins: Int32Array;
  readonly next: Int32Array;
}

// A pipe's record: constants,
/** Room of the FIFOs behind the first, D; channels; cycles from the first router to the last; slots of the ring, less 1. */
const roomAt = 0;
const lengthAt = 1;
const spanAt = 2;
const maskAt = 3;
const senderAt = 4;
const takerAt = 5;
/** First and one past the last of its watched channels. */
const watchAt = 6;
const watchEndAt = 7;
// wavelets that were put in, have passed the first router, were taken; when the last passed the first and the last router,
const pushedAt = 8;
const enteredAt = 9;
const takenAt = 10;
const lastInAt = 11;
const lastOutAt = 12;
/** of the wavelet that `arrival` was asked for; who waits, */
const nextOutAt = 13;
const waitsAt = 14;
const headerSize = 15;
const senderWaits = 1;
const takerWaits = 2;
// and for each slot: payload; ready, then x(0,n); taken.
const slotSize = 3;

export interface Pipes extends Ends {
  /** Wavelets that went through. */
  passed(at: number): number;
  /** Nothing was put in that was not taken. */
  isEmpty(at: number): boolean;
}

/**
 * @param shared port masks per PE of the outputs that several colors use
 * @returns with each pipe's number and the input queue (as a FIFO) at its end
 */
export function createPipes(
  resolved: ResolvedProgram,
  { begins, next }: PipeWays,
  depths: Depths,
  timing: Timing,
  shared: Uint8Array,
  log: PortLog,
  wake: (pe: number) => void,
): { readonly pipes: Pipes; readonly at: Int32Array; readonly ends: Int32Array } {
  const { fifoPe, channels, channelRoute, routeRule, rules } = resolved;
  const { hop, ramp: rampCycles } = timing;
  const { inject, deliver, link } = depths;
  const count = begins.length;
  const at = new Int32Array(count + 1);
  const ends = new Int32Array(count);
  const lengths = new Int32Array(count);
  const watchFirst = new Int32Array(count + 1);
  /** Of watched channels: routers from the first, number in the log, when the last wavelet left. */
  const watched: number[] = [];
  const slotsOf = (i: number): number => {
    const room = (lengths[i] - 1) * link + deliver;
    // A watched channel looks back further than both ends do.
    const back = watchFirst[i + 1] > watchFirst[i] ? room : deliver;
    return 2 ** Math.ceil(Math.log2(room + inject + back));
  };
  for (let i = 0; i < count; i++) {
    let channel = begins[i];
    for (; channel < channels; channel = next[channel]) {
      const pe = fifoPe[channel];
      if (shared[pe] !== 0) {
        const port = 31 - Math.clz32(rules[routeRule[channelRoute[channel]]].tx[0]);
        if ((shared[pe] >>> port) & 1) watched.push(lengths[i], log.watch(5 * pe + port), -1);
      }
      lengths[i]++;
    }
    ends[i] = channel;
    watchFirst[i + 1] = watched.length;
    at[i + 1] = at[i] + headerSize + slotSize * slotsOf(i);
  }
  const pipe = new Int32Array(at[count]);
  for (let i = 0; i < count; i++) {
    const p = at[i];
    pipe[p + roomAt] = (lengths[i] - 1) * link + deliver;
    pipe[p + lengthAt] = lengths[i];
    pipe[p + spanAt] = (lengths[i] - 1) * hop;
    pipe[p + maskAt] = slotsOf(i) - 1;
    pipe[p + senderAt] = fifoPe[begins[i]];
    pipe[p + takerAt] = fifoPe[ends[i]];
    pipe[p + watchAt] = watchFirst[i];
    pipe[p + watchEndAt] = watchFirst[i + 1];
    pipe[p + lastInAt] = -1;
    pipe[p + lastOutAt] = -1;
  }

  const slotOf = (p: number, n: number): number => p + headerSize + slotSize * (n & pipe[p + maskAt]);

  /** Through the first router, as far as what that depends on is known. */
  function enter(p: number): void {
    const room = pipe[p + roomAt];
    const limit = Math.min(pipe[p + pushedAt], pipe[p + takenAt] + room);
    let last = pipe[p + lastInAt];
    let n = pipe[p + enteredAt];
    for (; n < limit; n++) {
      const slot = slotOf(p, n);
      let x = pipe[slot + 1];
      if (x <= last) x = last + 1;
      if (n >= room) {
        const freed = pipe[slotOf(p, n - room) + 2] + pipe[p + lengthAt];
        if (x < freed) x = freed;
      }
      pipe[slot + 1] = x;
      last = x;
    }
    pipe[p + lastInAt] = last;
    pipe[p + enteredAt] = n;
  }

  /** Wavelet n passes the routers that are watched. */
  function passWatches(p: number, n: number, entered: number): void {
    const end = pipe[p + watchEndAt];
    for (let i = pipe[p + watchAt]; i < end; i += 3) {
      const behind = pipe[p + lengthAt] - watched[i];
      const room = (behind - 1) * link + deliver;
      let x = Math.max(entered + watched[i] * hop, watched[i + 2] + 1);
      if (n >= room) x = Math.max(x, pipe[slotOf(p, n - room) + 2] + behind);
      watched[i + 2] = x;
      log.left(watched[i + 1], x);
    }
  }

  const pipes: Pipes = {
    room(p) {
      const n = pipe[p + pushedAt] - inject;
      if (n < 0) return 0;
      if (pipe[p + enteredAt] <= n) {
        enter(p);
        if (pipe[p + enteredAt] <= n) {
          pipe[p + waitsAt] |= senderWaits;
          return unknown;
        }
      }
      return pipe[slotOf(p, n) + 1] + 1;
    },
    put(p, bits, ready) {
      const slot = slotOf(p, pipe[p + pushedAt]++);
      pipe[slot] = bits;
      pipe[slot + 1] = ready;
      if ((pipe[p + waitsAt] & takerWaits) !== 0) {
        pipe[p + waitsAt] &= ~takerWaits;
        wake(pipe[p + takerAt]);
      }
    },
    arrival(p) {
      const n = pipe[p + takenAt];
      if (n === pipe[p + pushedAt]) {
        pipe[p + waitsAt] |= takerWaits;
        return unknown;
      }
      if (pipe[p + enteredAt] <= n) enter(p);
      let x = pipe[slotOf(p, n) + 1] + pipe[p + spanAt];
      if (x <= pipe[p + lastOutAt]) x = pipe[p + lastOutAt] + 1;
      if (n >= deliver) {
        const freed = pipe[slotOf(p, n - deliver) + 2] + 1;
        if (x < freed) x = freed;
      }
      pipe[p + nextOutAt] = x;
      return x + rampCycles;
    },
    take(p, cycle) {
      const n = pipe[p + takenAt]++;
      const slot = slotOf(p, n);
      pipe[slot + 2] = cycle;
      pipe[p + lastOutAt] = pipe[p + nextOutAt];
      if (pipe[p + watchAt] !== pipe[p + watchEndAt]) passWatches(p, n, pipe[slot + 1]);
      if ((pipe[p + waitsAt] & senderWaits) !== 0) {
        pipe[p + waitsAt] &= ~senderWaits;
        wake(pipe[p + senderAt]);
      }
      return pipe[slot];
    },
    passed: (p) => pipe[p + takenAt],
    isEmpty: (p) => pipe[p + takenAt] === pipe[p + pushedAt],
  };
  return { pipes, at, ends };
}

/** The port of the ramp, as a bit. */
export const rampBit = 1 << ramp;

// A wire is a straight run of channels (wire-map.ts) taken as one. When a wavelet passes its first and its last
// router follows from three things: when it was put in, when the one before it passed, and when those ahead of
// it were taken out at the far end. So both times are worked out once, as soon as these are known, however many
// routers lie between.
//
// Channel i of 0..k lets wavelet n go in cycle x(i,n), the least that satisfies
//   x(0,n) >= r(n)                    put in, and ready at the first router
//   x(i,n) >= x(i-1,n) + hop          it has come from the router before
//   x(i,n) >= x(i,n-1) + 1            one wavelet a cycle
//   x(i,n) >= x(i+1,n-d) + 1          room, in the FIFO of d = hop + 1 behind it
//   x(k,n) >= c(n-e) + 1              room in the exit, a FIFO of e, from which wavelet j is taken in cycle c(j)
// There and back along a pair of routers takes hop + 1 cycles and d wavelets, which one wavelet a cycle takes too.
// So inner routers add nothing, and with D = k d + e
//   x(0,n) = max(r(n), x(0,n-1) + 1, c(n-D) + k + 1)
//   x(k,n) = max(x(0,n) + k hop, x(k,n-1) + 1, c(n-e) + 1)
// The entry FIFO keeps its records (state.ts); a wavelet stays there until its x(0,n) is over, so that whoever
// writes it finds room exactly when the plain engine would have made it.

import {
  depthAt,
  entriesAt,
  neighbour,
  outputsAt,
  poppedAt,
  push,
  pushedAt,
  ramp,
} from '../../../wafer/machine/index.ts';
import type { MachineState } from '../../../wafer/machine/index.ts';
import type { Timing } from '../timing.ts';
import type { Counts } from './engine.ts';
import type { WireMap } from './wire-map.ts';

export type { WireMap } from './wire-map.ts';

export interface Wires {
  /** Before a CE or router writes: take out of entry FIFOs what has left them by now. */
  look(pe: number): void;
  /** A wavelet was put into a FIFO; false when it is no wire's entry. */
  sent(fifo: number): boolean;
  /** A wavelet was taken from a FIFO in this cycle; false when it is no wire's exit. */
  taken(fifo: number): boolean;
  /** When nothing moves any more: counts, and what is stuck in wires back into the FIFOs of its channels. */
  finish(counts: Counts, carried: Int32Array): void;
}

// A wire's record, all in one place as it is all needed at once: constants,
const entryAt = 0;
const exitAt = 1;
/** PE and kind of who writes the entry and of who reads the exit: 2 pe, + 1 for a CE. */
const writerAt = 2;
const readerAt = 3;
const roomAt = 4;
/** Cycles from the first to the last router, and from the last router to the exit; channels. */
const spanAt = 5;
const flightAt = 6;
const lengthAt = 7;
// how many wavelets have their x(0,n), have their x(k,n) and stand in the exit, were taken; the last x(0,n) and x(k,n),
const enteredAt = 8;
const leftAt = 9;
const doneAt = 10;
const lastInAt = 11;
const lastOutAt = 12;
/** and for wavelet n at 2 (n mod D): x(0,n), then c(n); its payload. */
const ringAt = 13;

/** Whom wires tell what. */
export interface WireEnds {
  /** A wavelet has come out of a wire into a channel of the PE's router. */
  arrive(pe: number, channel: number, ready: number): void;
  wakeRouter(pe: number, at: number): void;
  wakeCe(pe: number, at: number): void;
}

export function createWires(m: MachineState, timing: Timing, map: WireMap, ends: WireEnds): Wires {
  const { arrive, wakeRouter, wakeCe } = ends;
  const { fifo, record, slotMask, resolved } = m;
  const { pes, width, height, channels, channelPort, fifos, fifoPe } = resolved;
  const { count, first } = map;
  /** Record of the wire that begins, or ends, at a FIFO; or -1. */
  const entryOf = new Int32Array(fifos).fill(-1);
  const exitOf = new Int32Array(fifos).fill(-1);
  const recordOf = new Int32Array(count + 1);
  for (let w = 0; w < count; w++) recordOf[w + 1] = recordOf[w] + ringAt + 2 * roomIn(w);
  const wire = new Int32Array(recordOf[count]);
  for (let w = 0; w < count; w++) lay(w);
  const { lookFirst, looks } = byWriter();

  function roomIn(w: number): number {
    let room = fifo[map.exit[w] * record + depthAt];
    for (let i = first[w] + 1; i < first[w + 1]; i++) room += fifo[map.channels[i] * record + depthAt];
    return room;
  }

  function lay(w: number): void {
    const at = recordOf[w];
    const entry = map.channels[first[w]];
    const exit = map.exit[w];
    const length = first[w + 1] - first[w];
    for (let i = first[w]; i < first[w + 1]; i++) fifo[map.channels[i] * record + outputsAt] = 0;
    entryOf[entry] = at;
    exitOf[exit] = at;
    const port = channelPort[entry];
    wire[at + entryAt] = entry;
    wire[at + exitAt] = exit;
    wire[at + writerAt] = port === ramp ? 2 * fifoPe[entry] + 1 : 2 * neighbour(fifoPe[entry], port, width, height);
    wire[at + readerAt] = 2 * fifoPe[exit] + (exit >= channels ? 1 : 0);
    wire[at + roomAt] = roomIn(w);
    wire[at + spanAt] = (length - 1) * timing.hop;
    wire[at + flightAt] = exit >= channels ? timing.ramp : timing.hop;
    wire[at + lengthAt] = length;
    wire[at + lastInAt] = -1;
    wire[at + lastOutAt] = -1;
  }

  /** Wires by the PE that writes their entry. */
  function byWriter(): { readonly lookFirst: Int32Array; readonly looks: Int32Array } {
    const from = new Int32Array(pes + 1);
    for (let w = 0; w < count; w++) from[(wire[recordOf[w] + writerAt] >> 1) + 1]++;
    for (let pe = 0; pe < pes; pe++) from[pe + 1] += from[pe];
    const next = from.slice();
    const list = new Int32Array(count);
    for (let w = 0; w < count; w++) list[next[wire[recordOf[w] + writerAt] >> 1]++] = recordOf[w];
    return { lookFirst: from, looks: list };
  }

  const wake = (who: number, at: number): void => {
    if ((who & 1) !== 0) wakeCe(who >> 1, at);
    else wakeRouter(who >> 1, at);
  };

  function retire(w: number, now: number): void {
    const r = wire[w + entryAt] * record;
    let popped = fifo[r + poppedAt];
    const known = wire[w + enteredAt];
    while (popped < known && fifo[r + entriesAt + 2 * (popped & slotMask) + 1] >> 1 < now) popped++;
    fifo[r + poppedAt] = popped;
  }

  /** Wavelets through both ends, as far as what they depend on is known. */
  function advance(w: number): void {
    const r = wire[w + entryAt] * record;
    const room = wire[w + roomAt];
    const done = wire[w + doneAt];
    const pushed = fifo[r + pushedAt];
    let n = wire[w + enteredAt];
    const limit = pushed < done + room ? pushed : done + room;
    if (n < limit) {
      let last = wire[w + lastInAt];
      for (; n < limit; n++) {
        const slot = r + entriesAt + 2 * (n & slotMask);
        const place = w + ringAt + 2 * (n % room);
        let x = fifo[slot + 1] >> 1;
        if (x <= last) x = last + 1;
        if (n >= room && x < wire[place] + wire[w + lengthAt]) x = wire[place] + wire[w + lengthAt];
        last = x;
        wire[place] = x;
        wire[place + 1] = fifo[slot];
        fifo[slot + 1] = 2 * x;
      }
      wire[w + lastInAt] = last;
      wire[w + enteredAt] = n;
    }
    // A full entry FIFO has somebody waiting for the oldest to leave.
    const popped = fifo[r + poppedAt];
    if (pushed - popped >= fifo[r + depthAt] && popped < n)
      wake(wire[w + writerAt], Math.max((fifo[r + entriesAt + 2 * (popped & slotMask) + 1] >> 1) + 1, m.now + 1));

    const exit = wire[w + exitAt];
    const q = exit * record;
    const depth = fifo[q + depthAt];
    const free = n < done + depth ? n : done + depth;
    let k = wire[w + leftAt];
    if (k === free) return;
    let last = wire[w + lastOutAt];
    for (; k < free; k++) {
      const place = w + ringAt + 2 * (k % room);
      let x = wire[place] + wire[w + spanAt];
      if (x <= last) x = last + 1;
      if (k >= depth) {
        // The slot of the wavelet taken `depth` before still says when.
        const c = fifo[q + entriesAt + 2 * ((k - depth) & slotMask) + 1] >> 1;
        if (x <= c) x = c + 1;
      }
      last = x;
      const ready = x + wire[w + flightAt];
      push(m, exit, wire[place + 1], 0, ready);
      if (exit >= channels) wakeCe(wire[w + readerAt] >> 1, ready);
      else arrive(wire[w + readerAt] >> 1, exit, ready);
    }
    wire[w + lastOutAt] = last;
    wire[w + leftAt] = k;
  }

  /** The link by which a wire's channel sends, as the engine counts links. */
  const linkBehind = (channel: number): number => {
    const { rules, routeRule, channelRoute } = resolved;
    return 4 * fifoPe[channel] + 31 - Math.clz32(rules[routeRule[channelRoute[channel]]].tx[0]);
  };

  return {
    look(pe) {
      for (let i = lookFirst[pe]; i < lookFirst[pe + 1]; i++) retire(looks[i], m.now);
    },
    sent(target) {
      const w = entryOf[target];
      if (w < 0) return false;
      advance(w);
      return true;
    },
    taken(source) {
      const w = exitOf[source];
      if (w < 0) return false;
      const r = source * record;
      const popped = fifo[r + poppedAt];
      for (let n = wire[w + doneAt]; n < popped; n++) {
        wire[w + ringAt + 2 * (n % wire[w + roomAt])] = m.now;
        fifo[r + entriesAt + 2 * (n & slotMask) + 1] = 2 * m.now;
      }
      wire[w + doneAt] = popped;
      // Nothing waits for that when all that was put in has come through.
      if (wire[w + leftAt] !== fifo[wire[w + entryAt] * record + pushedAt]) advance(w);
      return true;
    },
    finish(counts, carried) {
      for (let w = 0; w < count; w++) {
        const at = recordOf[w];
        retire(at, Infinity);
        const left = wire[at + leftAt];
        // The last link or the ramp leads to the exit, which has counted.
        const links = wire[at + lengthAt] - 1;
        counts.hops += links * left;
        for (let i = first[w]; i < first[w] + links; i++) carried[linkBehind(map.channels[i])] += left;
        // Only after a deadlock: each FIFO is full before the one behind it begins to fill.
        let n = left;
        for (let i = first[w + 1] - 1; i > first[w] && n < wire[at + enteredAt]; i--)
          for (let free = fifo[map.channels[i] * record + depthAt]; free > 0 && n < wire[at + enteredAt]; free--)
            push(m, map.channels[i], wire[at + ringAt + 2 * (n++ % wire[at + roomAt]) + 1], 0, m.now);
      }
    },
  };
}

// An engine that goes from cycle to cycle and visits only routers and CEs at which something can happen. It
// decides when a rule of wafer/machine is applied; what the rule does is not here.
//
// Within a cycle every router looks, then every CE; no decision reads what another decided in that cycle
// (see state.ts), so the order among PEs is free. `order` lets a test shuffle it.
//
// Given wires, channels that belong to one are left to it; see wires.ts.

import {
  besideAt,
  cannotMove,
  contended,
  downAt,
  forward,
  hasMadeRoom,
  headReadyAt,
  holdsMore,
  madeRoom,
  neighbour,
  opposite,
  ports,
  pushedAt,
  ramp,
  turnSwitches,
  wasControl,
} from '../../../wafer/machine/index.ts';
import type { MachineState } from '../../../wafer/machine/index.ts';
import type { Timing } from '../timing.ts';
import { createWakeRing } from '../wake.ts';
import { createCes } from './ces.ts';
import { createCounts, type Engine, type EngineOptions } from './engine.ts';
import { createWires, type WireMap } from './wires.ts';

/** Routers or CEs whose state is read together. */
const batch = 16;
/** Sums of periods are rounded; less than this many cycles is nothing. */
const sliver = 1e-6;

export function createCyclewise(m: MachineState, timing: Timing, options: EngineOptions, map?: WireMap): Engine {
  const { order, observer } = options;
  const { pes, width, height, channelFirst, channelPort, channelRoute, channels, fifos, fifoPe, down } = m.resolved;
  const { fifo, record } = m;
  const { hop, ramp: rampCycles, linkPeriod } = timing;
  const routers = createWakeRing(pes);
  const wakeRouter = routers.wake;
  /** Channel with first choice, relative to the PE's first. */
  const favoured = new Uint8Array(pes);
  /**
   * Channels of a router that may hold something: bit i mod 32 for the i-th. A bit that two channels share is never
   * taken back. Looking at the others would cost a cache line each and find nothing.
   */
  const holding = new Int32Array(pes);
  /** When each link has carried its last wavelet; only for links slower than one a cycle. */
  const linkFree = linkPeriod > 1 ? new Float64Array(4 * pes) : undefined;
  const links = new Int32Array(4 * pes);
  const beyond = [-width, 1, width, -1];
  const counts = createCounts();
  const behind = new Int32Array(2 * batch);
  let fetched = 0;
  let cycle = -1;
  let end = 0;

  const ces = createCes(m, timing, options, counts, {
    sent(pe, channel, ready) {
      if (!wires?.sent(channel)) arrive(pe, channel, ready);
    },
    taken(pe, queue) {
      if (wires?.taken(queue)) return;
      if (hasMadeRoom(m, queue)) mayWrite(queue, pe);
    },
    switched: (pe) => wakeRouter(pe, m.now + 1),
  });
  const wakeCe = ces.ring.wake;
  const wires = map === undefined ? undefined : createWires(m, timing, map, { arrive, wakeRouter, wakeCe });

  /** A wavelet was put into a channel of the PE's router, to be ready there at `ready`. */
  function arrive(pe: number, channel: number, ready: number): void {
    holding[pe] |= 1 << (channel - channelFirst[pe]);
    wakeRouter(pe, ready);
  }

  /** A FIFO is no longer full: whoever writes it may go on in the next cycle. */
  function mayWrite(fifo: number, pe: number): void {
    if (fifo >= channels) wakeRouter(pe, m.now + 1);
    else if (channelPort[fifo] === 4) wakeCe(pe, m.now + 1);
    else wakeRouter(pe + beyond[channelPort[fifo]], m.now + 1);
  }

  /** Links that cannot begin another wavelet within this cycle. */
  function takenLinks(free: Float64Array, pe: number, now: number): number {
    let mask = 0;
    for (let port = 0; port < 4; port++) if (free[4 * pe + port] > now + 1 - sliver) mask |= 1 << port;
    return mask;
  }

  function occupy(free: Float64Array, pe: number, links: number, now: number): void {
    for (let port = 0; port < 4; port++)
      if ((links >>> port) & 1) free[4 * pe + port] = Math.max(free[4 * pe + port], now) + linkPeriod;
  }

  function visitRouter(pe: number): number {
    const first = channelFirst[pe];
    const inputs = channelFirst[pe + 1] - first;
    const now = m.now;
    let used = linkFree === undefined ? 0 : takenLinks(linkFree, pe, now);
    let denied = -1;
    let done = 0;
    let next = favoured[pe];
    const held = holding[pe];
    wires?.look(pe);
    for (let n = 0; n < inputs; n++) {
      const self = next;
      next = next + 1 === inputs ? 0 : next + 1;
      if (((held >>> self) & 1) === 0) continue;
      const channel = first + self;
      const out = forward(m, channel, used, now + hop, now + rampCycles);
      if (out === cannotMove) {
        const ready = headReadyAt(m, channel);
        if (ready > now) wakeRouter(pe, ready);
        continue;
      }
      if (out === contended) {
        counts.contended++;
        if (denied < 0) denied = self;
        continue;
      }
      done++;
      const left = out & ports;
      used |= left;
      observer?.moved?.(channel, left);
      let target = fifo[channel * record + downAt];
      const isMany = target < 0;
      for (let rest = left & 15; rest !== 0; rest &= rest - 1) {
        const port = 31 - Math.clz32(rest & -rest);
        if (isMany) target = down[channelRoute[channel] * 5 + port];
        if (!wires?.sent(target)) arrive(pe + beyond[port], target, now + hop);
        target = fifo[channel * record + besideAt];
      }
      if (linkFree !== undefined) occupy(linkFree, pe, left, now);
      if (left >= 16) wakeCe(pe, now + rampCycles);
      if (!wires?.taken(channel) && (out & madeRoom) !== 0) mayWrite(channel, pe);
      if ((out & holdsMore) === 0 && inputs <= 32) holding[pe] &= ~(1 << self);
      // More to send, or a switch that may open for another input of the color.
      if ((out & (holdsMore | wasControl)) !== 0) wakeRouter(pe, now + 1);
    }
    if (denied >= 0) {
      // The first that lost goes first in the next cycle: two take turns, and nobody starves.
      favoured[pe] = denied;
      wakeRouter(pe, now + 1);
    }
    return done;
  }

  /**
   * Read what visits of the next routers will read first. Memory answers many requests at once, but only those that
   * it gets at once, and a visit is longer than a processor looks ahead.
   */
  function fetchRouters(list: Int32Array, from: number, to: number): void {
    let count = 0;
    for (let i = from; i < to; i++) {
      const pe = list[i];
      const first = channelFirst[pe];
      for (let held = holding[pe]; held !== 0 && count < behind.length; held &= held - 1)
        behind[count++] = fifo[(first + 31 - Math.clz32(held & -held)) * record + downAt];
    }
    for (let n = 0; n < count; n++) if (behind[n] >= 0) fetched ^= fifo[behind[n] * record];
  }

  return {
    get cycle() {
      return cycle;
    },
    get end() {
      return Math.max(end, ces.end);
    },
    counts,
    busy: ces.busy,
    links,
    get scheduled() {
      return routers.pending() + ces.ring.pending() > 0;
    },
    tick() {
      for (let at = cycle + 1; routers.pending() + ces.ring.pending() > 0; at++) {
        const routersDue = routers.take(at);
        const cesDue = ces.ring.take(at);
        if (routersDue + cesDue === 0) continue;
        cycle = at;
        m.now = at;
        const routerList = routers.taken();
        const ceList = ces.ring.taken();
        order?.(routerList.subarray(0, routersDue));
        order?.(ceList.subarray(0, cesDue));
        let progress = 0;
        for (let i = 0; i < routersDue; i++) {
          if (i % batch === 0) fetchRouters(routerList, i, Math.min(i + batch, routersDue));
          progress += visitRouter(routerList[i]);
        }
        if (progress > 0 && at + 1 > end) end = at + 1;
        for (let i = 0; i < cesDue; i++) {
          if (i % batch === 0) ces.fetch(ceList, i, Math.min(i + batch, cesDue));
          wires?.look(ceList[i]);
          progress += ces.visit(ceList[i]);
        }
        turnSwitches(m);
        return progress;
      }
      return 0;
    },
    finish() {
      // Every wavelet that passed a link was put into a FIFO behind it; a router's own are the CE's.
      for (let f = 0; f < fifos; f++) {
        const passed = fifo[f * record + pushedAt];
        const port = f < channels ? channelPort[f] : ramp;
        if (f >= channels) counts.delivered += passed;
        else if (port !== ramp) {
          counts.hops += passed;
          links[4 * neighbour(fifoPe[f], port, width, height) + opposite(port)] += passed;
        }
      }
      wires?.finish(counts, links);
    },
  };
}

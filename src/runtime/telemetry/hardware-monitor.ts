// The simulated machine over time: what the engine's steps did, added up in windows of the wafer's clock. A step costs a
// few additions; what a window looked like is computed when somebody asks.

import { seconds, type Seconds } from '../../core/index.ts';
import type { StepRecord } from '../step-model.ts';
import type { HardwareModel, HardwareState, HardwareWork } from './hardware-model.ts';

/** Of the wafer's clock: long beside a token, short beside what a scraper sees. */
export const WINDOW_SECONDS = 0.1;
/** Windows that are kept: a minute of the wafer's work. */
export const MAX_WINDOWS = 600;

export interface HardwareWindow {
  /** On the wafer's clock, which stands still while nothing is computed. */
  readonly from: Seconds;
  readonly to: Seconds;
  /** Its time is over; what it shows changes no more. */
  readonly isComplete: boolean;
  /** When the steps that fall into it were executed, on the server's clock. */
  readonly server: { readonly from: Seconds; readonly to: Seconds };
  readonly tokens: number;
  readonly state: HardwareState;
}

export interface HardwareMonitor {
  readonly model: HardwareModel;
  /** Where the wafer's clock stands, and the begin of the oldest window that is kept. */
  readonly now: Seconds;
  readonly oldest: Seconds;
  stepped(step: StepRecord): void;
  /** Windows that overlap [from, to], oldest first. */
  windows(from: Seconds, to: Seconds): HardwareWindow[];
  /** The last complete window, or the first; at rest before anything was computed. */
  latest(): HardwareState;
  /** With no work. */
  resting(): HardwareState;
  /** Joules since the start, by cause, while the wafer computed. */
  energy(): HardwareState['power'];
}

/** Sums that grow. */
interface Sums extends HardwareWork {
  seconds: number;
  tokens: number;
  cached: number;
  logits: number;
  readonly busy: Float64Array;
}

interface Window {
  readonly index: number;
  readonly serverFrom: Seconds;
  serverTo: Seconds;
  readonly work: Sums;
  /** Once it is complete and somebody has asked. */
  state?: HardwareState;
}

export function createHardwareMonitor(model: HardwareModel): HardwareMonitor {
  const nothing = (): Sums => ({
    seconds: 0,
    tokens: 0,
    cached: 0,
    logits: 0,
    busy: new Float64Array(model.stages.length),
  });
  const all = nothing();
  /** By index modulo its size. */
  const ring: (Window | undefined)[] = [];
  let now = 0;

  const indexOf = (time: number): number => Math.floor(time / WINDOW_SECONDS);
  const windowAt = (index: number, began: Seconds): Window => {
    const found = ring[index % MAX_WINDOWS];
    if (found?.index === index) return found;
    const made: Window = { index, serverFrom: began, serverTo: began, work: nothing() };
    ring[index % MAX_WINDOWS] = made;
    return made;
  };
  const add = (sums: Sums, step: Omit<Sums, 'busy'>, busy: ArrayLike<number>, share: number): void => {
    sums.seconds += share * step.seconds;
    sums.tokens += share * step.tokens;
    sums.cached += share * step.cached;
    sums.logits += share * step.logits;
    for (let stage = 0; stage < sums.busy.length; stage++) sums.busy[stage] += share * (busy[stage] ?? 0);
  };
  const stateOf = (window: Window): HardwareState => {
    const isComplete = window.index < indexOf(now);
    const state = window.state ?? model.state(window.work);
    if (isComplete) window.state = state;
    return state;
  };
  const first = (): number => Math.max(0, indexOf(now) - MAX_WINDOWS + 1);

  return {
    model,
    get now() {
      return seconds(now);
    },
    get oldest() {
      return seconds(first() * WINDOW_SECONDS);
    },
    stepped({ work, wafer: { from, to }, server, busy }) {
      if (to <= from) return;
      const step = { seconds: to - from, ...work };
      const byStage = busy?.() ?? all.busy.map(() => 0);
      now = to;
      add(all, step, byStage, 1);
      // Of a step longer than all windows only the end is kept.
      for (let index = Math.max(indexOf(from), first()); index <= indexOf(to); index++) {
        const within = Math.min(to, (index + 1) * WINDOW_SECONDS) - Math.max(from, index * WINDOW_SECONDS);
        if (within <= 0) continue;
        const window = windowAt(index, server.from);
        window.serverTo = server.to;
        add(window.work, step, byStage, within / step.seconds);
      }
    },
    windows(from, to) {
      const found: HardwareWindow[] = [];
      for (let index = Math.max(indexOf(from), first()); index <= Math.min(indexOf(to), indexOf(now)); index++) {
        const window = ring[index % MAX_WINDOWS];
        if (window?.index !== index) continue;
        found.push({
          from: seconds(index * WINDOW_SECONDS),
          to: seconds(Math.min(now, (index + 1) * WINDOW_SECONDS)),
          isComplete: index < indexOf(now),
          server: { from: window.serverFrom, to: window.serverTo },
          tokens: window.work.tokens,
          state: stateOf(window),
        });
      }
      return found;
    },
    latest() {
      const window = ring[(indexOf(now) + MAX_WINDOWS - 1) % MAX_WINDOWS] ?? ring[0];
      return window === undefined ? model.state(nothing()) : stateOf(window);
    },
    resting: () => model.state(nothing()),
    energy() {
      const { power } = model.state(all);
      const joulesOf = (watts: number): number => watts * all.seconds;
      return {
        idle: joulesOf(power.idle),
        elements: joulesOf(power.elements),
        fabric: joulesOf(power.fabric),
        offWafer: joulesOf(power.offWafer),
      };
    },
  };
}

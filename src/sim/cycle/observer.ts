// What a run tells those who watch it. Without a watcher the engine does nothing for it.

import type { VectorCode } from '../../wafer/machine/index.ts';

/** Called as things happen, with `now` of the machine state as the cycle. */
export interface Observer {
  /**
   * It may be told of a CE's actions before other PEs have come to that cycle, and of all steps of a vector
   * instruction as one, where nothing else can happen on that CE meanwhile. That is several times as fast.
   */
  readonly anyOrder?: boolean;
  /**
   * A router moved the head of `channel`; the link targets and CE queue of `out`, a mask of ports, hold a copy.
   * Only the plain engine sees every move: who watches them gets that one.
   */
  moved?(channel: number, out: number): void;
  /** A task started; `queue` is the FIFO whose wavelet it took, or negative. */
  started(pe: number, queue: number): void;
  /** The main thread executed an instruction in `cycles`; `begun` when it was a vector instruction, which it only begins. */
  issued(pe: number, begun: VectorCode | undefined, cycles: number): void;
  /** Before a step of a thread's vector instruction. */
  stepping(pe: number, thread: number, v: VectorCode): void;
  /** After it. The thread is idle again when that was the last element. */
  stepped(pe: number, thread: number, v: VectorCode, cycles: number): void;
}

/** Several watchers as one; undefined for none. */
export function together(observers: readonly Observer[]): Observer | undefined {
  if (observers.length <= 1) return observers[0];
  return {
    anyOrder: observers.every((each) => each.anyOrder === true),
    ...(observers.some((each) => each.moved !== undefined) && {
      moved(channel: number, out: number) {
        for (const each of observers) each.moved?.(channel, out);
      },
    }),
    started(pe, queue) {
      for (const each of observers) each.started(pe, queue);
    },
    issued(pe, begun, cycles) {
      for (const each of observers) each.issued(pe, begun, cycles);
    },
    stepping(pe, thread, v) {
      for (const each of observers) each.stepping(pe, thread, v);
    },
    stepped(pe, thread, v, cycles) {
      for (const each of observers) each.stepped(pe, thread, v, cycles);
    },
  };
}

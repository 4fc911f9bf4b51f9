// From the engine to whoever reads one request's events. The engine never waits for a reader; what piles up is bounded
// by the request's max tokens. A reader takes all that came at once, so that one that is behind catches up, and so that what
// it does once per taking costs little per event.

export interface EventStream<T> extends AsyncIterable<T> {
  /**
   * Resolves when there is something to take, or nothing more will come; undefined where that is so already. A later call
   * takes the place of an earlier one.
   * @param isAwaited only values of which this is true count
   */
  ready(isAwaited?: (value: T) => boolean): Promise<void> | undefined;
  /**
   * All that came since the last time; undefined once there is nothing more to come.
   * @throws the reason of an early end, after all that came before it
   */
  take(): readonly T[] | undefined;
  /** Nothing more is wanted. After the end it changes nothing. */
  leave(): void;
}

export interface Channel<T> extends EventStream<T> {
  push(value: T): void;
  /** No more values. Without a reason the reader's loop ends; with one it throws it, after what was pushed. */
  close(reason?: Error): void;
}

const always = (): boolean => true;

/**
 * A queue with one reader.
 * @param abandoned called when the reader leaves before the end
 */
export function createChannel<T>(abandoned: () => void): Channel<T> {
  /** Undefined where it is empty: most readers take each value as it comes, and an array of one is small. */
  let queue: T[] | undefined;
  let closed = false;
  let reason: Error | undefined;
  let waiting: { readonly isAwaited: (value: T) => boolean; readonly resolve: () => void } | undefined;

  const wake = (): void => {
    waiting?.resolve();
    waiting = undefined;
  };

  const channel: Channel<T> = {
    push(value) {
      if (closed) return;
      if (queue === undefined) queue = [value];
      else queue.push(value);
      if (waiting?.isAwaited(value) === true) wake();
    },
    close(error) {
      if (closed) return;
      closed = true;
      reason = error;
      wake();
    },
    ready(isAwaited = always) {
      if (closed || queue?.some(isAwaited) === true) return undefined;
      return new Promise((resolve) => {
        waiting = { isAwaited, resolve };
      });
    },
    take() {
      const taken = queue;
      queue = undefined;
      if (taken !== undefined) return taken;
      if (!closed) return [];
      if (reason !== undefined) throw reason;
      return undefined;
    },
    leave() {
      if (!closed) abandoned();
    },
    async *[Symbol.asyncIterator]() {
      try {
        for (;;) {
          await channel.ready();
          const taken = channel.take();
          if (taken === undefined) return;
          yield* taken;
        }
      } finally {
        channel.leave();
      }
    },
  };
  return channel;
}

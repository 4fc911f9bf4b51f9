// From the engine to whoever reads one request's events. The engine never waits for a reader; what piles up is bounded
// by the request's max tokens. A reader takes all that came at once, so that one that is behind catches up, and so that what
// it does once per taking costs little per event.

/** What came and is not taken yet. */
export interface Held<T> {
  /** @param due call it when the reader should take, now or later */
  add(value: T, due: () => void): void;
  /** Everything, which is then no longer held; undefined where there is nothing. */
  take(): readonly T[] | undefined;
}

export interface EventStream<T> extends AsyncIterable<T> {
  /** From now on values are held by this; at first each is due at once. */
  hold(held: Held<T>): void;
  /** Resolves when something is due, or nothing more will come; undefined where that is so already. For one caller at a time. */
  ready(): Promise<void> | undefined;
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

function createList<T>(): Held<T> {
  /** Undefined where it is empty: most readers take each value as it comes, and an array of one is small. */
  let values: T[] | undefined;
  return {
    add(value, due) {
      if (values === undefined) values = [value];
      else values.push(value);
      due();
    },
    take() {
      const taken = values;
      values = undefined;
      return taken;
    },
  };
}

/**
 * A queue with one reader.
 * @param abandoned called when the reader leaves before the end
 */
export function createChannel<T>(abandoned: () => void): Channel<T> {
  let held = createList<T>();
  let isDue = false;
  let closed = false;
  let reason: Error | undefined;
  let resolve: (() => void) | undefined;

  const due = (): void => {
    isDue = true;
    resolve?.();
    resolve = undefined;
  };

  const channel: Channel<T> = {
    hold(next) {
      for (const value of held.take() ?? []) next.add(value, due);
      held = next;
    },
    push(value) {
      if (!closed) held.add(value, due);
    },
    close(error) {
      if (closed) return;
      closed = true;
      reason = error;
      due();
    },
    ready() {
      if (closed || isDue) return undefined;
      return new Promise((ended) => {
        resolve = ended;
      });
    },
    take() {
      isDue = false;
      const taken = held.take();
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

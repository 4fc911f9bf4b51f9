// From the engine to whoever reads one request's events. The engine never waits for a reader; what piles up is bounded
// by the request's max tokens.

export interface Channel<T> extends AsyncIterable<T> {
  push(value: T): void;
  /** No more values. Without a reason the reader's loop ends; with one it throws it, after what was pushed. */
  close(reason?: Error): void;
}

/**
 * A queue with one reader.
 * @param abandoned called when the reader leaves before the end
 */
export function createChannel<T>(abandoned: () => void): Channel<T> {
  const queue: T[] = [];
  let closed = false;
  let reason: Error | undefined;
  let wake: (() => void) | undefined;

  const notify = (): void => {
    wake?.();
    wake = undefined;
  };

  return {
    push(value) {
      if (closed) return;
      queue.push(value);
      notify();
    },
    close(error) {
      if (closed) return;
      closed = true;
      reason = error;
      notify();
    },
    async *[Symbol.asyncIterator]() {
      let whole = false;
      try {
        for (;;) {
          // Swapped out in one go: shifting one by one would be quadratic for a reader that fell behind.
          // `yield` waits, so the queue may fill again and close meanwhile: look at it anew after each.
          if (queue.length > 0) yield* queue.splice(0);
          else if (closed) break;
          else {
            await new Promise<void>((resolve) => {
              wake = resolve;
            });
          }
        }
        whole = true;
        if (reason !== undefined) throw reason;
      } finally {
        if (!whole) abandoned();
      }
    },
  };
}

// Which of the requests in progress is overdue. One that has ended by itself stays in the queue until half of it are such: its
// deadline may lie a day ahead, and it holds its prompts.

import { createEventQueue, type Seconds } from '../core/index.ts';

export interface Deadlines<R extends { readonly deadline?: Seconds }> {
  /** One without a deadline is never overdue. */
  add(request: R): void;
  /** It has ended; one that is not there changes nothing. */
  remove(request: R): void;
  /** Takes out the first whose deadline is past. */
  overdue(now: Seconds): R | undefined;
  /** Requests that are held, ended ones included. */
  readonly size: number;
}

export function createDeadlines<R extends { readonly deadline?: Seconds }>(): Deadlines<R> {
  const waiting = new Set<R>();
  let queue = createEventQueue<R>();

  const schedule = (request: R): void => {
    if (request.deadline === undefined) return;
    waiting.add(request);
    queue.schedule(request.deadline, request);
  };

  return {
    add: schedule,
    remove(request) {
      if (!waiting.delete(request) || queue.size <= 2 * waiting.size) return;
      queue = createEventQueue();
      for (const other of waiting) schedule(other);
    },
    overdue(now) {
      for (let next = queue.peek(); next !== undefined && next.time <= now; next = queue.peek()) {
        queue.pop();
        if (waiting.delete(next.event)) return next.event;
      }
      return undefined;
    },
    get size() {
      return queue.size;
    },
  };
}

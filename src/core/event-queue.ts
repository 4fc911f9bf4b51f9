// Events in a total order (time, rank, sequence): two events at one time are ordered by rank, and two of
// one rank by the order in which they were scheduled. Without the last rule a heap may reorder equals.

export interface Scheduled<E> {
  readonly time: number;
  readonly rank: number;
  readonly sequence: number;
  readonly event: E;
}

export interface EventQueue<E> {
  schedule(time: number, event: E, rank?: number): void;
  pop(): Scheduled<E> | undefined;
  peek(): Scheduled<E> | undefined;
  readonly size: number;
}

const before = (a: Scheduled<unknown>, b: Scheduled<unknown>): boolean =>
  a.time !== b.time ? a.time < b.time : a.rank !== b.rank ? a.rank < b.rank : a.sequence < b.sequence;

/** Binary heap. */
export function createEventQueue<E>(): EventQueue<E> {
  const heap: Scheduled<E>[] = [];
  let next = 0;

  const siftUp = (start: number): void => {
    let child = start;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (!before(heap[child], heap[parent])) return;
      [heap[child], heap[parent]] = [heap[parent], heap[child]];
      child = parent;
    }
  };
  const siftDown = (): void => {
    let parent = 0;
    for (;;) {
      let least = parent;
      for (const child of [2 * parent + 1, 2 * parent + 2]) {
        if (child < heap.length && before(heap[child], heap[least])) least = child;
      }
      if (least === parent) return;
      [heap[parent], heap[least]] = [heap[least], heap[parent]];
      parent = least;
    }
  };

  return {
    schedule(time, event, rank = 0) {
      if (!Number.isFinite(time)) throw new RangeError(`event time must be finite, got ${time}`);
      heap.push({ time, rank, sequence: next++, event });
      siftUp(heap.length - 1);
    },
    pop() {
      const top = heap[0];
      const last = heap.pop();
      if (heap.length > 0 && last !== undefined) {
        heap[0] = last;
        siftDown();
      }
      return top;
    },
    peek: () => heap[0],
    get size() {
      return heap.length;
    },
  };
}

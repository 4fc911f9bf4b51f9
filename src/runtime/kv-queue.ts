// Blocks in the order in which they came, any of which may leave: a ring of links in two arrays. (The first of a Set would be as
// easy to ask for, but behind everything that has left it is searched for anew each time.)

export interface BlockQueue {
  readonly size: number;
  /** To its end; it must not be in it. */
  add(block: number): void;
  /** It must be in it. */
  remove(block: number): void;
  /** The first, which it must have; it leaves. */
  take(): number;
}

/** @param total blocks that there are, numbered from 0 */
export function createBlockQueue(total: number): BlockQueue {
  /** Both ends of the ring meet in a place of their own. */
  const end = total;
  const after = new Int32Array(total + 1).fill(end);
  const before = new Int32Array(total + 1).fill(end);
  let size = 0;
  const link = (one: number, other: number): void => {
    after[one] = other;
    before[other] = one;
  };
  const remove = (block: number): void => {
    link(before[block], after[block]);
    size--;
  };
  return {
    get size() {
      return size;
    },
    add(block) {
      link(before[end], block);
      link(block, end);
      size++;
    },
    remove,
    take() {
      const first = after[end];
      remove(first);
      return first;
    },
  };
}

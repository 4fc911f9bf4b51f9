// Who has to be looked at in which cycle: a ring of lists, one per cycle of the near future. Costs follow the
// number of wavelets and instructions in flight, not the size of the mesh.

export interface WakeRing {
  /** Look at `id` in cycle `at`, later than the one last taken and within the span. */
  wake(id: number, at: number): void;
  /** Number of entries for the cycle, which then stand at the start of `taken`; one id may be there twice. */
  take(at: number): number;
  /** Valid until the next `take`. */
  readonly taken: Int32Array;
  /** Entries not yet taken. */
  readonly pending: number;
}

/** @param ids how many there are @param span furthest cycle ahead that anything is scheduled for */
export function createWakeRing(ids: number, span: number): WakeRing {
  const size = 2 ** Math.ceil(Math.log2(span + 1));
  const mask = size - 1;
  const lists = Array.from({ length: size }, () => new Int32Array(16));
  const counts = new Int32Array(size);
  // The cycle of each id's latest entry: the common case of several reasons for one cycle costs one entry.
  const latest = new Int32Array(ids).fill(-1);
  let taken = new Int32Array(16);
  let pending = 0;
  return {
    wake(id, at) {
      if (latest[id] === at) return;
      latest[id] = at;
      const slot = at & mask;
      const count = counts[slot]++;
      let list = lists[slot];
      if (count === list.length) {
        list = new Int32Array(2 * count);
        list.set(lists[slot]);
        lists[slot] = list;
      }
      list[count] = id;
      pending++;
    },
    take(at) {
      const slot = at & mask;
      const count = counts[slot];
      if (count === 0) return 0;
      const list = lists[slot];
      lists[slot] = taken;
      taken = list;
      counts[slot] = 0;
      pending -= count;
      return count;
    },
    get taken() {
      return taken;
    },
    get pending() {
      return pending;
    },
  };
}

// Who has to be looked at in which cycle: a ring of lists, one per cycle of the near future. Costs follow the
// number of wavelets and instructions in flight, not the size of the mesh.

export interface WakeRing {
  /** Look at `id` in cycle `at`, later than `now` and within the span. */
  wake(id: number, at: number): void;
  /** Take the list of the cycle; its first `count()` entries, which may hold one id twice. */
  take(at: number): number[];
  /** Entries not yet taken. */
  readonly pending: number;
}

/** @param ids how many there are @param span furthest cycle ahead that anything is scheduled for */
export function createWakeRing(ids: number, span: number): WakeRing {
  const size = 2 ** Math.ceil(Math.log2(span + 1));
  const lists: number[][] = Array.from({ length: size }, () => []);
  // The cycle of each id's latest entry: the common case of several reasons for one cycle costs one entry.
  const latest = new Int32Array(ids).fill(-1);
  let spare: number[] = [];
  let pending = 0;
  return {
    wake(id, at) {
      if (latest[id] === at) return;
      latest[id] = at;
      lists[at & (size - 1)].push(id);
      pending++;
    },
    take(at) {
      const list = lists[at & (size - 1)];
      if (list.length === 0) return list;
      spare.length = 0;
      lists[at & (size - 1)] = spare;
      spare = list;
      pending -= list.length;
      return list;
    },
    get pending() {
      return pending;
    },
  };
}

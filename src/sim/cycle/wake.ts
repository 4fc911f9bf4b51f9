// Who has to be looked at in which cycle: a ring of lists, one per cycle of the near future, and behind it a
// ring of lists of 32 cycles each, which empty into the first when their cycles come near. Costs follow the
// number of wavelets and instructions in flight, not the size of the mesh.

/** Cycles ahead that the ring holds: the bits of a word, one per cycle, say in which cycles an id is listed. */
const size = 32;
const mask = size - 1;
/** Furthest cycle ahead that the ring of single cycles holds. */
export const furthestWake = size - 1;
/** Lists of `size` cycles each. What is due beyond them goes round more than once. */
const blocks = 64;

export interface WakeRing {
  /** Look at `id` in cycle `at`, later than the one last taken. */
  wake(id: number, at: number): void;
  /** Number of entries for the cycle, which then stand at the start of `taken()`, each id once. Leave out no cycle. */
  take(at: number): number;
  /** The list last taken; valid until the next `take`. */
  taken(): Int32Array;
  /** Entries not yet taken. */
  pending(): number;
}

export function createWakeRing(ids: number): WakeRing {
  const lists = Array.from({ length: size }, () => new Int32Array(16));
  const counts = new Int32Array(size);
  const listed = new Int32Array(ids);
  let now = -1;
  let taken = new Int32Array(16);
  let pending = 0;
  /** By block: pairs of id and cycle. An id may be there twice; the near ring lists it once. */
  const far = Array.from({ length: blocks }, (): number[] => []);

  /** Into the near ring with what falls due in the `size` cycles from `now` on. */
  function comeNear(): void {
    const block = (now / size) % blocks;
    const due = far[block];
    if (due.length === 0) return;
    far[block] = [];
    pending -= due.length / 2;
    for (let i = 0; i < due.length; i += 2) wake(due[i], due[i + 1]);
  }

  function enlarge(slot: number): Int32Array<ArrayBuffer> {
    const list = new Int32Array(2 * lists[slot].length);
    list.set(lists[slot]);
    lists[slot] = list;
    return list;
  }

  function wakeLate(id: number, at: number): void {
    far[Math.min(Math.floor(at / size), Math.floor(now / size) + blocks - 1) % blocks].push(id, at);
    pending++;
  }

  /** Small enough to be inlined where it is called. */
  function wake(id: number, at: number): void {
    if (at - now > furthestWake) return wakeLate(id, at);
    const slot = at & mask;
    const word = listed[id];
    if ((word >>> slot) & 1) return;
    listed[id] = word | (1 << slot);
    const count = counts[slot]++;
    let list = lists[slot];
    if (count === list.length) list = enlarge(slot);
    list[count] = id;
    pending++;
  }

  return {
    wake,
    take(at) {
      now = at;
      const slot = at & mask;
      if (slot === 0) comeNear();
      const count = counts[slot];
      if (count === 0) return 0;
      const list = lists[slot];
      lists[slot] = taken;
      taken = list;
      counts[slot] = 0;
      pending -= count;
      const keep = ~(1 << slot);
      for (let i = 0; i < count; i++) listed[list[i]] &= keep;
      return count;
    },
    taken: () => taken,
    pending: () => pending,
  };
}

// A queue in order of rank, then of arrival.

import type { Sequence } from '../sequence.ts';

export interface RankedQueue<S extends Sequence> {
  /** In order. Not to be changed by others. */
  readonly items: readonly S[];
  add(sequence: S): void;
  /** @returns whether it was there */
  remove(sequence: S): boolean;
}

/** A sorted array: what comes usually goes last, and what goes is usually first, so little is moved. */
export function createRankedQueue<S extends Sequence>(): RankedQueue<S> {
  const items: S[] = [];
  const placeOf = (sequence: S): number => {
    let low = 0;
    let high = items.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = items[middle];
      if (other.rank < sequence.rank || (other.rank === sequence.rank && other.id < sequence.id)) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  return {
    items,
    add(sequence) {
      items.splice(placeOf(sequence), 0, sequence);
    },
    remove(sequence) {
      const place = placeOf(sequence);
      if (items[place] !== sequence) return false;
      items.splice(place, 1);
      return true;
    },
  };
}

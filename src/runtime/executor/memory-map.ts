// Hands out addresses of the kernels' memory, and keeps count of what for.

export type MemoryUse = 'weights' | 'kv' | 'work';

export interface MemoryMap {
  /** Address of `bytes` bytes, on a cache line of their own. */
  take(bytes: number, use: MemoryUse): number;
  /** Bytes handed out, the control block included. */
  readonly total: number;
  readonly byUse: Readonly<Record<MemoryUse, number>>;
}

const lineBytes = 64;

/** Up to the next multiple of a power of two or any other step. */
export const roundUp = (x: number, step: number): number => Math.ceil(x / step) * step;

/** A map whose first address is `start`. */
export function createMemoryMap(start: number): MemoryMap {
  let next = roundUp(start, lineBytes);
  const byUse = { weights: 0, kv: 0, work: next };
  return {
    take(bytes, use) {
      const address = next;
      const padded = roundUp(bytes, lineBytes);
      next += padded;
      byUse[use] += padded;
      return address;
    },
    get total() {
      return next;
    },
    byUse,
  };
}

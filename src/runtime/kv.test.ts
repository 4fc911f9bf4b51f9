import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createKvBlocks } from './kv.ts';

describe('KV blocks', () => {
  it('are conserved and have one owner under any order of allocation and release', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.array(fc.integer({ min: -10, max: 12 }), { maxLength: 60 }),
        (total, orders) => {
          const kv = createKvBlocks(total, 4);
          const held: Int32Array[] = [];
          for (const order of orders) {
            if (order < 0) {
              const [blocks] = held.splice(-order % Math.max(1, held.length), 1);
              if (blocks !== undefined) kv.free(blocks);
            } else if (kv.canAllocate(order)) held.push(kv.allocate(order));
            const ids = held.flatMap((blocks) => [...blocks]);
            expect(new Set(ids).size).toBe(ids.length);
            expect(ids.every((id) => id >= 0 && id < total)).toBe(true);
            expect(kv.used).toBe(ids.length);
            expect(kv.canAllocate(total - kv.used)).toBe(true);
            expect(kv.canAllocate(total - kv.used + 1)).toBe(false);
          }
        },
      ),
    );
  });

  it('round up to whole blocks', () => {
    const kv = createKvBlocks(4, 16);
    expect([0, 1, 16, 17].map((tokens) => kv.blocksFor(tokens))).toEqual([0, 1, 1, 2]);
  });

  it('cannot be freed twice or over-allocated', () => {
    const kv = createKvBlocks(2, 1);
    const blocks = kv.allocate(2);
    expect(() => kv.allocate(1)).toThrow('0 free');
    kv.free(blocks);
    expect(() => kv.free(blocks)).toThrow('without an owner');
  });
});

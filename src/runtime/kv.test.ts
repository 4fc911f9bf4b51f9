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
    expect(() => kv.allocate(1)).toThrow('than are free');
    kv.free(blocks);
    expect(() => kv.free(blocks)).toThrow('without an owner');
  });

  it('find full blocks by everything in and before them, within a salt, until their memory is needed', () => {
    const kv = createKvBlocks(4, 2);
    const prompt = Int32Array.of(1, 2, 3, 4, 5, 6);
    const table = kv.allocate(3);
    for (let i = 0; i < 3; i++) kv.seal('', table, i, prompt);
    expect([...kv.find('', prompt)]).toEqual([...table]);
    expect([...kv.find('', prompt.subarray(0, 5))]).toEqual([...table.subarray(0, 2)]);
    expect(kv.find('', Int32Array.of(3, 4)).length).toBe(0);
    expect(kv.find('', Int32Array.of(1, 2, 5, 6))).toEqual(table.subarray(0, 1));
    expect(kv.find('another', prompt).length).toBe(0);

    kv.share(table.subarray(0, 1));
    kv.free(table);
    // One is shared still; two are free and can be found, the end of the chain going first.
    expect([kv.used, kv.cached]).toEqual([1, 2]);
    expect(kv.canAllocate(3)).toBe(true);
    expect(kv.canAllocate(3, kv.find('', prompt))).toBe(false);
    const other = kv.allocate(2);
    expect([...other].includes(table[2])).toBe(true);
    expect([...kv.find('', prompt)]).toEqual([...table.subarray(0, 2)]);
    expect([...table].map((block) => kv.isWritable(block))).toEqual([false, false, true]);
    kv.free(other);
    kv.free(table.subarray(0, 1));
    expect([kv.used, kv.cached]).toEqual([0, 2]);
  });

  it('know no contents twice, and seal only what is full and in a row', () => {
    const kv = createKvBlocks(4, 1);
    const [a, b] = [kv.allocate(2), kv.allocate(2)];
    kv.seal('', a, 0, Int32Array.of(7));
    kv.seal('', b, 0, Int32Array.of(7));
    // What follows a twin follows the first.
    kv.seal('', b, 1, Int32Array.of(7, 8));
    expect([...kv.find('', Int32Array.of(7, 8))]).toEqual([a[0], b[1]]);
    expect(() => kv.seal('', a, 0, Int32Array.of(7))).toThrow('cannot be sealed');
    kv.free(b);
    expect(kv.cached).toBe(1);
    const c = kv.allocate(1);
    expect(() => kv.share(c)).toThrow('before it is sealed');
    expect(() => kv.seal('', Int32Array.of(a[1], c[0]), 1, Int32Array.of(7, 9))).toThrow('before the one in front');
  });

  it('keep a salt apart from the numbers that name contents', () => {
    const kv = createKvBlocks(2, 1);
    const table = kv.allocate(2);
    kv.seal('1', table, 0, Int32Array.of(5));
    kv.seal('1', table, 1, Int32Array.of(5, 6));
    for (const salt of ['', '1|5', '2']) expect(kv.find(salt, Int32Array.of(6)).length).toBe(0);
  });
});

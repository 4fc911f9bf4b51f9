import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createBlockIndex, NO_PARENT, type BlockKey } from './kv-index.ts';

describe('block index', () => {
  it('finds what a map of whole keys finds, however chains collide', () => {
    const keys = fc
      .record({
        parent: fc.integer({ min: NO_PARENT, max: 2 }),
        salt: fc.constantFrom('', '0', 'a'),
        // Values around the ends of what an Int32Array holds, besides the usual ones.
        tokens: fc.array(fc.constantFrom(0, 1, -1, 2 ** 31 - 1), { minLength: 2, maxLength: 2 }),
        behind: fc.integer({ min: 0, max: 2 }),
      })
      .map(({ parent, salt, tokens, behind }) => {
        // The salt counts for first blocks only.
        const name = `${parent}|${parent === NO_PARENT ? salt : ''}|${tokens.join()}`;
        const padded = Int32Array.from([...Array.from({ length: behind }, () => 7), ...tokens, 7]);
        return { name, key: { parent, salt, tokens: padded, from: behind } satisfies BlockKey };
      });
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 4 }), keys), { maxLength: 60 }), (orders) => {
        const index = createBlockIndex(5, 2);
        const model = new Map<string, number>();
        const nameOf = new Map<number, string>();
        for (const [block, { name, key }] of orders) {
          expect(index.find(key)).toBe(model.get(name));
          expect(index.has(block)).toBe(nameOf.has(block));
          const old = nameOf.get(block);
          if (old !== undefined) {
            index.remove(block);
            nameOf.delete(block);
            model.delete(old);
          } else if (!model.has(name)) {
            index.add(block, key);
            nameOf.set(block, name);
            model.set(name, block);
          }
          expect(index.find(key)).toBe(model.get(name));
        }
      }),
      { numRuns: 300 },
    );
  });

  it('leaves out what somebody made for one chain, beyond what chance would put there', () => {
    const index = createBlockIndex(1000, 2);
    /** The second token undoes the first, so that all hashes are equal. */
    const collidingOf = (token: number): BlockKey => {
      const product = Math.imul(token, 0x9e3779b1);
      return { parent: NO_PARENT, salt: '', tokens: Int32Array.of(token, product ^ (product >>> 15)), from: 0 };
    };
    const usualOf = (token: number): BlockKey => ({ ...collidingOf(token), tokens: Int32Array.of(token, token) });
    for (let i = 0; i < 500; i++) {
      index.add(i, collidingOf(i + 1));
      index.add(500 + i, usualOf(i + 1));
    }
    const found = Array.from({ length: 500 }, (_, i) => index.find(collidingOf(i + 1)));
    expect(found.filter((block) => block !== undefined).length).toBeLessThanOrEqual(64);
    for (const [i, block] of found.entries()) {
      expect(index.has(i)).toBe(block === i);
      expect(index.find(usualOf(i + 1))).toBe(500 + i);
    }
  });
});

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
});

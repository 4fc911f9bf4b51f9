import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { createBlockQueue } from './kv-queue.ts';

it('a queue of blocks keeps the order of a Set, whoever leaves', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -1, max: 5 }), { maxLength: 80 }), (orders) => {
      const queue = createBlockQueue(6);
      const model = new Set<number>();
      for (const block of orders) {
        const [first] = model;
        if (block < 0) {
          if (first === undefined) continue;
          expect(queue.take()).toBe(first);
          model.delete(first);
        } else if (model.delete(block)) queue.remove(block);
        else {
          queue.add(block);
          model.add(block);
        }
        expect(queue.size).toBe(model.size);
      }
      for (const block of model) expect(queue.take()).toBe(block);
    }),
  );
});

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { createResponseStore } from './response-store.ts';

const item = (id: string, text = ''): Record<string, unknown> => ({ type: 'message', id, content: text });
const sizeOf = (text: string, ...items: object[]): number =>
  JSON.stringify(items).length - 1 - items.length + text.length;

describe('kept responses', () => {
  it('are found by their owner alone, they and their items', () => {
    const store = createResponseStore(1000);
    store.keep('a', { id: 'r1', text: '{}', items: [item('m1', 'of a')] });
    store.keep('b', { id: 'r2', text: '{}', items: [item('m1', 'of b')] });
    expect(store.pastOf('a').conversation('r1')).toHaveLength(1);
    expect(store.pastOf('a').item('m1')).toMatchObject({ content: 'of a' });
    expect(store.pastOf('b').item('m1')).toMatchObject({ content: 'of b' });
    for (const owner of ['b', undefined]) {
      expect(store.pastOf(owner).conversation('r1')).toBeUndefined();
      expect(() => store.get(owner, 'r1')).toThrow('not found');
      expect(() => store.drop(owner, 'r1')).toThrow('not found');
    }
    store.drop('a', 'r1');
    expect(store.pastOf('a').item('m1')).toBeUndefined();
    expect(() => store.get('a', 'r1')).toThrow('not found');
  });

  it('leave their items to the others that have them', () => {
    const store = createResponseStore(1000);
    const ids = ['r1', 'r2', 'r3'];
    for (const id of ids)
      store.keep('a', { id, text: id, items: [item('m', `as ${id} has it`), item('m'), { id: 5 }] });
    expect(store.pastOf('a').item('m')).toMatchObject({ content: 'as r3 has it' });
    store.drop('a', 'r1');
    store.drop('a', 'r3');
    expect(store.pastOf('a').item('m')).toMatchObject({ content: 'as r2 has it' });
    store.drop('a', 'r2');
    expect(store.pastOf('a').item('m')).toBeUndefined();
  });

  it('make room by age of use, at whoever holds most, and never hold more than they may', () => {
    const owners = fc.constantFrom('a', 'b', undefined);
    fc.assert(
      fc.property(
        fc.array(fc.record({ owner: owners, id: fc.nat(9), length: fc.nat(40), isLook: fc.boolean() }), {
          maxLength: 60,
        }),
        (steps) => {
          const most = 200;
          const store = createResponseStore(most);
          /** The same, written down plainly: newest last; whoever has nothing stands nowhere. */
          const model = new Map<string | undefined, { id: string; size: number }[]>();
          const heldBy = (entries: readonly { readonly size: number }[]): number =>
            entries.reduce((sum, { size }) => sum + size, 0);
          for (const [at, { owner, id: number, length, isLook }] of steps.entries()) {
            const id = isLook ? `r${number}` : `r${at}`;
            const own = model.get(owner) ?? [];
            if (isLook) {
              const known = own.find((entry) => entry.id === id);
              expect(store.pastOf(owner).conversation(id) !== undefined).toBe(known !== undefined);
              if (known !== undefined) model.set(owner, [...own.filter((entry) => entry !== known), known]);
              continue;
            }
            const items = [item(`m${at}`)];
            const text = 'x'.repeat(length);
            store.keep(owner, { id, text, items });
            model.set(owner, [...own, { id, size: sizeOf(text, ...items) }]);
            while (heldBy([...model.values()].flat()) > most) {
              const largest = Math.max(...[...model.values()].map(heldBy));
              const [from, entries] = [...model].find(([, kept]) => heldBy(kept) === largest) ?? [];
              entries?.shift();
              if (entries?.length === 0) model.delete(from);
            }
          }
          for (const [owner, entries] of model) for (const { id } of entries) expect(store.get(owner, id).id).toBe(id);
        },
      ),
    );
  });

  it('of one owner are not pushed out by another who keeps much', () => {
    const store = createResponseStore(1000);
    store.keep('quiet', { id: 'r', text: 'x'.repeat(100), items: [] });
    for (let i = 0; i < 50; i++) store.keep('busy', { id: `b${i}`, text: 'x'.repeat(90), items: [] });
    expect(store.get('quiet', 'r').id).toBe('r');
    expect(store.pastOf('busy').conversation('b39')).toBeUndefined();
    expect(store.pastOf('busy').conversation('b40')).toBeDefined();
  });

  it('are not kept where one alone is too large', () => {
    const store = createResponseStore(10);
    store.keep(undefined, { id: 'r', text: 'x'.repeat(11), items: [] });
    expect(store.pastOf(undefined).conversation('r')).toBeUndefined();
  });
});

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IngotError } from '../../core/index.ts';
import { createBatchCheck, cutIntoPasses } from './batch.ts';
import type { BatchItem } from './executor.ts';
import { createNullExecutor } from './null.ts';

const limits = { vocab: 50, maxContext: 64, blocks: 8, maxStepTokens: 20 };
const good: BatchItem = {
  sequence: 7,
  tokens: Int32Array.of(1, 2, 3),
  start: 15,
  blockTable: Int32Array.of(4, 2),
  wantLogits: 1,
};
const check = (...items: BatchItem[]): string => {
  try {
    createBatchCheck(limits)({ items });
  } catch (error) {
    expect((error as IngotError).code).toBe('EXECUTOR_BATCH_INVALID');
    return (error as IngotError).message;
  }
  return 'valid';
};

describe('createBatchCheck', () => {
  it('takes what is in range', () => {
    expect(check(good)).toBe('valid');
    expect(check(good, { ...good, sequence: 8, blockTable: Int32Array.of(1, 3) })).toBe('valid');
    expect(check({ ...good, start: 61, blockTable: Int32Array.of(0, 1, 2, 3) })).toBe('valid');
  });

  it('lets sequences share blocks that none of them writes', () => {
    const tokens = Int32Array.of(1);
    const first = { ...good, tokens, start: 16, blockTable: Int32Array.of(4, 2) };
    expect(check(first, { ...first, sequence: 8, blockTable: Int32Array.of(4, 3) })).toBe('valid');
  });

  it.each<[string, Partial<BatchItem>, string]>([
    ['logits of more tokens than it has', { wantLogits: 4 }, 'wants logits of tokens that it lacks'],
    ['half a logit', { wantLogits: 0.5 }, 'wants logits of tokens that it lacks'],
    ['no tokens', { tokens: new Int32Array() }, 'has no tokens'],
    ['a token below', { tokens: Int32Array.of(-1) }, 'token id outside the vocabulary'],
    ['a token above', { tokens: Int32Array.of(50) }, 'token id outside the vocabulary'],
    ['a negative start', { start: -1 }, 'starts at no position'],
    ['half a position', { start: 0.5 }, 'starts at no position'],
    ['no number', { start: NaN }, 'starts at no position'],
    ['too long a context', { start: 62 }, 'past the longest context'],
    ['too few blocks', { blockTable: Int32Array.of(4) }, 'too short a block table'],
    ['a block below', { blockTable: Int32Array.of(-1, 2) }, 'names a block that does not exist'],
    ['a block above', { blockTable: Int32Array.of(4, 8) }, 'names a block that does not exist'],
    ['too many tokens', { tokens: new Int32Array(21), start: 0 }, 'has too many tokens'],
    ['one block twice', { tokens: new Int32Array(20), start: 0, blockTable: Int32Array.of(3, 3) }, 'writes block 3'],
  ])('refuses %s', (_, change, message) => {
    expect(check({ ...good, ...change })).toContain(message);
  });

  it('refuses two sequences that write one block', () => {
    expect(check(good, { ...good, sequence: 8, blockTable: Int32Array.of(1, 2) })).toContain('writes block 2');
  });
});

describe('cutIntoPasses', () => {
  it('keeps every token in order, within the limits, and each wanted logit once', () => {
    const items = fc.array(
      fc
        .record({ length: fc.integer({ min: 1, max: 30 }), wantLogits: fc.integer({ min: 0, max: 4 }) })
        .map(({ length, wantLogits }) => ({ length, wantLogits: Math.min(length, wantLogits) })),
      { maxLength: 9 },
    );
    fc.assert(
      fc.property(items, fc.integer({ min: 1, max: 16 }), fc.integer({ min: 1, max: 3 }), (shape, rows, wanted) => {
        const batch = {
          items: shape.map(({ length, wantLogits }, i) => ({
            ...good,
            sequence: i,
            tokens: Int32Array.from({ length }, (_, j) => 100 * i + j),
            start: i,
            wantLogits,
          })),
        };
        const passes = cutIntoPasses(batch, rows, wanted);
        expect(passes.flatMap((pass) => pass.rows.map(({ token }) => token))).toEqual(
          batch.items.flatMap(({ tokens }) => [...tokens]),
        );
        for (const pass of passes) {
          expect(pass.rows.length).toBeGreaterThan(0);
          expect(pass.rows.length).toBeLessThanOrEqual(rows);
          expect(pass.wanted.length).toBeLessThanOrEqual(wanted);
          for (const { item, token, position } of pass.rows) expect(position).toBe(item + (token % 100));
          for (const [i, row] of pass.wanted.entries()) {
            expect(pass.rows[row].item).toBe(pass.items[i]);
            const { length, wantLogits } = shape[pass.items[i]];
            expect(pass.rows[row].token % 100).toBeGreaterThanOrEqual(length - wantLogits);
          }
        }
        const wants = shape.flatMap(({ wantLogits }, i) => Array.from({ length: wantLogits }, () => i));
        expect(passes.flatMap((pass) => pass.items)).toEqual(wants);
        const tokens = passes.flatMap((pass) => pass.wanted.map((row) => pass.rows[row].token));
        expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => a - b));
      }),
    );
  });
});

describe('null executor', () => {
  it('checks batches and answers the same each time, by token and position', async () => {
    const executor = createNullExecutor(limits);
    const logits = async (item: BatchItem): Promise<string | undefined> =>
      (await executor.execute({ items: [item] }))[0][0]?.join();
    const first = await logits(good);
    expect(first?.split(',').length).toBe(limits.vocab);
    expect(await logits({ ...good, sequence: 1 })).toBe(first);
    expect(await logits({ ...good, start: 14 })).not.toBe(first);
    expect(await logits({ ...good, tokens: Int32Array.of(1, 2, 4) })).not.toBe(first);
    expect(await logits({ ...good, wantLogits: 0 })).toBe(undefined);
    const [both] = await executor.execute({ items: [{ ...good, wantLogits: 2 }] });
    expect(both[1].join()).toBe(first);
    expect(both[0].join()).toBe(await logits({ ...good, tokens: good.tokens.subarray(0, 2) }));
    await expect(logits({ ...good, start: 63 })).rejects.toThrow(IngotError);
  });
});

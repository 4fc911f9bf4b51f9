import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { seconds } from '../../core/index.ts';
import type { FinishEvent, TokenEvent } from '../engine-request.ts';
import { coalesced } from './coalesce.ts';

const finish = (choice: number): TokenEvent => ({ kind: 'finish', choice }) as FinishEvent;
const token = (choice: number, i: number): TokenEvent => ({
  kind: 'tokens',
  choice,
  text: `t${i}`,
  tokens: [{ token: i }],
});

/** Waits that end when they are told to. */
function createWaits() {
  const due: (() => void)[] = [];
  return {
    wait: () => new Promise<void>((resolve) => due.push(resolve)),
    fire: () => due.splice(0).forEach((resolve) => resolve()),
    get open() {
      return due.length;
    },
  };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('tokens that travel together', () => {
  it('lose and reorder nothing, whatever comes when, and the first of a choice goes at once', async () => {
    const steps = fc.array(fc.oneof(fc.nat(2), fc.constantFrom('due' as const, 'turn' as const)), { maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(steps, async (list) => {
        const waits = createWaits();
        let sent = 0;
        async function* events(): AsyncIterable<TokenEvent> {
          for (const step of list) {
            if (step === 'due') waits.fire();
            else if (step === 'turn') await turn();
            else yield token(step, sent++);
          }
          for (let choice = 0; choice < 3; choice++) yield finish(choice);
        }
        const of = new Map<number, number[]>();
        const sizes = new Map<number, number[]>();
        const ended: number[] = [];
        for await (const event of coalesced(events(), { bound: seconds(0.01), wait: waits.wait })) {
          if (event.kind === 'finish') ended.push(event.choice);
          else {
            expect(ended).not.toContain(event.choice);
            expect(event.text).toBe(event.tokens.map((report) => `t${report.token}`).join(''));
            of.set(event.choice, [...(of.get(event.choice) ?? []), ...event.tokens.map((report) => report.token)]);
            sizes.set(event.choice, [...(sizes.get(event.choice) ?? []), event.tokens.length]);
          }
        }
        let number = 0;
        const expected = new Map<number, number[]>();
        for (const step of list) {
          if (typeof step === 'number') expected.set(step, [...(expected.get(step) ?? []), number++]);
        }
        expect(of).toEqual(expected);
        for (const each of sizes.values()) expect(each[0]).toBe(1);
        expect(ended).toEqual([0, 1, 2]);
      }),
      { numRuns: 60 },
    );
  });

  it('wait no longer than one bound, and one timer serves all', async () => {
    const waits = createWaits();
    let release = (): void => {};
    async function* events(): AsyncIterable<TokenEvent> {
      for (let i = 0; i < 5; i++) yield token(0, i);
      await new Promise<void>((resolve) => (release = resolve));
      yield finish(0);
    }
    const iterator = coalesced(events(), { bound: seconds(0.01), wait: waits.wait })[Symbol.asyncIterator]();
    expect((await iterator.next()).value).toMatchObject({ text: 't0' });
    const second = iterator.next();
    await turn();
    expect(waits.open).toBe(1);
    waits.fire();
    expect((await second).value).toMatchObject({ text: 't1t2t3t4' });
    const last = iterator.next();
    release();
    expect((await last).value).toMatchObject({ kind: 'finish' });
  });

  it('end the work behind them when the reader leaves', async () => {
    let isLeft = false;
    async function* events(): AsyncIterable<TokenEvent> {
      try {
        for (let i = 0; ; i++) yield token(0, i);
      } finally {
        isLeft = true;
      }
    }
    for await (const _ of coalesced(events(), { bound: seconds(1), wait: createWaits().wait })) break;
    expect(isLeft).toBe(true);
  });
});

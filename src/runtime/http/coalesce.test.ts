import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { seconds } from '../../core/index.ts';
import type { FinishEvent, TokenEvent } from '../engine-request.ts';
import { createChannel, type Channel } from '../engine-channel.ts';
import { createAnswerReading, type AnswerPlan } from './answer.ts';
import { createJoiner } from './coalesce.ts';
import { createMessageReader } from './message-reader.ts';
import { createThoughtReader } from './reasoning.ts';

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

const bound = seconds(0.01);

/** Reads what is due, joined. */
function createReader(events: Channel<TokenEvent>, wait: () => Promise<void>) {
  events.hold(createJoiner({ bound, wait }));
  return async () => {
    await events.ready();
    return events.take();
  };
}

describe('tokens that travel together', () => {
  it('lose and reorder nothing, whatever comes when, and the first of a choice goes at once', async () => {
    const steps = fc.array(fc.oneof(fc.nat(2), fc.constantFrom('due' as const, 'turn' as const)), { maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(steps, async (list) => {
        const waits = createWaits();
        const events = createChannel<TokenEvent>(() => expect.unreachable('nobody left'));
        let sent = 0;
        const write = async (): Promise<void> => {
          for (const step of list) {
            if (step === 'due') waits.fire();
            else if (step === 'turn') await turn();
            else events.push(token(step, sent++));
          }
          for (let choice = 0; choice < 3; choice++) events.push(finish(choice));
          events.close();
        };
        const of = new Map<number, number[]>();
        const sizes = new Map<number, number[]>();
        const ended: number[] = [];
        const take = createReader(events, waits.wait);
        const read = async (): Promise<void> => {
          for (let taken = await take(); taken !== undefined; taken = await take()) {
            for (const event of taken) {
              if (event.kind !== 'tokens') {
                ended.push(event.choice);
                continue;
              }
              expect(ended).not.toContain(event.choice);
              expect(event.text).toBe(event.tokens.map((report) => `t${report.token}`).join(''));
              of.set(event.choice, [...(of.get(event.choice) ?? []), ...event.tokens.map((report) => report.token)]);
              sizes.set(event.choice, [...(sizes.get(event.choice) ?? []), event.tokens.length]);
            }
          }
        };
        await Promise.all([read(), write()]);
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

  it('wait no longer than one bound, with one timer, and neither for a first token nor for an end', async () => {
    const waits = createWaits();
    const events = createChannel<TokenEvent>(() => undefined);
    const take = createReader(events, waits.wait);
    events.push(token(0, 0));
    expect(await take()).toMatchObject([{ text: 't0' }]);
    const second = take();
    for (let i = 1; i < 5; i++) events.push(token(0, i));
    await turn();
    expect(waits.open).toBe(1);
    waits.fire();
    expect(await second).toMatchObject([{ text: 't1t2t3t4' }]);
    const third = take();
    events.push(token(0, 5));
    await turn();
    events.push(token(1, 6));
    expect(await third).toMatchObject([{ text: 't5' }, { choice: 1, text: 't6' }]);
    const last = take();
    events.push(token(0, 7));
    await turn();
    events.push(finish(0));
    expect(await last).toMatchObject([{ text: 't7' }, { kind: 'finish' }]);
  });

  it('wait for the end where nobody is shown them before', async () => {
    const events = createChannel<TokenEvent>(() => undefined);
    events.hold(createJoiner());
    for (let i = 0; i < 2; i++) events.push(token(0, i));
    expect(events.ready()).toBeUndefined();
    expect(events.take()).toMatchObject([{ text: 't0' }, { text: 't1' }]);
    const due = events.ready();
    for (let i = 2; i < 5; i++) events.push(token(0, i));
    expect(await Promise.race([due, turn().then(() => 'waits')])).toBe('waits');
    events.push(finish(0));
    await due;
    expect(events.take()).toMatchObject([{ text: 't2t3t4' }, { kind: 'finish' }]);
  });

  it('are told before the reason of an early end', async () => {
    const events: Channel<TokenEvent> = createChannel(() => undefined);
    const take = createReader(events, createWaits().wait);
    for (let i = 0; i < 3; i++) events.push(token(0, i));
    await take();
    const rest = take();
    events.push(token(0, 3));
    await turn();
    events.close(new Error('broken'));
    expect(await rest).toMatchObject([{ text: 't3' }]);
    await expect(take()).rejects.toThrow('broken');
  });

  it('leave thoughts as they are when each travels at once, to the token', async () => {
    const script = '<think>so, 1 > 0</think> yes, <b>';
    const plan: AnswerPlan<unknown> = {
      head: { id: '', created: 0, model: '', includeUsage: false },
      promptTokens: 1,
      choices: 1,
      basis: undefined,
      promptParam: 'messages',
      opening: () => '',
      reader: () => createMessageReader(createThoughtReader('possible'), undefined, false),
      heard: () => undefined,
    };
    const read = (events: readonly TokenEvent[]) => {
      const reading = createAnswerReading(plan);
      const told = { thoughts: [] as number[], answer: [] as number[], reasoning: '', content: '' };
      for (const piece of events.flatMap((event) => reading.read(event))) {
        if (piece.kind !== 'parts') continue;
        told[piece.isThought ? 'thoughts' : 'answer'].push(...piece.tokens.map((report) => report.token));
        for (const part of piece.parts) {
          if (part.kind === 'content' || part.kind === 'reasoning') told[part.kind] += part.text;
        }
      }
      return told;
    };
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(script.length), { maxLength: 25 }), async (cuts) => {
        const ends = [...cuts, script.length].sort((a, b) => a - b);
        const apart = ends.map((end, i): TokenEvent => {
          return { kind: 'tokens', choice: 0, text: script.slice(ends[i - 1] ?? 0, end), tokens: [{ token: i }] };
        });
        const events = createChannel<TokenEvent>(() => undefined);
        const take = createReader(events, createWaits().wait);
        for (const event of [...apart, finish(0)]) events.push(event);
        expect(read(((await take()) ?? []).slice(0, -1))).toEqual(read(apart));
      }),
    );
  });
});

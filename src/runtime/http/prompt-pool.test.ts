import { resolve } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';

import { IngotError, seconds } from '../../core/index.ts';
import { openCheckpoint } from '../../model/index.node.ts';
import { createPromptPool } from './prompt-pool.node.ts';
import { encodePrompt, type PromptSource } from './prompts.ts';

const dir = resolve(import.meta.dirname, '../../../checkpoint');
const { tokenizer, close } = openCheckpoint(dir);
close();
const pool = createPromptPool({ tokenizer, checkpoint: dir, inlineCharacters: 0, mostWaiting: 4 });
afterAll(() => pool.close());

const textOf = (text: string): PromptSource => ({ kind: 'text', text, addSpecial: true });
const chatOf = (content: string, role = 'user'): PromptSource => ({
  kind: 'chat',
  messages: [{ role, content }],
  options: { addGenerationPrompt: true, now: seconds(0) },
});
const MANY = 10_000_000;

describe('prompts on threads', () => {
  it('are the same as where they are, texts and chats alike', async () => {
    const texts = fc.string({ unit: fc.oneof(fc.constantFrom('wafer ', 'é', '🦙', '\n'), fc.string()), maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(
        texts.filter((text) => text !== ''),
        fc.boolean(),
        async (text, isChat) => {
          const source = isChat ? chatOf(text) : textOf(text);
          const { tokens, end } = await pool.encode(source, MANY);
          const expected = encodePrompt(tokenizer, source, MANY);
          expect({ tokens: [...tokens], end }).toEqual({ ...expected, tokens: [...expected.tokens] });
        },
      ),
      { numRuns: 40 },
    );
    expect(pool.started).toBe(1);
  });

  it('leave the event loop free, and short ones stay on it', async () => {
    let turns = 0;
    let isDone = false;
    const turn = (): void => {
      turns++;
      if (!isDone) setImmediate(turn);
    };
    turn();
    const { tokens } = await pool.encode(textOf('the wafer is thin. '.repeat(50_000)), MANY);
    isDone = true;
    expect(tokens.length).toBeGreaterThan(100_000);
    expect(turns).toBeGreaterThan(20);

    const lazy = createPromptPool({ tokenizer, checkpoint: dir });
    await lazy.encode(textOf('short'), MANY);
    await lazy.encode(chatOf('short'), MANY);
    expect(lazy.started).toBe(0);
  });

  it('are refused in the same words', async () => {
    const refusal = async (source: PromptSource, most: number): Promise<unknown> =>
      pool.encode(source, most).then(
        () => undefined,
        (error: unknown) => (error as IngotError).diagnostics,
      );
    const here = (source: PromptSource, most: number): unknown => {
      try {
        return encodePrompt(tokenizer, source, most);
      } catch (error) {
        return (error as IngotError).diagnostics;
      }
    };
    expect(await refusal(textOf('too long'), 3)).toEqual(here(textOf('too long'), 3));
    expect(here(textOf('too long'), 3)).toMatchObject([{ code: 'CONTEXT_OVERFLOW' }]);
  });

  it('that are too many are refused, and so are those that come after the end', async () => {
    const all = Array.from({ length: 8 }, () =>
      pool.encode(textOf('wafer '.repeat(2000)), MANY).then(
        () => 'done',
        (error: unknown) => (error as IngotError).code,
      ),
    );
    // One on the thread, four waiting.
    expect(await Promise.all(all)).toEqual([
      ...Array<string>(5).fill('done'),
      ...Array<string>(3).fill('PROMPTS_BUSY'),
    ]);

    const closing = createPromptPool({ tokenizer, checkpoint: dir, inlineCharacters: 0 });
    const cut = closing.encode(textOf('wafer '.repeat(200_000)), MANY);
    const refused = expect(cut).rejects.toMatchObject({ code: 'ENGINE_CLOSED' });
    await closing.close();
    await refused;
    await expect(closing.encode(textOf('x'), MANY)).rejects.toMatchObject({ code: 'ENGINE_CLOSED' });
  });

  it('of a thread that cannot start fail, and the next one tries again', async () => {
    const lost = createPromptPool({ tokenizer, checkpoint: resolve(dir, 'none'), inlineCharacters: 0 });
    for (let i = 1; i <= 2; i++) {
      await expect(lost.encode(textOf('x'), MANY)).rejects.toMatchObject({ code: 'PROMPT_THREAD_FAILED' });
      expect(lost.started).toBe(i);
    }
    await lost.close();
  });
});

import { describe, expect, it } from 'vitest';
import { createChannel } from '../engine-channel.ts';
import type { TokenEvent } from '../engine-request.ts';
import { streamAnswer, type AnswerWriter } from './answer.ts';

const token = (i: number): TokenEvent => ({ kind: 'tokens', choice: 0, text: `${i}`, tokens: [{ token: i }] });
const writer: AnswerWriter = {
  begin: () => '[',
  write: (event) => (event.kind === 'tokens' ? `${event.text},`.padEnd(100, '.') : ''),
  end: () => ']',
  fail: (error) => `!${(error as Error).message}`,
};

async function piecesOf(stream: AsyncIterable<string>): Promise<string[]> {
  const pieces: string[] = [];
  for await (const piece of stream) pieces.push(piece);
  return pieces;
}

describe('a streamed answer', () => {
  it('says together what came together, and to whom is far behind a bounded piece at a time', async () => {
    const events = createChannel<TokenEvent>(() => undefined);
    const count = 3000;
    for (let i = 0; i < count; i++) events.push(token(i));
    events.close();
    const pieces = await piecesOf(await streamAnswer(events, undefined, writer));
    expect(pieces.join('')).toBe(`[${Array.from({ length: count }, (_, i) => writer.write(token(i))).join('')}]`);
    expect(pieces.length).toBeLessThan(count / 100);
    for (const piece of pieces) expect(piece.length).toBeLessThan(70_000);
  });

  it('rejects before its first token, and after it says why and then throws', async () => {
    const early = createChannel<TokenEvent>(() => undefined);
    early.close(new Error('early'));
    await expect(streamAnswer(early, undefined, writer)).rejects.toThrow('early');

    const late = createChannel<TokenEvent>(() => undefined);
    late.push(token(7));
    late.close(new Error('late'));
    const said: string[] = [];
    const read = async (): Promise<void> => {
      for await (const piece of await streamAnswer(late, undefined, writer)) said.push(piece);
    };
    await expect(read()).rejects.toThrow('late');
    expect(said).toEqual(['['.concat(writer.write(token(7))), '!late']);
  });

  it('leaves the engine when its reader leaves, and when it cannot be written', async () => {
    for (const write of [
      writer.write,
      (): string => {
        throw new Error('broken');
      },
    ]) {
      let left = 0;
      const events = createChannel<TokenEvent>(() => left++);
      events.push(token(1));
      const stream = await streamAnswer(events, undefined, { ...writer, write });
      for await (const _ of stream) break;
      expect(left).toBe(1);
    }
  });
});

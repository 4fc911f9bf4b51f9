import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createChannel } from './engine-channel.ts';

const turns = async (n: number): Promise<void> => {
  for (let i = 0; i < n; i++) await Promise.resolve();
};

describe('channel', () => {
  it('delivers every value in order, however writer and reader interleave', async () => {
    const waits = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(waits, waits, fc.boolean(), async (writes, reads, fails) => {
        const channel = createChannel<number>(() => expect.unreachable('nobody left'));
        const write = async (): Promise<void> => {
          for (const [i, wait] of writes.entries()) {
            await turns(wait);
            channel.push(i);
          }
          channel.close(fails ? new Error('broken') : undefined);
        };
        const seen: number[] = [];
        const read = async (): Promise<string> => {
          try {
            for await (const value of channel) {
              seen.push(value);
              await turns(reads[value] ?? 0);
            }
            return 'end';
          } catch (error) {
            return (error as Error).message;
          }
        };
        const [how] = await Promise.all([read(), write()]);
        expect(seen).toEqual(writes.map((_, i) => i));
        expect(how).toBe(fails ? 'broken' : 'end');
      }),
    );
  });

  it('says when the reader leaves, and takes nothing after its end', async () => {
    let left = 0;
    const channel = createChannel<number>(() => left++);
    channel.push(1);
    for await (const value of channel) {
      expect(value).toBe(1);
      break;
    }
    expect(left).toBe(1);

    const ended = createChannel<number>(() => left++);
    ended.close();
    ended.push(2);
    ended.close(new Error('late'));
    for await (const value of ended) expect.unreachable(String(value));
    expect(left).toBe(1);
  });
});

import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { expect, it, onTestFinished, vi } from 'vitest';
import { writeStream } from './write-response.ts';

const PIECE = 'x'.repeat(16_384);
/** What sockets of this system hold at most, on both sides, and our own beside them. */
const BUFFERS = 64 * 1024 * 1024;
const WAIT = { timeout: 10_000 };
const soon = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

it('takes no more from a stream than a client takes from it, and leaves it when the client goes', async () => {
  let taken = 0;
  let isLeft = false;
  async function* endless(): AsyncIterable<string> {
    try {
      for (;;) {
        taken++;
        yield PIECE;
        await soon(0);
      }
    } finally {
      isLeft = true;
    }
  }
  const server = createServer((_, response) => {
    void writeStream(response, { status: 200, headers: {}, body: endless() });
  });
  server.listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  client.on('error', () => undefined);
  client.write('GET / HTTP/1.1\r\nhost: test\r\n\r\n');
  client.pause();

  let before = -1;
  while (taken !== before) {
    before = taken;
    await soon(60);
  }
  expect(taken).toBeGreaterThan(1);
  expect(taken * PIECE.length).toBeLessThan(BUFFERS);

  client.resume();
  await vi.waitUntil(() => taken > 2 * before, WAIT);
  client.destroy();
  await vi.waitUntil(() => isLeft, WAIT);
}, 20_000);

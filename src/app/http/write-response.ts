// A streamed response onto a socket.

import type { ServerResponse } from 'node:http';

/**
 * Writes the pieces as the client takes them. Where the iteration fails, the connection is cut once what was
 * written is on its way: without the end of the body the client's HTTP layer reports a failure.
 */
export async function writeStream(
  raw: ServerResponse,
  {
    status,
    headers,
    body,
  }: {
    readonly status: number;
    readonly headers: Readonly<Record<string, string>>;
    readonly body: AsyncIterable<string>;
  },
): Promise<void> {
  raw.writeHead(status, headers);
  try {
    for await (const piece of body) {
      // Leaving the loop ends the iteration, and so the work behind it.
      if (raw.destroyed) return;
      if (!raw.write(piece)) await writable(raw);
    }
    raw.end();
  } catch {
    raw.socket?.destroySoon();
  }
}

/** A client that takes nothing for so long holds a place, and a version of a model, that others wait for. */
const STALLED_MS = 120_000;

/** Resolves when the client has taken what was written, or has left; one that does neither is cut off. */
function writable(raw: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const stalled = setTimeout(() => raw.destroy(), STALLED_MS);
    const go = (): void => {
      clearTimeout(stalled);
      raw.off('drain', go);
      raw.off('close', go);
      resolve();
    };
    raw.on('drain', go);
    raw.on('close', go);
  });
}

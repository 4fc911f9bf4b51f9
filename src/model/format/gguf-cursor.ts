// Reads the header of a GGUF file from front to back, a chunk at a time. Nothing is allocated for a count that the
// file states before it is known that the file has the bytes for it.

import { fail, formatCount } from '../../core/index.ts';

/** Random access to a file that nobody vouches for. */
export interface ByteSource {
  readonly bytes: number;
  /** Fill `target` with the bytes from `position` on; the caller stays below `bytes`. */
  read(target: Uint8Array, position: number): void;
}

/** Largest header. The largest tokenizers in use (262,144 tokens with scores) make one of 10 MB. */
export const MAX_HEADER_BYTES = 128 * 2 ** 20;
const CHUNK_BYTES = 2 ** 18;

export interface Cursor {
  /** Byte of the file that comes next. */
  readonly position: number;
  /** For messages: the file and a byte of it, the next if none is given. */
  at(position?: number): string;
  /** The next bytes, to be used or copied before the next call. @throws IngotError GGUF_TRUNCATED, GGUF_LIMIT */
  take(count: number): Uint8Array;
  u32(): number;
  /** Exact up to 2⁵³ and never below the limit above it, which is enough to be refused. */
  u64(): number;
  /** A count that the file states, which must not pass `limit`, and the file must have `unitBytes` for each. */
  count(what: string, limit: number, unitBytes: number): number;
  /** @throws IngotError GGUF_MALFORMED unless the bytes are UTF-8 */
  string(what: string, limit: number): string;
}

export function createCursor(source: ByteSource, where: string): Cursor {
  const limit = Math.min(source.bytes, MAX_HEADER_BYTES);
  const chunk = new Uint8Array(Math.min(CHUNK_BYTES, limit));
  const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  let chunkStart = 0;
  let chunkEnd = 0;
  let position = 0;
  const at = (place = position): string => `${where}, byte ${place}`;

  const requireBytes = (count: number): void => {
    if (position + count <= limit) return;
    if (position + count > source.bytes) {
      fail({
        code: 'GGUF_TRUNCATED',
        message: 'the file ends within its header',
        where: at(),
        expected: `${formatCount(count)} more bytes`,
        found: `${formatCount(source.bytes - position)} bytes`,
        suggestion: 'fetch the file again',
      });
    }
    fail({
      code: 'GGUF_LIMIT',
      message: 'the header is larger than Ingot reads',
      where: at(),
      expected: `at most ${formatCount(MAX_HEADER_BYTES)} bytes`,
    });
  };
  const take = (count: number): Uint8Array => {
    requireBytes(count);
    const start = position;
    position += count;
    if (count > chunk.length) {
      const bytes = new Uint8Array(count);
      source.read(bytes, start);
      return bytes;
    }
    if (start < chunkStart || start + count > chunkEnd) {
      chunkStart = start;
      chunkEnd = Math.min(limit, start + chunk.length);
      source.read(chunk.subarray(0, chunkEnd - chunkStart), chunkStart);
    }
    return chunk.subarray(start - chunkStart, start - chunkStart + count);
  };
  const u32 = (): number => {
    const bytes = take(4);
    return (bytes[0] | (bytes[1] << 8) | (bytes[2] << 16) | (bytes[3] << 24)) >>> 0;
  };
  const u64 = (): number => {
    const low = u32();
    return low + u32() * 2 ** 32;
  };
  const count = (what: string, most: number, unitBytes: number): number => {
    const start = position;
    const stated = u64();
    if (stated > most) {
      fail({
        code: 'GGUF_LIMIT',
        message: `the header states more ${what} than Ingot reads`,
        where: at(start),
        expected: `at most ${formatCount(most)}`,
        found: formatCount(stated),
        suggestion: 'check that the file is whole and was written by a known tool',
      });
    }
    requireBytes(stated * unitBytes);
    return stated;
  };
  return {
    get position() {
      return position;
    },
    at,
    take,
    u32,
    u64,
    count,
    string(what, most) {
      const bytes = take(count(`bytes of ${what}`, most, 1));
      try {
        return text.decode(bytes);
      } catch {
        return fail({ code: 'GGUF_MALFORMED', message: `${what} is not UTF-8 text`, where: at() });
      }
    },
  };
}

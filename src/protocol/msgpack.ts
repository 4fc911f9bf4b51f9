// MessagePack as some clients send bodies in (github.com/msgpack/msgpack/blob/master/spec.md): what JSON can say, and nothing else.

import { ApiError } from './openai/error.ts';

/** Lists and maps within each other. */
const MAX_DEPTH = 512;
/** The longest contexts served today, in tokens. A byte can be a value, and four million of them stop a server for seconds. */
const MAX_VALUES = 1 << 20;
/** Bytes, extensions and what the format leaves unused: no JSON has them. */
const refused = (what: string): ApiError =>
  new ApiError({
    status: 400,
    code: 'invalid_msgpack',
    message: `The request body is not MessagePack of a JSON value: ${what}.`,
    suggestion: 'Send a map with text as keys.',
  });

/**
 * The value that `bytes` hold.
 * @throws ApiError 400
 */
export function decodeMsgpack(bytes: Uint8Array): unknown {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = new TextDecoder('utf-8', { fatal: true });
  let at = 0;
  let values = 0;

  const take = (count: number): number => {
    const from = at;
    at += count;
    if (at > bytes.length) throw refused('it ends too early');
    return from;
  };
  /** A number of bytes or members, of so many bytes. */
  const count = (width: number): number => {
    const from = take(width);
    return width === 1 ? view.getUint8(from) : width === 2 ? view.getUint16(from) : view.getUint32(from);
  };
  const string = (length: number): string => {
    const from = take(length);
    try {
      return text.decode(bytes.subarray(from, at));
    } catch {
      throw refused('a text is not UTF-8');
    }
  };
  const list = (length: number, depth: number): unknown[] => {
    const items: unknown[] = [];
    for (let i = 0; i < length; i++) items.push(value(depth + 1));
    return items;
  };
  const map = (length: number, depth: number): Record<string, unknown> => {
    const entries: [string, unknown][] = [];
    for (let i = 0; i < length; i++) {
      const key = value(depth + 1);
      if (typeof key !== 'string') throw refused('a key is not text');
      entries.push([key, value(depth + 1)]);
    }
    return Object.fromEntries(entries);
  };

  function value(depth: number): unknown {
    if (depth > MAX_DEPTH) throw refused(`more than ${MAX_DEPTH} lists and maps lie within each other`);
    if (++values > MAX_VALUES) throw refused(`it holds more than ${MAX_VALUES} values`);
    const head = view.getUint8(take(1));
    if (head <= 0x7f) return head;
    if (head <= 0x8f) return map(head & 0x0f, depth);
    if (head <= 0x9f) return list(head & 0x0f, depth);
    if (head <= 0xbf) return string(head & 0x1f);
    if (head >= 0xe0) return head - 0x100;
    switch (head) {
      case 0xc0:
        return null;
      case 0xc2:
      case 0xc3:
        return head === 0xc3;
      case 0xca:
        return view.getFloat32(take(4));
      case 0xcb:
        return view.getFloat64(take(8));
      case 0xcc:
      case 0xcd:
      case 0xce:
        return count(1 << (head - 0xcc));
      case 0xcf:
        return Number(view.getBigUint64(take(8)));
      case 0xd0:
        return view.getInt8(take(1));
      case 0xd1:
        return view.getInt16(take(2));
      case 0xd2:
        return view.getInt32(take(4));
      case 0xd3:
        return Number(view.getBigInt64(take(8)));
      case 0xd9:
      case 0xda:
      case 0xdb:
        return string(count(1 << (head - 0xd9)));
      case 0xdc:
      case 0xdd:
        return list(count(2 << (head - 0xdc)), depth);
      case 0xde:
      case 0xdf:
        return map(count(2 << (head - 0xde)), depth);
      default:
        throw refused(`byte 0x${head.toString(16)} begins no JSON value`);
    }
  }

  const whole = value(0);
  if (at !== bytes.length) throw refused('bytes follow it');
  return whole;
}

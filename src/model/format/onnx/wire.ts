// Fields of protocol buffer messages, found without reading what they hold, so that the gigabytes of a tensor stay in the
// file. Small messages are handed out as bytes. Format: https://protobuf.dev/programming-guides/encoding/

import { fail, formatCount } from '../../../core/index.ts';
import type { ByteSource } from '../gguf-cursor.ts';

/** Fields looked at in one file; the largest exports have some 500,000. */
export const MAX_FIELDS = 2 ** 22;
const WINDOW_BYTES = 2 ** 16;
/** A varint of 64 bits. */
const MAX_VARINT_BYTES = 10;

export const wireTypes = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

export interface Field {
  readonly number: number;
  readonly wire: number;
  /** Of a varint: its value, exact below 2⁵³. */
  readonly value: number;
  /** Bytes of the file that hold the value, without tag and length. */
  readonly begin: number;
  readonly end: number;
}

export interface Wire {
  /** The fields of the message in bytes [begin, end). @throws IngotError ONNX_MALFORMED, ONNX_LIMIT */
  fields(begin: number, end: number): Generator<Field, void, undefined>;
  /** A copy of the bytes of a field. @throws IngotError ONNX_LIMIT where it has more than `limit` */
  bytes(field: Field, what: string, limit: number): Uint8Array;
  text(field: Field, what: string, limit: number): string;
}

export function createWire(source: ByteSource, where: string): Wire {
  const window = new Uint8Array(Math.min(WINDOW_BYTES, source.bytes));
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  let windowStart = 0;
  let windowEnd = 0;
  let seen = 0;

  const malformed = (message: string, position: number, suggestion?: string): never =>
    fail({ code: 'ONNX_MALFORMED', message, where: `${where}, byte ${position}`, suggestion });

  const byteAt = (position: number): number => {
    if (position < windowStart || position >= windowEnd) {
      windowStart = position;
      windowEnd = Math.min(source.bytes, position + window.length);
      source.read(window.subarray(0, windowEnd - windowStart), windowStart);
    }
    return window[position - windowStart];
  };

  /** Value and the byte behind it. */
  const varint = (begin: number, end: number): readonly [number, number] => {
    let value = 0;
    for (let i = 0; i < MAX_VARINT_BYTES && begin + i < end; i++) {
      const byte = byteAt(begin + i);
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) return [value, begin + i + 1];
    }
    return malformed('a number does not end', begin, 'fetch the file again');
  };

  return {
    *fields(begin, end) {
      for (let position = begin; position < end; ) {
        if (++seen > MAX_FIELDS) {
          fail({
            code: 'ONNX_LIMIT',
            message: 'the file has more fields than Ingot reads',
            where: `${where}, byte ${position}`,
            expected: `at most ${formatCount(MAX_FIELDS)}`,
          });
        }
        const [tag, after] = varint(position, end);
        const number = Math.floor(tag / 8);
        const wire = tag % 8;
        let [value, valueBegin, valueEnd] = [0, after, after];
        if (wire === wireTypes.varint) [value, valueEnd] = varint(after, end);
        else if (wire === wireTypes.fixed64) valueEnd = after + 8;
        else if (wire === wireTypes.fixed32) valueEnd = after + 4;
        else if (wire === wireTypes.bytes) {
          const [length, start] = varint(after, end);
          [valueBegin, valueEnd] = [start, start + length];
        } else malformed('a field has a type that ONNX files do not use', position);
        if (number === 0) malformed('a field has the number 0', position);
        if (valueEnd > end) malformed('a field passes the end of what it lies in', position, 'fetch the file again');
        yield { number, wire, value, begin: valueBegin, end: valueEnd };
        position = valueEnd;
      }
    },
    bytes: readBytes,
    text(field, what, limit) {
      const bytes = readBytes(field, what, limit);
      try {
        return decoder.decode(bytes);
      } catch {
        return malformed(`${what} is not UTF-8 text`, field.begin);
      }
    },
  };

  function readBytes(field: Field, what: string, limit: number): Uint8Array {
    const length = field.end - field.begin;
    if (field.wire !== wireTypes.bytes) malformed(`${what} is a number`, field.begin);
    if (length > limit) {
      fail({
        code: 'ONNX_LIMIT',
        message: `${what} is longer than Ingot reads`,
        where: `${where}, byte ${field.begin}`,
        expected: `at most ${formatCount(limit)} bytes`,
        found: `${formatCount(length)} bytes`,
      });
    }
    const bytes = new Uint8Array(length);
    if (length > 0) source.read(bytes, field.begin);
    return bytes;
  }
}

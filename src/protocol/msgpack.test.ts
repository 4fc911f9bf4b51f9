import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeMsgpack } from './msgpack.ts';

/** An encoder for the test: `wide` takes the longest form of everything. */
function encode(value: unknown, wide: boolean): number[] {
  const big = (bytes: number, set: (view: DataView) => void): number[] => {
    const view = new DataView(new ArrayBuffer(bytes));
    set(view);
    return [...new Uint8Array(view.buffer)];
  };
  const size = (length: number, short: number, most: number, long: number): number[] =>
    !wide && length <= most ? [short | length] : [long, ...big(4, (view) => view.setUint32(0, length))];
  if (value === null) return [0xc0];
  if (typeof value === 'boolean') return [value ? 0xc3 : 0xc2];
  if (typeof value === 'number') {
    if (!wide && Number.isInteger(value) && value >= 0 && value < 128 && !Object.is(value, -0)) return [value];
    if (!wide && Number.isInteger(value) && value < 0 && value >= -32) return [value + 256];
    return [0xcb, ...big(8, (view) => view.setFloat64(0, value))];
  }
  if (typeof value === 'string') {
    const bytes = new TextEncoder().encode(value);
    return [...size(bytes.length, 0xa0, 31, 0xdb), ...bytes];
  }
  if (Array.isArray(value)) return [...size(value.length, 0x90, 15, 0xdd), ...value.flatMap((v) => encode(v, wide))];
  const entries = Object.entries(value as object);
  return [...size(entries.length, 0x80, 15, 0xdf), ...entries.flat().flatMap((v) => encode(v, wide))];
}

describe('decodeMsgpack', () => {
  it('reads what JSON can say', () => {
    const json = fc.jsonValue({ noUnicodeString: false } as object).map((value) => JSON.parse(JSON.stringify(value)));
    fc.assert(
      fc.property(json, fc.boolean(), (value, wide) => {
        expect(decodeMsgpack(Uint8Array.from(encode(value, wide)))).toEqual(value);
      }),
    );
  });

  // From the specification's table of formats.
  it.each<[readonly number[], unknown]>([
    [[0xcc, 0xff], 255],
    [[0xcd, 1, 0], 256],
    [[0xce, 0, 1, 0, 0], 65_536],
    [[0xcf, 0, 0, 0, 1, 0, 0, 0, 0], 2 ** 32],
    [[0xd0, 0x80], -128],
    [[0xd1, 0xff, 0], -256],
    [[0xd2, 0xff, 0xff, 0, 0], -65_536],
    [[0xd3, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], -(2 ** 32)],
    [[0xca, 0x3f, 0x80, 0, 0], 1],
    [[0xd9, 1, 0x61], 'a'],
    [[0xda, 0, 1, 0x61], 'a'],
    [[0xdc, 0, 1, 1], [1]],
    [[0xde, 0, 1, 0xa1, 0x61, 1], { a: 1 }],
  ])('%j', (bytes, value) => {
    expect(decodeMsgpack(Uint8Array.from(bytes))).toEqual(value);
  });

  it.each<[string, readonly number[]]>([
    ['ends too early', [0xdd, 0xff, 0xff, 0xff, 0xff]],
    ['ends too early', [0xa5, 0x61]],
    ['begins no JSON value', [0xc4, 1, 1]],
    ['begins no JSON value', [0xc1]],
    ['a key is not text', [0x81, 1, 1]],
    ['is not UTF-8', [0xa1, 0xff]],
    ['bytes follow', [1, 1]],
    ['within each other', Array.from({ length: 2000 }, () => 0x91)],
  ])('refuses: %s', (message, bytes) => {
    expect(() => decodeMsgpack(Uint8Array.from(bytes))).toThrow(message);
  });

  it('takes a million values and refuses more', () => {
    const nulls = (count: number): Uint8Array => {
      const bytes = new Uint8Array(5 + count).fill(0xc0);
      bytes[0] = 0xdd;
      new DataView(bytes.buffer).setUint32(1, count);
      return bytes;
    };
    const most = 2 ** 20 - 1; // The list is a value too.
    expect(decodeMsgpack(nulls(most))).toHaveLength(most);
    expect(() => decodeMsgpack(nulls(most + 1))).toThrow('more than 1048576 values');
  });

  it('never fails in another way, whatever comes', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        try {
          decodeMsgpack(bytes);
        } catch (error) {
          expect(error).toMatchObject({ status: 400 });
        }
      }),
    );
  });
});

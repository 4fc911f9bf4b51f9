import { encode } from '@msgpack/msgpack';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { jsonOfMsgpack } from './msgpack.ts';

const read = (bytes: readonly number[]): unknown => JSON.parse(jsonOfMsgpack(Uint8Array.from(bytes)));

describe('jsonOfMsgpack', () => {
  it('reads what JSON can say', () => {
    const json = fc.jsonValue().filter((value) => !JSON.stringify(value).includes('__proto__'));
    fc.assert(
      fc.property(json, (value) => {
        expect(jsonOfMsgpack(encode(value))).toBe(JSON.stringify(value));
      }),
    );
  });

  // From the specification's table of formats.
  it.each<[readonly number[], unknown]>([
    [[0xcc, 0xff], 255],
    [[0xcf, 0, 0, 0, 1, 0, 0, 0, 0], 2 ** 32],
    [[0xd2, 0xff, 0xff, 0, 0], -65_536],
    [[0xca, 0x3f, 0x80, 0, 0], 1],
    [[0xda, 0, 1, 0x61], 'a'],
    [[0xde, 0, 1, 0xa1, 0x61, 1], { a: 1 }],
  ])('%j', (bytes, value) => {
    expect(read(bytes)).toEqual(value);
  });

  it.each<[string, readonly number[]]>([
    ['a list longer than the body', [0xdd, 0xff, 0xff, 0xff, 0xff]],
    ['a text that ends too early', [0xa5, 0x61]],
    ['bytes', [0xc4, 1, 1]],
    ['a time', [0xd6, 0xff, 0, 0, 0, 0]],
    ['what the format leaves unused', [0xc1]],
    ['a key that is not text', [0x81, 1, 1]],
    ['a key that would change a prototype', [0x81, 0xa9, ...new TextEncoder().encode('__proto__'), 1]],
    ['bytes behind the value', [1, 1]],
    ['a million lists within each other', [...new Uint8Array(1_000_000).fill(0x91), 1]],
  ])('refuses %s', (_, bytes) => {
    expect(() => read(bytes)).toThrow(/^INVALID_MSGPACK: /);
  });

  it('never fails in another way, whatever comes', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        try {
          jsonOfMsgpack(bytes);
        } catch (error) {
          expect(error).toMatchObject({ status: 400 });
        }
      }),
    );
  });
});

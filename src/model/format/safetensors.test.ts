import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { IngotError } from '../../core/index.ts';

import {
  encodeSafetensors,
  headerLength,
  MAX_HEADER_BYTES,
  MAX_NAME_LENGTH,
  parseSafetensorsHeader,
  STORED_BYTES,
  type TensorToWrite,
} from './safetensors.ts';

const tensor: fc.Arbitrary<TensorToWrite> = fc
  .record({
    name: fc.oneof(
      fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme' }),
      fc.constantFrom('__proto__', '7', 'constructor'),
    ),
    dtype: fc.constantFrom('f32' as const, 'f16' as const, 'bf16' as const),
    shape: fc.array(fc.nat({ max: 4 }), { maxLength: 4 }),
  })
  .chain((t) => {
    const size = t.shape.reduce((a, b) => a * b, STORED_BYTES[t.dtype]);
    return fc.uint8Array({ minLength: size, maxLength: size }).map((bytes) => ({ ...t, bytes }));
  });
const tensors = fc.uniqueArray(tensor, { selector: (t) => t.name, maxLength: 6 });

/** A file around a header given as text, with `dataBytes` zero bytes behind it. */
function fileOf(header: string, dataBytes: number): Uint8Array {
  const text = new TextEncoder().encode(header);
  const file = new Uint8Array(8 + text.length + dataBytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  return file;
}
const codesOf = (file: Uint8Array): string[] => {
  try {
    parseSafetensorsHeader(file, file.length, 'model.safetensors');
    return [];
  } catch (error) {
    if (!(error instanceof IngotError)) throw error;
    return error.diagnostics.map((d) => d.code);
  }
};
const entry = (from: number, to: number, shape = [(to - from) / 4], dtype = 'F32'): object => ({
  dtype,
  shape,
  data_offsets: [from, to],
});

describe('safetensors', () => {
  it('parse undoes encode, and the bytes do not depend on the order given', () => {
    fc.assert(
      fc.property(tensors, fc.dictionary(fc.string(), fc.string(), { noNullPrototype: true }), (list, metadata) => {
        const file = encodeSafetensors(list, metadata);
        expect(encodeSafetensors(list.toReversed(), metadata)).toEqual(file);
        const header = parseSafetensorsHeader(file, file.length, 'f');
        expect({ ...header.metadata }).toEqual(metadata);
        expect(header.tensors).toHaveLength(list.length);
        for (const { name, dtype, shape, bytes } of list) {
          const found = header.tensors.find((t) => t.name === name)!;
          expect({ dtype: found.dtype, shape: found.shape }).toEqual({ dtype, shape });
          expect(file.slice(found.begin, found.end)).toEqual(bytes);
          // Aligned data lets a reader use typed arrays in place.
          expect(found.begin % STORED_BYTES[dtype]).toBe(0);
        }
      }),
    );
  });

  it('never fails on damaged bytes with anything but a diagnostic', () => {
    const damage = fc.array(fc.record({ at: fc.nat(), value: fc.nat({ max: 255 }) }), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(tensors, damage, fc.nat({ max: 40 }), (list, changes, cut) => {
        const file = encodeSafetensors(list);
        for (const { at, value } of changes) file[at % file.length] = value;
        codesOf(file.subarray(0, Math.max(0, file.length - cut)));
      }),
      { numRuns: 1000 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        expect(codesOf(bytes)).not.toEqual([]);
      }),
    );
    fc.assert(fc.property(fc.jsonValue(), fc.nat({ max: 16 }), (v, n) => void codesOf(fileOf(JSON.stringify(v), n))));
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 2 })), fc.nat({ max: 16 }), (v, n) => {
        codesOf(fileOf(JSON.stringify(v), n));
      }),
    );
  });

  it('refuses each broken rule of the format under its own code', () => {
    const cases: [string, number, string[]][] = [
      [JSON.stringify({ a: entry(0, 8), b: entry(8, 16) }), 16, []],
      // The order of the keys is free; empty tensors and scalars are allowed.
      [JSON.stringify({ b: entry(8, 12, []), a: entry(0, 8), e: entry(8, 8, [0, 5]) }), 12, []],
      [JSON.stringify({ a: entry(0, 8), b: entry(4, 12) }), 12, ['SAFETENSORS_OFFSETS']],
      [JSON.stringify({ a: entry(0, 8), b: entry(12, 16) }), 16, ['SAFETENSORS_OFFSETS']],
      [JSON.stringify({ a: entry(4, 8) }), 8, ['SAFETENSORS_OFFSETS']],
      [JSON.stringify({ a: entry(0, 8) }), 12, ['SAFETENSORS_OFFSETS']],
      [JSON.stringify({ a: entry(0, 8) }), 7, ['SAFETENSORS_TRUNCATED']],
      [JSON.stringify({ a: entry(0, 8, [3]) }), 8, ['SAFETENSORS_SHAPE']],
      [JSON.stringify({ a: entry(8, 0, [2]) }), 8, ['SAFETENSORS_SHAPE']],
      [JSON.stringify({ a: entry(0, 8, [2 ** 30, 2 ** 30, 2 ** 30]) }), 8, ['SAFETENSORS_SHAPE']],
      [JSON.stringify({ a: entry(0, 8, [1], 'I64') }), 8, ['SAFETENSORS_DTYPE']],
      [JSON.stringify({ a: entry(0, 8, [2], 'toString') }), 8, ['SAFETENSORS_DTYPE']],
      [JSON.stringify({ a: entry(0, 8, [2.5]) }), 8, ['SAFETENSORS_HEADER_MALFORMED']],
      [JSON.stringify({ a: entry(-8, 0, [2]) }), 8, ['SAFETENSORS_HEADER_MALFORMED']],
      [JSON.stringify({ a: { ...entry(0, 8), stride: 1 } }), 8, ['SAFETENSORS_HEADER_MALFORMED']],
      [JSON.stringify({ a: 7 }), 0, ['SAFETENSORS_HEADER_MALFORMED']],
      [JSON.stringify({ __metadata__: { a: 7 } }), 0, ['SAFETENSORS_HEADER_MALFORMED']],
      [`{"a":${JSON.stringify(entry(0, 8))},"a":${JSON.stringify(entry(0, 8))}}`, 8, ['SAFETENSORS_HEADER_MALFORMED']],
      [JSON.stringify({ a: entry(0, 4, [1, 1, 1, 1, 1, 1, 1, 1, 1]) }), 4, ['SAFETENSORS_LIMIT']],
      [JSON.stringify({ ['a'.repeat(MAX_NAME_LENGTH + 1)]: entry(0, 4) }), 4, ['SAFETENSORS_LIMIT']],
    ];
    for (const [header, dataBytes, codes] of cases)
      expect([header, codesOf(fileOf(header, dataBytes))]).toEqual([header, codes]);
  });

  it('reports many problems at once, and caps the list', () => {
    const header = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`t${i}`, entry(4 * i, 4 * i + 4, [2])]));
    const codes = codesOf(fileOf(JSON.stringify(header), 80));
    expect(codes).toEqual([...Array<string>(8).fill('SAFETENSORS_SHAPE'), 'MORE_PROBLEMS']);
  });

  it('bounds the header before reading it', () => {
    const prefix = (length: bigint): Uint8Array => {
      const bytes = new Uint8Array(8);
      new DataView(bytes.buffer).setBigUint64(0, length, true);
      return bytes;
    };
    expect(headerLength(prefix(BigInt(MAX_HEADER_BYTES)), 2 ** 40, 'f')).toBe(MAX_HEADER_BYTES);
    for (const length of [BigInt(MAX_HEADER_BYTES) + 1n, 2n ** 53n + 1n, 2n ** 64n - 1n]) {
      expect(() => headerLength(prefix(length), 2 ** 40, 'f')).toThrow(/SAFETENSORS_HEADER_TOO_LARGE/);
    }
    expect(() => headerLength(prefix(100n), 107, 'f')).toThrow(/SAFETENSORS_TRUNCATED/);
    expect(() => headerLength(new Uint8Array(3), 3, 'f')).toThrow(/SAFETENSORS_TRUNCATED/);
  });
});

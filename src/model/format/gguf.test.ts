import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { list, sourceOf, tensorTypes, u32, writeGguf, type RawGguf, type TypedValue } from '../../../test/gguf.ts';
import { IngotError } from '../../core/index.ts';
import { MAX_HEADER_BYTES } from './gguf-cursor.ts';
import { MAX_ARRAY_LENGTH, MAX_GGUF_TENSORS, MAX_METADATA, readGgufHeader, type GgufHeader } from './gguf.ts';

const read = (file: Uint8Array): GgufHeader => readGgufHeader(sourceOf(file), 'f');
const codes = (file: Uint8Array): string[] => {
  try {
    read(file);
    return ['accepted'];
  } catch (error) {
    if (!(error instanceof IngotError)) throw error;
    return error.diagnostics.map((d) => d.code);
  }
};
const f32s = (name: string, count: number, offset?: number) => ({
  name,
  shape: [count],
  type: tensorTypes.F32,
  bytes: new Uint8Array(4 * count).fill(1),
  ...(offset === undefined ? {} : { offset }),
});
const file = (changes: Partial<RawGguf> = {}): Uint8Array<ArrayBuffer> =>
  writeGguf({ metadata: [['a.key', u32(7)]], tensors: [f32s('x', 5), f32s('y', 3)], ...changes });
const withValue = (value: TypedValue): Uint8Array => file({ metadata: [['k', value]] });

describe('readGgufHeader', () => {
  it('reads every type of value', () => {
    const cases: readonly (readonly [TypedValue, unknown])[] = [
      [{ type: 'u8', value: 200 }, 200],
      [{ type: 'i8', value: -2 }, -2],
      [{ type: 'u16', value: 65_535 }, 65_535],
      [{ type: 'i16', value: -3 }, -3],
      [{ type: 'u32', value: 4_294_967_295 }, 4_294_967_295],
      [{ type: 'i32', value: -4 }, -4],
      [{ type: 'f32', value: 0.1 }, Math.fround(0.1)],
      [{ type: 'bool', value: true }, true],
      [{ type: 'string', value: '\ufeffé🦙\0' }, '\ufeffé🦙\0'],
      [{ type: 'u64', value: 2 ** 53 - 1 }, 2 ** 53 - 1],
      [{ type: 'u64', value: 2n ** 64n - 1n }, 2n ** 64n - 1n],
      [{ type: 'i64', value: -(2 ** 40) }, -(2 ** 40)],
      [{ type: 'f64', value: 0.1 }, 0.1],
      [list('i8', [-1, 1]), Int8Array.of(-1, 1)],
      [list('u16', [1, 65_535]), Uint16Array.of(1, 65_535)],
      [list('f32', [0.5, -1]), Float32Array.of(0.5, -1)],
      [list('u64', [1, 2n ** 63n]), BigUint64Array.of(1n, 2n ** 63n)],
      [list('bool', [true, false]), [true, false]],
      [list('string', ['a', '', 'b']), ['a', '', 'b']],
      [list('string', []), []],
      [list('array', [list('u8', [1]), list('string', ['x'])]), [Uint8Array.of(1), ['x']]],
    ];
    for (const version of [2, 3]) {
      const metadata = cases.map(([value], i) => [`k${i}`, value] as const);
      const header = read(file({ metadata, version }));
      expect(header.version).toBe(version);
      cases.forEach(([, expected], i) => expect(header.metadata.get(`k${i}`)).toEqual(expected));
    }
  });

  it('finds the bytes of every tensor, with the alignment that the file states', () => {
    for (const alignment of [8, 32, 4096]) {
      const metadata: RawGguf['metadata'] = [['general.alignment', u32(alignment)]];
      const q8 = { name: 'q', shape: [3, 64], type: tensorTypes.Q8_0, bytes: new Uint8Array(3 * 2 * 34).fill(2) };
      const bytes = file({ metadata, alignment, tensors: [f32s('x', 5), q8, f32s('none', 0), f32s('y', 3)] });
      const { tensors } = read(bytes);
      expect(tensors.map(({ name, shape, end, begin }) => [name, shape, end - begin])).toEqual([
        ['x', [5], 20],
        ['q', [3, 64], 204],
        ['none', [0], 0],
        ['y', [3], 12],
      ]);
      for (const { name, begin, end } of tensors) {
        expect(begin % alignment).toBe(0);
        expect(bytes.subarray(begin, end).every((byte) => byte === (name === 'q' ? 2 : 1))).toBe(true);
      }
    }
  });

  it('is read in pieces: of a large file only the header', () => {
    let furthest = 0;
    const bytes = file({ metadata: [['tokens', list('string', Array.from({ length: 1e5 }, String))]] });
    const header = readGgufHeader(
      {
        bytes: 2 ** 40,
        read(target, position) {
          furthest = Math.max(furthest, position + target.length);
          target.set(bytes.subarray(position, position + target.length));
        },
      },
      'f',
    );
    expect(bytes.length).toBeGreaterThan(1e6);
    expect(header.metadata.get('tokens')).toHaveLength(1e5);
    expect(furthest).toBeLessThan(bytes.length + 2 ** 19);
  });

  it('refuses other versions, the other byte order and other files', () => {
    expect(codes(file())).toEqual(['accepted']);
    expect(codes(file({ version: 1 }))).toEqual(['GGUF_VERSION']);
    expect(codes(file({ version: 4 }))).toEqual(['GGUF_VERSION']);
    expect(codes(file({ version: 0 }))).toEqual(['GGUF_VERSION']);
    for (const version of [0x02000000, 0x03000000]) expect(codes(file({ version }))).toEqual(['GGUF_BIG_ENDIAN']);
    expect(codes(new TextEncoder().encode('{"not": "gguf"}'))).toEqual(['GGUF_MALFORMED']);
    expect(codes(new Uint8Array(0))).toEqual(['GGUF_TRUNCATED']);
  });

  it('bounds every count before it believes it', () => {
    expect(codes(file({ tensorCount: MAX_GGUF_TENSORS + 1 }))).toEqual(['GGUF_LIMIT']);
    expect(codes(file({ tensorCount: MAX_GGUF_TENSORS }))).toEqual(['GGUF_TRUNCATED']);
    expect(codes(file({ metadataCount: MAX_METADATA + 1 }))).toEqual(['GGUF_LIMIT']);
    expect(codes(withValue({ ...list('u8', []), length: MAX_ARRAY_LENGTH + 1 } as TypedValue))).toEqual(['GGUF_LIMIT']);
    expect(codes(withValue({ ...list('string', []), length: MAX_ARRAY_LENGTH } as TypedValue))).toEqual([
      'GGUF_TRUNCATED',
    ]);
    const deep = (depth: number): TypedValue => (depth === 1 ? list('u8', [1]) : list('array', [deep(depth - 1)]));
    expect(codes(withValue(deep(4)))).toEqual(['accepted']);
    expect(codes(withValue(deep(5)))).toEqual(['GGUF_LIMIT']);
    const wide = list(
      'array',
      Array.from({ length: 65_537 }, () => list('u8', [])),
    );
    expect(codes(withValue(wide))).toEqual(['GGUF_LIMIT']);
    expect(codes(file({ tensors: [{ ...f32s('n'.repeat(65), 1) }] }))).toEqual(['GGUF_LIMIT']);
    expect(codes(file({ tensors: [{ ...f32s('x', 1), shape: [1, 1, 1, 1, 1] }] }))).toEqual(['GGUF_LIMIT']);
  });

  it('stops at the header limit, whatever the file holds', () => {
    // An array of texts of 64 KiB without end, made up as it is read.
    const endless = { ...list('string', []), length: 1e6 } as TypedValue;
    const start = writeGguf({ metadata: [['k', endless]], tensors: [] });
    // Counts, key, two types and the length come before the first text.
    const first = 24 + 8 + 1 + 4 + 4 + 8;
    const step = 8 + 65_536;
    let furthest = 0;
    const source = {
      bytes: 2 ** 40,
      read(target: Uint8Array, position: number) {
        furthest = Math.max(furthest, position + target.length);
        target.fill(0x61);
        if (position === 0) target.set(start.subarray(0, first));
        const next = Math.max(0, Math.ceil((position - first - 7) / step));
        for (let at = first + next * step; at < position + target.length; at += step) {
          for (let i = 0; i < 8; i++) if (at + i >= position) target[at + i - position] = i === 2 ? 1 : 0;
        }
      },
    };
    let code = 'accepted';
    try {
      readGgufHeader(source, 'f');
    } catch (error) {
      code = (error as IngotError).code;
    }
    expect(code).toBe('GGUF_LIMIT');
    expect(furthest).toBe(MAX_HEADER_BYTES);
  });

  it('refuses what stands twice', () => {
    const twice: RawGguf['metadata'] = [
      ['k', u32(1)],
      ['k', u32(2)],
    ];
    expect(codes(file({ metadata: twice }))).toEqual(['GGUF_DUPLICATE']);
    expect(codes(file({ tensors: [f32s('x', 1), f32s('x', 1)] }))).toEqual(['GGUF_DUPLICATE']);
  });

  it('refuses what the format does not allow', () => {
    expect(codes(withValue({ type: 'bool', value: 2 }))).toEqual(['GGUF_MALFORMED']);
    for (const alignment of [0, 7, 48, 2 ** 22]) {
      expect(codes(file({ metadata: [['general.alignment', u32(alignment)]] }))).toEqual(['GGUF_MALFORMED']);
    }
    const bad = withValue({ type: 'string', value: 'abc' });
    bad[bad.indexOf(0x61, 40)] = 0xff;
    expect(codes(bad)).toEqual(['GGUF_MALFORMED']);
    const type = file();
    // The type of the only value, behind the length and the text of its key.
    type[24 + 8 + 5] = 13;
    expect(codes(type)).toEqual(['GGUF_MALFORMED']);
  });

  it('reports tensors that cannot be where they are said to be, many at once', () => {
    expect(codes(file({ tensors: [f32s('x', 5, 4), f32s('y', 3, 2 ** 40)] }))).toEqual([
      'GGUF_OFFSETS',
      'GGUF_OFFSETS',
    ]);
    expect(codes(file({ tensors: [f32s('x', 16), f32s('y', 3, 32)] }))).toEqual(['GGUF_OFFSETS']);
    expect(codes(file({ tensors: [f32s('x', 16, 32), f32s('y', 3, 0)] }))).toEqual(['accepted']);
    const typed = (type: number) => ({ ...f32s('x', 16), type });
    expect(codes(file({ tensors: [typed(6), { ...typed(99), name: 'y' }] }))).toEqual([
      'GGUF_TYPE_UNSUPPORTED',
      'GGUF_TYPE_UNSUPPORTED',
    ]);
    expect(codes(file({ tensors: [typed(tensorTypes.Q8_0)] }))).toEqual(['GGUF_SHAPE']);
    for (const shape of [[2 ** 30, 2 ** 30], [0, 2 ** 60], [2 ** 53 - 1]]) {
      expect(codes(file({ tensors: [{ ...f32s('x', 4), shape }] }))[0]).toMatch(/GGUF_SHAPE|GGUF_OFFSETS/);
    }
  });

  it('ends in a diagnostic, whatever was changed or cut', () => {
    const sound = file({
      metadata: [
        ['general.alignment', u32(32)],
        ['texts', list('string', ['one', 'two'])],
        ['nested', list('array', [list('f32', [1, 2]), list('bool', [true])])],
        ['long', { type: 'u64', value: 5 }],
      ],
    });
    const change = fc.tuple(fc.nat(sound.length - 1), fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff)));
    fc.assert(
      fc.property(fc.array(change, { maxLength: 6 }), fc.nat(sound.length), fc.boolean(), (changes, length, cut) => {
        const bytes = sound.slice(0, cut ? length : sound.length);
        for (const [at, byte] of changes) if (at < bytes.length) bytes[at] = byte;
        expect(codes(bytes).length).toBeGreaterThan(0);
      }),
      { numRuns: 2000 },
    );
    for (let length = 0; length < sound.length - 32; length++) {
      expect(codes(sound.subarray(0, length))[0]).toMatch(/^GGUF_(TRUNCATED|OFFSETS)$/);
    }
  });
});

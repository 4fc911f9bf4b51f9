import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { f16Bits, quantizeQ4_0, quantizeQ8_0, randomMxfp4, randomQ4K, randomQ6K } from '../../../test/gguf-quantize.ts';
import { tensorTypes } from '../../../test/gguf.ts';
import { createRng } from '../../core/index.ts';
import { f16BitsToF32Bits } from './float-formats.ts';
import { storageTypeName, storageTypes, type StorageType } from './quant.ts';

const typeOf = (name: keyof typeof tensorTypes): StorageType => storageTypes.get(tensorTypes[name])!;
const widened = (type: StorageType, stored: Uint8Array): Float32Array => {
  const values = new Float32Array((stored.length / type.blockBytes) * type.blockElements);
  type.widen(values, 0, stored);
  return values;
};
const half = (bits: number): number => new Float32Array(Uint32Array.of(f16BitsToF32Bits(bits)).buffer)[0];

/** Bits [from, from + count) of a block read as one long little-endian number: no bytes, no shifts of ours. */
function field(block: Uint8Array, from: number, count: number): number {
  let value = 0;
  for (let bit = count - 1; bit >= 0; bit--) value = 2 * value + ((block[(from + bit) >> 3] >> ((from + bit) & 7)) & 1);
  return value;
}
const twosComplement = (byte: number): number => (byte < 128 ? byte : byte - 256);

/** One element of one block, by its place in the published layout, for comparison with the loops. */
const elementOf: Readonly<Record<string, (block: Uint8Array, i: number) => number>> = {
  Q4_0: (b, i) => half(field(b, 0, 16)) * (field(b, 16 + 8 * (i % 16) + 4 * Math.floor(i / 16), 4) - 8),
  Q8_0: (b, i) => half(field(b, 0, 16)) * twosComplement(field(b, 16 + 8 * i, 8)),
  Q4_K(b, i) {
    const group = Math.floor(i / 32);
    const six = (first: number): number => {
      // Byte `first` + group for the first four; then 4 bits of the third word and 2 left over from the others.
      if (group < 4) return field(b, 32 + 8 * (first + group), 6);
      const low = field(b, 32 + 8 * (8 + group - 4) + first, 4);
      return low + 16 * field(b, 32 + 8 * (first + group - 4) + 6, 2);
    };
    const q = field(b, 128 + 8 * (32 * Math.floor(group / 2) + (i % 32)) + 4 * (group % 2), 4);
    return Math.fround(half(field(b, 0, 16)) * six(0) * q - half(field(b, 16, 16)) * six(4));
  },
  Q6_K(b, i) {
    const [chunk, within] = [Math.floor(i / 128), i % 128];
    const low = field(b, 8 * (64 * chunk + (within % 64)) + 4 * Math.floor(within / 64), 4);
    const high = field(b, 8 * (128 + 32 * chunk + (within % 32)) + 2 * Math.floor(within / 32), 2);
    const scale = twosComplement(field(b, 8 * (192 + Math.floor(i / 16)), 8));
    return half(field(b, 8 * 208, 16)) * scale * (low + 16 * high - 32);
  },
  // OCP Microscaling Formats 1.0: elements of 1 sign, 2 exponent (bias 1) and 1 fraction bit, scales 2^(byte - 127).
  MXFP4(b, i) {
    const at = 8 + 8 * (i % 16) + 4 * Math.floor(i / 16);
    const [fraction, exponent, sign] = [field(b, at, 1), field(b, at + 1, 2), field(b, at + 3, 1)];
    const magnitude = exponent === 0 ? fraction / 2 : (1 + fraction / 2) * 2 ** (exponent - 1);
    const scale = field(b, 0, 8);
    return (sign === 1 ? -magnitude : magnitude) * (scale === 255 ? NaN : 2 ** (scale - 127));
  },
};

describe.each(Object.entries(elementOf))('%s', (name, element) => {
  const type = typeOf(name as keyof typeof tensorTypes);

  it('widens every bit pattern as the layout says', () => {
    const block = fc.uint8Array({ minLength: type.blockBytes, maxLength: type.blockBytes });
    fc.assert(
      fc.property(fc.array(block, { minLength: 1, maxLength: 3 }), (blocks) => {
        const values = widened(type, Uint8Array.from(blocks.flatMap((b) => [...b])));
        const expected = blocks.flatMap((b) => Array.from({ length: type.blockElements }, (_, i) => element(b, i)));
        // A scale may be infinite or no number; −0 and 0 are the same weight.
        expect([...values].map((x) => x + 0)).toEqual(expected.map((x) => Math.fround(x) + 0));
      }),
      { numRuns: 200 },
    );
  });

  it('needs no more than float32', () => {
    // With any half as scale, the value in float64 is a float32: nothing is rounded (Q4_K: but for its one subtraction).
    fc.assert(
      fc.property(fc.nat(0x7bff), fc.nat(0x7bff), fc.nat(), (scale, minimum, seed) => {
        const rng = createRng(seed);
        const block = Uint8Array.from({ length: type.blockBytes }, () => rng.u32());
        const view = new DataView(block.buffer);
        view.setUint16(name === 'Q6_K' ? 208 : 0, scale, true);
        if (name === 'Q4_K') view.setUint16(2, minimum, true);
        for (let i = 0; i < type.blockElements; i++) expect(Math.fround(element(block, i))).toBe(element(block, i));
      }),
      { numRuns: 50 },
    );
  });

  it('is widened to f32, into the right place, whole blocks only', () => {
    expect(type.dtype).toBe('f32');
    const target = new Float32Array(2 * type.blockElements).fill(7);
    type.widen(target, type.blockElements, new Uint8Array(type.blockBytes));
    expect(target.subarray(0, type.blockElements).every((x) => x === 7)).toBe(true);
    expect(target.subarray(type.blockElements).some((x) => x === 7)).toBe(false);
    expect(() => type.widen(target, 0, new Uint8Array(type.blockBytes + 1))).toThrow(/whole blocks/);
    expect(() => type.widen(target, 1, new Uint8Array(2 * type.blockBytes))).toThrow(/whole blocks/);
  });
});

describe('blocks worked by hand', () => {
  it('are these values', () => {
    const scale = [0x00, 0x38]; // 0.5
    const q8 = Uint8Array.from({ length: 34 }, (_, i) => (i < 2 ? scale[i] : i === 2 ? 0x80 : i === 3 ? 0x7f : 0));
    expect([...widened(typeOf('Q8_0'), q8)].slice(0, 3)).toEqual([-64, 63.5, 0]);
    const q4 = Uint8Array.from({ length: 18 }, (_, i) => (i < 2 ? scale[i] : i === 2 ? 0xf0 : 0x88));
    const values = widened(typeOf('Q4_0'), q4);
    expect([values[0], values[16], values[1]]).toEqual([-4, 3.5, 0]);
  });

  it('of the two quantizers come back within half a step', () => {
    const rng = createRng(1);
    const values = Float32Array.from({ length: 32 * 50 }, () => rng.normal());
    for (const [name, stored, levels] of [
      ['Q8_0', quantizeQ8_0(values), 127],
      ['Q4_0', quantizeQ4_0(values), 8],
    ] as const) {
      const back = widened(typeOf(name), stored);
      for (let at = 0; at < values.length; at += 32) {
        const most = values.subarray(at, at + 32).reduce((a, b) => Math.max(a, Math.abs(b)), 0);
        // The scale itself is rounded to 11 bits. Q4_0 has 15 levels above its lowest, so the far end is cut by a step.
        const step = (most / levels) * (1 + 2 ** -10);
        for (let i = at; i < at + 32; i++)
          expect(Math.abs(back[i] - values[i])).toBeLessThanOrEqual((name === 'Q4_0' ? 1.01 : 0.56) * step);
      }
    }
  });

  it('of random bits have about the deviation asked for', () => {
    const rng = createRng(2);
    for (const [name, stored] of [
      ['Q4_K', randomQ4K(25_600, 0.1, rng)],
      ['Q6_K', randomQ6K(25_600, 0.1, rng)],
      ['MXFP4', randomMxfp4(25_600, 0.1, rng)],
    ] as const) {
      const values = widened(typeOf(name), stored);
      const square = values.reduce((sum, x) => sum + x * x, 0) / values.length;
      expect(Math.sqrt(square), name).toBeGreaterThan(0.05);
      expect(Math.sqrt(square), name).toBeLessThan(0.8);
    }
  });

  it('take halves that the test encoder rounds as IEEE 754 does', () => {
    for (let bits = 0; bits < 0x7c00; bits++) expect(f16Bits(half(bits))).toBe(bits);
    expect(f16Bits(-1)).toBe(0xbc00);
  });
});

describe('storage types', () => {
  it('have the block sizes of ggml (GGML_QUANT_SIZES in gguf-py/gguf/constants.py)', () => {
    const sizes = [...storageTypes.values()].map((type) => [type.name, type.blockElements, type.blockBytes]);
    expect(sizes).toEqual([
      ['F32', 1, 4],
      ['F16', 1, 2],
      ['Q4_0', 32, 2 + 16],
      ['Q8_0', 32, 2 + 32],
      ['Q4_K', 256, 2 + 2 + 128 + 12],
      ['Q6_K', 256, 2 + 128 + 64 + 16],
      ['BF16', 1, 2],
      ['MXFP4', 32, 1 + 16],
    ]);
    expect([0, 13, 99].map(storageTypeName)).toEqual(['F32', 'Q5_K', 'type 99']);
  });
});

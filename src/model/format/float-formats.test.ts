import { describe, expect, it } from 'vitest';

import { bf16BitsToF32Bits, f16BitsToF32Bits, f32ToBf16, widenInto } from './float-formats.ts';

const patterns = Uint16Array.from({ length: 0x10000 }, (_, i) => i);
const asBytes = (a: Uint16Array | Float32Array): Uint8Array => new Uint8Array(a.buffer, a.byteOffset, a.byteLength);
const valueOf = (bits: number): number => new Float32Array(Uint32Array.of(bits).buffer)[0];

/** IEEE 754-2019 §3.4 in plain arithmetic: fields to value, for any binary format with a sign bit. */
function ieeeValue(pattern: number, exponentBits: number, fractionBits: number): number {
  const bias = 2 ** (exponentBits - 1) - 1;
  const sign = pattern >> (exponentBits + fractionBits) ? -1 : 1;
  const exponent = (pattern >> fractionBits) & (2 ** exponentBits - 1);
  const fraction = (pattern & (2 ** fractionBits - 1)) / 2 ** fractionBits;
  if (exponent === 2 ** exponentBits - 1) return fraction === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * fraction * 2 ** (1 - bias);
  return sign * (1 + fraction) * 2 ** (exponent - bias);
}

describe('widening to float32', () => {
  it.each([
    ['f16', 5, 10],
    ['bf16', 8, 7],
  ] as const)('is exact for every pattern of %s', (dtype, exponentBits, fractionBits) => {
    const target = new Float32Array(0x10000);
    widenInto(target, 0, asBytes(patterns), dtype);
    for (const pattern of patterns) {
      const wanted = ieeeValue(pattern, exponentBits, fractionBits);
      if (!Object.is(target[pattern], wanted)) expect.unreachable(`${pattern}: ${target[pattern]}, wanted ${wanted}`);
    }
  });

  it('keeps the payload of NaNs', () => {
    expect(f16BitsToF32Bits(0x7e01)).toBe(0x7fc02000);
    expect(f16BitsToF32Bits(0xfc01)).toBe(0xff802000);
    expect(bf16BitsToF32Bits(0xff81)).toBe(0xff810000);
  });

  it('reads elements at odd addresses and writes from the given element on', () => {
    const odd = new Uint8Array(5);
    odd.set([0x80, 0x3f, 0x00, 0xc0], 1);
    const target = new Float32Array(4);
    widenInto(target, 1, odd.subarray(1), 'bf16');
    expect([...target]).toEqual([0, 1, -2, 0]);
    widenInto(target, 3, asBytes(Float32Array.of(0.1)), 'f32');
    expect(target[3]).toBe(Math.fround(0.1));
  });
});

describe('f32ToBf16', () => {
  it('is the inverse of widening on every bf16 value', () => {
    const wide = new Float32Array(0x10000);
    widenInto(wide, 0, asBytes(patterns), 'bf16');
    const back = f32ToBf16(wide);
    for (const pattern of patterns) {
      if (Number.isNaN(wide[pattern])) expect(Number.isNaN(valueOf(bf16BitsToF32Bits(back[pattern])))).toBe(true);
      else if (back[pattern] !== pattern) expect.unreachable(`${pattern} came back as ${back[pattern]}`);
    }
  });

  it('rounds to the nearest, ties to the even pattern', () => {
    // One bf16 step at 1 is 2⁻⁷.
    const step = 2 ** -7;
    const rounded = (x: number): number => valueOf(bf16BitsToF32Bits(f32ToBf16(Float32Array.of(x))[0]));
    expect(rounded(1 + 0.49 * step)).toBe(1);
    expect(rounded(1 + 0.51 * step)).toBe(1 + step);
    expect(rounded(1 + 0.5 * step)).toBe(1);
    expect(rounded(1 + 1.5 * step)).toBe(1 + 2 * step);
    expect(rounded(3.4028234e38)).toBe(Infinity);
  });
});

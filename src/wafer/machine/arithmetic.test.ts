import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  FloatSixteen,
  compute,
  copiedBits,
  dtypeCode,
  fromBits,
  halfToBits,
  opCode,
  roundHalf,
  roundTo,
  toBits,
} from './arithmetic.ts';

const halves = Array.from({ length: 65536 }, (_, bits) => bits).filter((bits) => (bits & 0x7c00) !== 0x7c00);

describe('fp16', () => {
  it('every finite value survives bits and rounding', () => {
    for (const bits of halves) {
      const value = fromBits(dtypeCode.fp16, bits);
      if (halfToBits(value) !== bits || !Object.is(roundHalf(value), value)) throw new Error(`0x${bits.toString(16)}`);
    }
  });

  it('is moved bit by bit as it is by value, NaNs included', () => {
    for (const dtype of [dtypeCode.fp16, dtypeCode.i16])
      for (let bits = 0; bits < 65536; bits++)
        if (copiedBits(dtype, bits) !== toBits(dtype, compute(opCode.mov, dtype, fromBits(dtype, bits), 0, 0)))
          throw new Error(`0x${bits.toString(16)}`);
  });

  it('rounds to the nearest value, ties to the even one', () => {
    const positive = halves.filter((bits) => bits < 0x7bff);
    for (const bits of positive) {
      const low = fromBits(dtypeCode.fp16, bits);
      const high = fromBits(dtypeCode.fp16, bits + 1);
      const middle = (low + high) / 2;
      const even = bits & 1 ? high : low;
      if (roundHalf(middle) !== even || roundHalf(-middle) !== -even)
        throw new Error(`tie above 0x${bits.toString(16)}`);
      const nudge = (high - low) * 2 ** -30;
      if (roundHalf(middle - nudge) !== low || roundHalf(middle + nudge) !== high)
        throw new Error(`near 0x${bits.toString(16)}`);
    }
  });

  it('overflows to infinity from half an ulp above the largest, and keeps the sign of zero', () => {
    expect(roundHalf(65519.99)).toBe(65504);
    expect(roundHalf(65520)).toBe(Infinity);
    expect(roundHalf(-1e300)).toBe(-Infinity);
    expect(roundHalf(NaN)).toBe(NaN);
    expect(roundHalf(-1e-30)).toBe(-0);
  });

  it.skipIf(FloatSixteen === undefined)('is what the typed array of whole vectors loads and stores', () => {
    const words = new Uint16Array(1);
    const values = new (FloatSixteen as NonNullable<typeof FloatSixteen>)(words.buffer);
    const check = (x: number): void => {
      values[0] = x;
      if (words[0] !== halfToBits(roundHalf(x))) throw new Error(`${x}`);
    };
    for (let bits = 0; bits < 0x7c00; bits++) {
      const low = fromBits(dtypeCode.fp16, bits);
      const middle = (low + fromBits(dtypeCode.fp16, bits + 1)) / 2;
      words[0] = bits;
      if (values[0] !== low) throw new Error(`0x${bits.toString(16)}`);
      // On a tie, and so close to one that single precision would call it a tie.
      for (const x of [low, middle, middle * (1 + 2 ** -52), middle * (1 - 2 ** -52)]) {
        check(x);
        check(-x);
      }
    }
    fc.assert(fc.property(fc.double({ noNaN: true }), check));
    fc.assert(fc.property(fc.double({ noNaN: true, min: -70000, max: 70000 }), check));
  });
});

describe('compute', () => {
  it('bits of every type come back', () => {
    fc.assert(
      fc.property(fc.integer(), fc.constantFrom(...Object.values(dtypeCode)), (x, dtype) => {
        const value = roundTo(dtype, x);
        expect(fromBits(dtype, toBits(dtype, value))).toBe(value);
      }),
    );
  });

  it('rounds to the type once per element', () => {
    const { fp16, fp32, i16, i32 } = dtypeCode;
    // 2048 + 1 is a tie in fp16; (1 + 2^-10)^2 = 1 + 2^-9 + 2^-20 keeps its last bit until the sum is rounded.
    expect(compute(opCode.add, fp16, 2048, 1, 0)).toBe(2048);
    expect(compute(opCode.mac, fp16, -1 - 2 ** -9, 1 + 2 ** -10, 1 + 2 ** -10)).toBe(2 ** -20);
    expect(compute(opCode.add, fp32, 2 ** 24, 1, 0)).toBe(2 ** 24);
    expect(compute(opCode.add, i16, 32767, 1, 0)).toBe(-32768);
    expect(compute(opCode.mul, i32, 0x10001, 0x10001, 0)).toBe(0x20001);
    expect(compute(opCode.sub, i32, -(2 ** 31), 1, 0)).toBe(2 ** 31 - 1);
    expect(compute(opCode.max, fp32, -1, 3, 0)).toBe(3);
    expect(compute(opCode.min, fp32, -1, 3, 0)).toBe(-1);
  });
});

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { f32, roundToBf16 } from './arithmetic.ts';
import { parseWeights, weightsText } from './numerics-text.ts';
import { formatOf, heldInCache, heldRow, roundToE4m3, weightFormatNames } from './weight-formats.ts';

/** Values of all e4m3 codes by the formula of OFP8 1.0, section 5: (-1)^S · 2^(E - 7) · (1 + M / 8), or 2^-6 · M / 8 for E = 0. */
const codes = Array.from({ length: 256 }, (_, code) => {
  const [sign, exponent, fraction] = [code >> 7 ? -1 : 1, (code >> 3) & 15, code & 7];
  if (exponent === 15 && fraction === 7) return NaN;
  return sign * (exponent === 0 ? 2 ** -6 * (fraction / 8) : 2 ** (exponent - 7) * (1 + fraction / 8));
});
const finite = codes.filter((x) => !Number.isNaN(x));

const rows = fc
  .array(fc.float({ min: -8, max: 8, noNaN: true }), { minLength: 1, maxLength: 300 })
  .map((values) => Float32Array.from(values));

describe('e4m3', () => {
  it('holds all values of the formula, 448 the largest', () => {
    for (const value of finite) expect(roundToE4m3(value)).toBe(value);
    expect(Math.max(...finite)).toBe(448);
    expect(roundToE4m3(1e9)).toBe(448);
    expect(roundToE4m3(-449)).toBe(-448);
  });
  it('rounds to the nearest of them, and between two to the even code', () => {
    const positive = finite.filter((x) => x >= 0).sort((a, b) => a - b);
    const unique = [...new Set(positive)];
    for (const [i, low] of unique.slice(0, -1).entries()) {
      const high = unique[i + 1];
      // Codes of positive values count up with them.
      expect(roundToE4m3((low + high) / 2)).toBe(i % 2 === 0 ? low : high);
      expect(roundToE4m3(low + 0.51 * (high - low))).toBe(high);
      expect(roundToE4m3(-(low + 0.49 * (high - low)))).toBe(-low);
    }
  });
});

describe('held rows', () => {
  it('are off by half a step of their group at most', () =>
    fc.assert(
      fc.property(rows, (row) => {
        for (const format of ['int8', 'int4-32', 'int4-64', 'int4-128'] as const) {
          const { group = 'row' } = formatOf(format);
          const size = group === 'row' ? row.length : group;
          const held = heldRow(format, row);
          for (let from = 0; from < row.length; from += size) {
            const part = row.subarray(from, from + size);
            const most = part.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
            const step = format === 'int8' ? f32(most / 127) : roundToBf16(f32(most / 7));
            for (const [i, x] of part.entries())
              expect(Math.abs(held[from + i] - x)).toBeLessThanOrEqual(step * 0.50001 + 2 ** -100);
          }
        }
      }),
    ));
  it('are off by 2^-4 of a value in fp8, or by half of the smallest step', () =>
    fc.assert(
      fc.property(rows, (row) => {
        const scale = row.reduce((a, b) => Math.max(a, Math.abs(b)), 0) / 448;
        for (const [i, x] of heldRow('fp8', row).entries())
          expect(Math.abs(x - row[i])).toBeLessThanOrEqual(
            Math.max(Math.abs(row[i]) * 2 ** -4, scale * 2 ** -10) * 1.00001 + 2 ** -100,
          );
      }),
    ));
  it('stay as they are when they are held again, and zeros stay zeros', () => {
    for (const format of weightFormatNames) {
      expect([...heldRow(format, new Float32Array(5))].map(Math.abs)).toEqual([0, 0, 0, 0, 0]);
      const held = heldRow(format, Float32Array.of(1, -0.5, 0.25, 3, -2));
      for (const [i, x] of heldRow(format, held).entries()) expect(x).toBeCloseTo(held[i], 6);
    }
  });
  it('stay finite in a cache of halves', () => {
    expect([...heldInCache('fp16', Float32Array.of(1e6, -1e6, 1.0001))]).toEqual([65_504, -65_504, 1]);
    expect([...heldInCache('int8', Float32Array.of(127, -1.4))]).toEqual([127, -1]);
  });
});

describe('formats as text', () => {
  it('are read as they are written', () => {
    expect(parseWeights('int4')).toEqual({ weights: 'int4-32' });
    expect(parseWeights('head=bf16')).toEqual({ classes: { head: 'bf16' } });
    for (const text of ['int8', 'int8,attention=fp8,head=bf16', 'int4-64,embedding=int8'])
      expect(weightsText(parseWeights(text))).toBe(text);
  });
  it.each([
    ['fp9', 'did you mean "fp8"?'],
    ['int8,heads=bf16', 'did you mean "head"?'],
    ['int8,int4', 'for example'],
    ['head=bf16,head=f16', 'for example'],
    ['', 'for example'],
  ])('refuses %j', (text, suggestion) => {
    let thrown: unknown;
    try {
      parseWeights(text);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({
      code: 'WEIGHTS_UNKNOWN',
      diagnostics: [{ suggestion: expect.stringContaining(suggestion) }],
    });
  });
});

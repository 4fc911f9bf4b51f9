import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { f32ToBf16, widenInto } from '../model/index.ts';
import {
  exp32,
  f32,
  geluTanh32,
  quantizeRow,
  roundToBf16,
  roundToF16,
  silu32,
  smallestScaled,
  softcap32,
  tanh32,
} from './arithmetic.ts';

const finite = fc.float({ noNaN: true, noDefaultInfinity: true });

describe('exp32', () => {
  it('is within 2e-7 of exp on [-87, 88]', () => {
    let worst = 0;
    for (let i = 0; i <= 200_000; i++) {
      const x = f32(-87 + (175 * i) / 200_000);
      worst = Math.max(worst, Math.abs(exp32(x) / Math.exp(x) - 1));
    }
    expect(worst).toBeLessThan(2e-7);
    // Not trivially exact: fp32 has a spacing of 1.2e-7.
    expect(worst).toBeGreaterThan(5e-8);
  });

  it('is 0 below, infinite above, 1 at 0', () => {
    expect([exp32(-87.5), exp32(-Infinity), exp32(88.5), exp32(0)]).toEqual([0, 0, Infinity, 1]);
  });

  it('gives fp32 values', () => {
    fc.assert(fc.property(finite, (x) => exp32(x) === f32(exp32(x))));
  });
});

describe('activations', () => {
  it('follow their formulas', () => {
    for (let x = -20; x <= 20; x += 0.0625) {
      const silu = x / (1 + Math.exp(-x));
      const u = Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3);
      const gelu = (x * (1 + Math.tanh(u))) / 2;
      expect(Math.abs(silu32(x) - silu)).toBeLessThan(1e-6 * Math.max(1, Math.abs(x)));
      expect(Math.abs(geluTanh32(f32(x)) - gelu)).toBeLessThan(2e-6 * Math.max(1, Math.abs(x)));
    }
  });
});

describe('tanh32', () => {
  it('is within 3e-7 of tanh, and odd', () => {
    let worst = 0;
    for (let i = 1; i <= 100_000; i++) {
      const x = f32((12 * i) / 100_000);
      worst = Math.max(worst, Math.abs(tanh32(x) / Math.tanh(x) - 1));
      expect(tanh32(-x)).toBe(-tanh32(x));
    }
    expect(worst).toBeLessThan(3e-7);
    expect([tanh32(0), tanh32(100), tanh32(-Infinity)]).toEqual([0, 1, -1]);
  });

  it('bounds by the cap, and leaves small values nearly alone', () => {
    expect([softcap32(1e6, 50), softcap32(-1e6, 50)]).toEqual([50, -50]);
    expect(softcap32(0.5, 50)).toBeCloseTo(50 * Math.tanh(0.01), 6);
  });
});

describe('rounding', () => {
  it('to bfloat16 equals the rounding of the checkpoint writer', () => {
    fc.assert(
      fc.property(finite, (x) => {
        const widened = new Float32Array(1);
        widenInto(widened, 0, new Uint8Array(f32ToBf16(Float32Array.of(x)).buffer), 'bf16');
        expect(roundToBf16(x)).toBe(widened[0]);
      }),
    );
  });

  it('to half keeps every half, and takes the nearer one between, the even one at the middle', () => {
    const halves = new Float32Array(0x7c00);
    widenInto(halves, 0, new Uint8Array(Uint16Array.from(halves, (_, i) => i).buffer), 'f16');
    for (let i = 0; i + 1 < halves.length; i++) {
      const [low, high] = [halves[i], halves[i + 1]];
      const middle = (low + high) / 2;
      const even = i % 2 === 0 ? low : high;
      // A fourth of the way is exact in fp32 as well.
      const found = [low, -low, middle, (low + middle) / 2, (middle + high) / 2].map(roundToF16);
      if (found.join() !== [low, -low, even, low, high].join()) expect(found).toEqual([low, -low, even, low, high]);
    }
    expect([roundToF16(65519), roundToF16(65520), roundToF16(-1e9)]).toEqual([65504, Infinity, -Infinity]);
  });
});

describe('quantizeRow', () => {
  it('is within half a step, and reaches 127', () => {
    fc.assert(
      fc.property(fc.float32Array({ noNaN: true, noDefaultInfinity: true, minLength: 1, maxLength: 40 }), (row) => {
        const { q, scale } = quantizeRow(row);
        const most = row.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
        if (most < smallestScaled) {
          expect([scale, ...q.map(Math.abs)]).toEqual([0, ...row.map(() => 0)]);
          return;
        }
        expect(q.reduce((a, b) => Math.max(a, Math.abs(b)), 0)).toBe(127);
        // Half a step, and the rounding of the scale and of its inverse.
        for (const [i, x] of row.entries()) expect(Math.abs(q[i] * scale - x)).toBeLessThanOrEqual(scale * 0.50002);
      }),
    );
  });
});

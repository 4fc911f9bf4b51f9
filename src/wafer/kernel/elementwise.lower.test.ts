// Kernels on vectors that lie cut along an axis: values against plain arithmetic, cycles against the closed form.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { collectives } from '../index.ts';
import { lowerAdd } from './add.ts';
import { lowerGlu } from './glu.ts';
import { along } from './kernel.ts';
import { expVectors, held } from './lower/exponential.ts';
import { lowerRmsNorm } from './rmsnorm.ts';
import { lowerRope } from './rope.ts';
import { lowerSoftmax } from './softmax.ts';
import { allReduceBeyond, normals, runLowered, wse2 } from './testing/run-lowered.ts';

const shapes = fc.record({
  width: fc.integer({ min: 1, max: 9 }),
  height: fc.integer({ min: 1, max: 9 }),
  axis: fc.constantFrom('x', 'y'),
  type: fc.constantFrom('fp32', 'fp16'),
  size: fc.integer({ min: 1, max: 150 }),
  seed: fc.integer({ min: 0, max: 1000 }),
});
type Drawn = typeof shapes extends fc.Arbitrary<infer T> ? T : never;
const runs = { numRuns: 25 };

const vector = ({ size, type, seed }: Drawn, label: number): Float64Array =>
  normals(size, seed + 10_000 * label).map((v) => held(v, type));
/** Half a unit in the last place. */
const unit = { fp32: 2 ** -24, fp16: 2 ** -11 } as const;
/** Below this fp16 loses bits. */
const smallest = { fp32: 1e-37, fp16: 2 ** -14 } as const;

/** @param factor what an error below the normal numbers is multiplied by later */
function close(
  values: Float64Array,
  expected: readonly number[],
  type: 'fp32' | 'fp16',
  units: number,
  factor: (i: number) => number = () => 1,
): void {
  expect(values).toHaveLength(expected.length);
  values.forEach((v, i) =>
    expect(Math.abs(v - expected[i])).toBeLessThanOrEqual(
      units * unit[type] * Math.max(Math.abs(expected[i]), smallest[type] * factor(i)),
    ),
  );
}

describe('add', () => {
  it('rounds each sum once, and takes exactly its closed form', () => {
    fc.assert(
      fc.property(shapes, (shape) => {
        const [a, b] = [vector(shape, 1), vector(shape, 2)];
        const { values, cycles, priced } = runLowered(lowerAdd(shape, wse2), { a, b });
        expect([...values]).toEqual(Array.from(a, (v, i) => held(v + b[i], shape.type)));
        expect(cycles).toBe(wse2.taskStart + priced);
      }),
      runs,
    );
  });
});

describe('RoPE', () => {
  it('turns pairs by their angles, and takes exactly its closed form', () => {
    fc.assert(
      fc.property(shapes, (shape) => {
        const [a, b, angles] = [vector(shape, 1), vector(shape, 2), vector(shape, 3)];
        const cos = angles.map((v) => held(Math.cos(v), shape.type));
        const sin = angles.map((v) => held(Math.sin(v), shape.type));
        const kernel = lowerRope({ ...shape, pairs: shape.size }, wse2);
        const { values, cycles, priced } = runLowered(kernel, { a, b, cos, sin });
        const expected = [
          ...Array.from(a, (v, i) => v * cos[i] - b[i] * sin[i]),
          ...Array.from(b, (v, i) => v * cos[i] + a[i] * sin[i]),
        ];
        // Three roundings of terms of at most |a| + |b|.
        values.forEach((v, i) => {
          const magnitude = Math.abs(a[i % shape.size]) + Math.abs(b[i % shape.size]);
          expect(Math.abs(v - expected[i])).toBeLessThanOrEqual(3 * unit[shape.type] * magnitude);
        });
        expect(cycles).toBe(wse2.taskStart + priced);
      }),
      runs,
    );
  });
});

describe('gated unit', () => {
  it('is silu(gate) · up; cycles are the closed form and three for each division', () => {
    fc.assert(
      fc.property(shapes, (shape) => {
        // In fp16 exp(11) is near the largest number; see below for gates beyond.
        const gate = vector(shape, 1).map((v) => held(Math.max(-11, 3 * v), shape.type));
        const up = vector(shape, 2);
        const { values, cycles, priced } = runLowered(lowerGlu(shape, wse2), { gate, up });
        const expected = Array.from(gate, (x, i) => (x / (1 + Math.exp(-x))) * up[i]);
        // The exponential's units and four roundings; products below the normal numbers lose more.
        close(values, expected, shape.type, 12, (i) => 1 + Math.abs(up[i]));
        // Two loads and a store around a division, which the published "about 50" does not tell apart.
        const divisions = Math.ceil(shape.size / along(shape.axis, shape));
        expect(cycles - priced).toBe(wse2.taskStart + 3 * divisions);
      }),
      runs,
    );
  });
});

describe('gated unit with GELU', () => {
  it('is the tanh form of GELU of gate, times up; cycles are the closed form and three for each division', () => {
    fc.assert(
      fc.property(shapes, (shape) => {
        const outer = 2 * Math.sqrt(2 / Math.PI);
        const argument = (x: number): number => outer * (x + 0.044715 * x ** 3);
        // Below -2.9 the exponential is beyond what fp16 holds; see below.
        const gate = vector(shape, 1).map((v) => held(Math.max(-2.9, 1.5 * v), shape.type));
        const up = vector(shape, 2);
        const { values, cycles, priced } = runLowered(lowerGlu({ ...shape, activation: 'gelu-tanh' }, wse2), {
          gate,
          up,
        });
        expect(values).toHaveLength(shape.size);
        values.forEach((v, i) => {
          const expected = (0.5 * gate[i] * (1 + Math.tanh(argument(gate[i]) / 2)) + 0) * up[i];
          // The argument errs by three units, which is that many times the argument in its exponential.
          const units = 16 + 4 * Math.abs(argument(gate[i]));
          const scale = Math.max(Math.abs(expected), smallest[shape.type] * (1 + Math.abs(up[i])));
          expect(Math.abs(v - expected)).toBeLessThanOrEqual(units * unit[shape.type] * scale);
        });
        const divisions = Math.ceil(shape.size / along(shape.axis, shape));
        expect(cycles - priced).toBe(wse2.taskStart + 3 * divisions);
      }),
      runs,
    );
  });
});

describe('gated unit far from zero', () => {
  it('goes to 0 and to gate · up', () => {
    const spec = { width: 1, height: 1, axis: 'x', type: 'fp16', size: 3 } as const;
    const { values } = runLowered(lowerGlu(spec, wse2), { gate: [-12, -500, 500], up: [1, 1, 2] });
    // silu(-12) is -7e-5; the clamped exponential gives -12 / exp(11).
    expect(values[0]).toBeCloseTo(0, 3);
    expect(values[1]).toBeCloseTo(0, 1);
    expect(values[2]).toBe(1000);
    const gelu = runLowered(lowerGlu({ ...spec, activation: 'gelu-tanh' }, wse2), {
      gate: [-12, -500, 500],
      up: [1, 1, 2],
    });
    expect(gelu.values[0]).toBeCloseTo(0, 3);
    expect(gelu.values[1]).toBeCloseTo(0, 1);
    expect(gelu.values[2]).toBe(1000);
  });
});

describe.each(['two-level', 'chain'])('RMS norm by %s', (id) => {
  it('is x / rms(x) · w; cycles are the closed form, and one when the sum meets x in its bank', () => {
    fc.assert(
      fc.property(shapes, fc.integer({ min: 1, max: 4 }), (shape, group) => {
        const { type, size, axis } = shape;
        const [x, w] = [vector(shape, 1), vector(shape, 2)];
        const eps = 1e-5;
        const spec = { ...shape, eps, collective: collectives[id], group };
        const { values, cycles, priced } = runLowered(lowerRmsNorm(spec, wse2), { x, w });
        const mean = x.reduce((sum, v) => sum + v * v, 0) / size;
        const expected = Array.from(x, (v, i) => (v / Math.sqrt(mean + eps)) * w[i]);
        const parts = along(axis, shape);
        const tile = Math.ceil(size / parts);
        // Half of the sum's relative error (all terms are positive), and of 1 / size, eps and six roundings.
        close(values, expected, type, (tile + parts) / 2 + 10);
        const words = type === 'fp16' ? Math.ceil(tile / 2) : tile;
        const line = { parts, values: 1, type, group };
        const more = cycles - priced - wse2.taskStart - allReduceBeyond(collectives[id], line);
        expect(more).toBe(Math.floor(words / wse2.sramBanks));
      }),
      runs,
    );
  });
});

describe.each(['two-level', 'chain'])('softmax by %s', (id) => {
  it('is exp(x − max) over its sum; cycles are the closed form, three for the division, and banks', () => {
    fc.assert(
      fc.property(shapes, fc.integer({ min: 1, max: 4 }), (shape, group) => {
        const { type, axis } = shape;
        const parts = along(axis, shape);
        // Every PE has to hold something.
        const tile = Math.ceil(shape.size / parts);
        const size = Math.max(shape.size, (parts - 1) * tile + 1);
        const x = vector({ ...shape, size }, 1);
        const spec = { ...shape, size, collective: collectives[id], group };
        const { values, cycles, priced } = runLowered(lowerSoftmax(spec, wse2), { x });
        const most = Math.max(...x);
        const sum = x.reduce((all, v) => all + Math.exp(v - most), 0);
        const expected = Array.from(x, (v) => Math.exp(v - most) / sum);
        close(values, expected, type, (tile + parts) / 2 + 16);
        const line = { parts, values: 1, type, group };
        const beyond = wse2.taskStart + 2 * allReduceBeyond(collectives[id], line);
        const words = type === 'fp16' ? Math.ceil(tile / 2) : tile;
        // The largest meets x, and the sum e, in its bank every eighth word.
        const banks = 2 * Math.ceil(words / wse2.sramBanks);
        const more = cycles - priced - beyond;
        // A last PE with fewer elements is ready before the others, and a chain that begins there with it.
        const fewer = (parts * Math.ceil(size / parts) - size) * (expVectors + 4);
        expect(more).toBeGreaterThanOrEqual(-2 - fewer);
        // Besides, a chain's end may find its operands in one bank, once for each of the two sums.
        expect(more).toBeLessThanOrEqual(3 + banks + 4);
      }),
      runs,
    );
  });

  it('refuses a vector that does not reach the last PE', () => {
    const spec = {
      width: 6,
      height: 1,
      axis: 'x',
      type: 'fp32',
      size: 5,
      collective: collectives[id],
      group: 2,
    } as const;
    expect(() => lowerSoftmax(spec, wse2)).toThrow('leave some of 6 PEs empty');
  });
});

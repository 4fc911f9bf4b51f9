import { describe, expect, it } from 'vitest';
import { interpret } from '../../machine/index.ts';
import { normals, wse2 } from '../testing/run-lowered.ts';
import { expVectors, exponential, exponentialMemory, held } from './exponential.ts';
import { whole } from './lowering.ts';
import { everywhere, sequence } from './sequence.ts';

/** exp(sign · x) as the PE computes it. */
function computed(values: readonly number[], sign: 1 | -1, type: 'fp32' | 'fp16'): Float64Array {
  const mesh = { width: 1, height: 1 };
  const length = values.length;
  const names = ['x', 'e', 'e bits', 'n', 'n bits', 'r'];
  const program = sequence(
    mesh,
    [{ name: 'x', dtype: type, length, bank: 0 }, ...exponentialMemory(length, type)],
    [everywhere(mesh, whole(length, ...names), exponential('x', sign, type))],
    wse2,
  );
  return interpret(program, wse2, { inputs: [{ x: 0, y: 0, object: 'x', values }] }).read(0, 0, 'e');
}

describe.each(['fp32', 'fp16'] as const)('exponential in %s', (type) => {
  const [lowest, highest] = type === 'fp32' ? [-87, 88] : [-9.6875, 11];
  const spread = Array.from({ length: 700 }, (_, i) => held(lowest + ((highest - lowest) * i) / 699, type));
  const arguments_ = [...spread, 0, ...Array.from(normals(200, 1), (v) => held(v, type))];

  it.each([1, -1] as const)('is exp(%i x) within a few units in the last place', (sign) => {
    const found = computed(
      arguments_.map((v) => sign * v),
      sign,
      type,
    );
    // Measured: 1.7 units of fp32 and 2.5 of fp16, rounding of the constants included.
    const bound = type === 'fp32' ? 2 * 2 ** -23 : 3 * 2 ** -10;
    arguments_.forEach((v, i) => expect(Math.abs(found[i] / Math.exp(v) - 1), `exp(${v})`).toBeLessThan(bound));
    expect(found[spread.length]).toBe(1);
  });

  it('stays finite and positive past its range', () => {
    const [below, above] = computed([-60_000, 60_000], 1, type);
    expect(below).toBeGreaterThan(0);
    expect(below).toBeLessThan(1e-4);
    expect(above).toBeGreaterThan(5e4);
    expect(Number.isFinite(above)).toBe(true);
  });

  it('takes as many instructions as the closed form counts', () =>
    expect(exponential('x', 1, type)).toHaveLength(expVectors));
});

import { describe, expect, it } from 'vitest';
import { priceSequence } from '../../sim/index.ts';
import { simulate } from '../../sim/cycle/index.ts';
import { wse2 } from './testing/run-lowered.ts';
import { lowerings } from './lowerings.ts';
import type { KernelPoint, Lowering } from './lowerings.ts';

const pointOf = (lowering: Lowering, width: number, height: number, type: 'fp32' | 'fp16'): KernelPoint => ({
  width,
  height,
  type,
  seed: 7,
  sizes: Object.fromEntries(
    Object.entries(lowering.sizes).map(([name, size]) => [name, size.otherwise({ width, height })]),
  ),
});

describe.each(Object.values(lowerings))('$id', (lowering) => {
  it.each(['fp32', 'fp16'] as const)('runs with its own sizes and tensors, %s, every value right', (type) => {
    for (const [width, height] of lowering.id === 'gemm'
      ? [[4, 4]]
      : [
          [5, 4],
          [1, 3],
        ]) {
      const { program, phases, inputs, check } = lowering.build(pointOf(lowering, width, height, type), wse2);
      const run = simulate(program, wse2, { inputs: inputs() });
      const { checked, correct } = check(run);
      expect(checked).toBeGreaterThan(0);
      expect(correct).toBe(checked);
      expect(priceSequence(phases, wse2)).toBeGreaterThan(0);
    }
  });

  it('finds a wrong value', () => {
    const { program, inputs, check } = lowering.build(pointOf(lowering, 4, 4, 'fp32'), wse2);
    const run = simulate(program, wse2, { inputs: inputs() });
    const { checked, correct } = check({ read: (x, y, object) => run.read(x, y, object).map((v) => v + 1) });
    expect(correct).toBeLessThan(checked);
  });

  it('is listed under its own id', () => expect(lowerings[lowering.id]).toBe(lowering));
});

import { describe, expect, it } from 'vitest';

import { findWafer, resolveWafer } from '../../spec/index.ts';
import { simulate } from '../../sim/index.ts';
import type { MemoryReader } from '../../wafer/machine/index.ts';
import type { Point } from './point.ts';
import { sizesOf, targets } from './target.ts';

const wafer = resolveWafer(findWafer('wse2'));
const mesh = { width: 4, height: 4 };

const pointOf = (id: string, type: Point['type'], reduce?: string): Point => ({
  kernel: id,
  ...mesh,
  type,
  wafer: 'wse2',
  seed: 3,
  sizes: Object.fromEntries(
    Object.keys(targets[id].sizes).map((name) => [name, sizesOf(targets[id], {}, mesh)[name] ?? 2]),
  ),
  ...(reduce === undefined ? {} : { reduce }),
});

/** The same memory with one element of each object of every PE far off. */
const spoilt = (memory: MemoryReader): MemoryReader => ({
  read: (x, y, object) => memory.read(x, y, object).map((value, i) => (i === 0 ? value + 1000 : value)),
});

describe.each(Object.values(targets).map(({ id }) => id))('%s', (id) => {
  const reduces = targets[id].reduces ?? [undefined];
  const types = targets[id].types ?? (['fp16', 'fp32'] as const);
  it.each(reduces.flatMap((reduce) => types.map((type) => [type, reduce] as const)))(
    'in %s, sums by %s: the check accepts what a run leaves and refuses what is wrong',
    (type, reduce) => {
      const prepared = targets[id].prepare(pointOf(id, type, reduce), wafer);
      const run = simulate(prepared.program, wafer, { inputs: prepared.inputs() });
      const { checked, correct } = prepared.check(run);
      expect(checked).toBeGreaterThan(0);
      expect(correct).toBe(checked);
      expect(prepared.check(spoilt(run)).correct).toBeLessThan(checked);
    },
  );
});

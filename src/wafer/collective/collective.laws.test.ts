// Laws of the closed forms: the counts that a collective states against the formulas of its source.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findWafer, resolveWafer } from '../../spec/index.ts';
import { collectiveCycles } from '../../sim/index.ts';
import { collectives } from './index.ts';

const wafer = resolveWafer(findWafer('wse2'));
const ramp = wafer.ramp;
const line = fc.record({
  parts: fc.integer({ min: 2, max: 1000 }),
  values: fc.integer({ min: 1, max: 5000 }),
  group: fc.integer({ min: 1, max: 64 }),
});

describe.each(Object.values(collectives))('$id', (collective) => {
  const isSliced = !['broadcast', 'reduce', 'all-reduce'].includes(collective.does);

  it('costs nothing on one PE and never less than its payload and its reach', () => {
    expect(collectiveCycles(collective, { parts: 1, values: 9, type: 'fp32', group: 1 }, wafer)).toBe(0);
    fc.assert(
      fc.property(line, (shape) => {
        const cost = collectiveCycles(collective, { ...shape, type: 'fp32' }, wafer);
        // Where every PE has or ends with a slice, that is missing from what passes; two streams may share the line.
        const least = isSliced ? shape.values / 2 : shape.values + Math.floor(shape.parts / 2) * wafer.hop;
        expect(cost).toBeGreaterThanOrEqual(least);
      }),
    );
  });

  // A task that keeps the two values of its first wavelet stores them one by one, so short messages gain nothing there.
  it.skipIf(['two-level', 'pipeline'].includes(collective.id))(
    'costs no more with fp16, two values in a wavelet',
    () => {
      fc.assert(
        fc.property(line, (shape) => {
          const [half, full] = (['fp16', 'fp32'] as const).map((type) =>
            collectiveCycles(collective, { ...shape, type }, wafer),
          );
          expect(half).toBeLessThanOrEqual(full);
        }),
      );
    },
  );

  it('names itself and a number of colors that a wafer can route', () => {
    expect(collectives[collective.id]).toBe(collective);
    expect(collective.colors).toBeLessThanOrEqual(wafer.colors - wafer.reservedColors);
  });
});

describe('closed forms of the sources', () => {
  it('chain: B + (2 T_R + 2)(P - 1)', () => {
    fc.assert(
      fc.property(line, ({ parts, values, group }) => {
        const cost = collectiveCycles(collectives['chain'], { parts, values, type: 'fp32', group }, wafer);
        expect(cost).toBe(values + (2 * ramp + 2) * (parts - 1));
      }),
    );
  });

  it('two-phase: 2 B + (2 T_R + 2)(s - 1) + (P / s - 1)(s + 2 T_R + 1)', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 40 }), fc.integer({ min: 2, max: 40 }), fc.nat(5000), (s, groups, b) => {
        const shape = { parts: s * groups, values: b, type: 'fp32', group: s } as const;
        const cost = collectiveCycles(collectives['two-phase'], shape, wafer);
        expect(cost).toBe(2 * b + (2 * ramp + 2) * (s - 1) + (groups - 1) * (s + 2 * ramp + 1));
      }),
    );
  });

  it('two-level: about half the line in hops and as many stages as its two trees are deep', () => {
    const shape = { parts: 420, values: 1, type: 'fp16', group: 21 } as const;
    const phases = collectives['two-level'].phases(shape);
    // Groups of 21: 10 stages of one hop. 20 roots: the root is number 10, so 10 stages of 21 hops. All but the
    // last stage of a level end in a relay's task.
    expect(phases.map(({ hops, tasks }) => ({ hops, tasks }))).toEqual([
      { hops: 10, tasks: 9 },
      { hops: 210, tasks: 9 },
    ]);
  });
});

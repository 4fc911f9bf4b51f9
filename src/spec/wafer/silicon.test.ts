import { describe, expect, it } from 'vitest';
import type { Fact } from '../fact.ts';
import { findWafer, wafers } from './index.ts';
import { gpuPartArea, silicon } from './silicon.ts';

describe.each(Object.keys(wafers))('silicon of %s', (id) => {
  const facts = silicon[id];
  const wafer = findWafer(id);

  it.each([...(Object.entries(facts) as [string, Fact][]), ['gpuPartArea', gpuPartArea] as const])(
    '%s has a value, unit, basis and source',
    (_, fact) => {
      expect(fact.value).toBeGreaterThan(0);
      for (const text of [fact.unit, fact.basis, fact.source]) expect(text.trim()).not.toBe('');
      for (const other of fact.disputed ?? []) expect(other.value).not.toBe(fact.value);
    },
  );

  it('is whole dies that hold the fabric', () => {
    const { physWidth, physHeight, dieColumns, dieRows, madePes } = facts;
    expect(physWidth.value % dieColumns.value).toBe(0);
    expect(physHeight.value % dieRows.value).toBe(0);
    expect(physWidth.value).toBeGreaterThanOrEqual(wafer.fabricWidth.value);
    expect(physHeight.value).toBeGreaterThanOrEqual(wafer.fabricHeight.value);
    // Counts of PEs are given to three digits.
    expect((physWidth.value * physHeight.value) / madePes.value).toBeCloseTo(1, 3);
  });

  it('has no more PEs than silicon', () => {
    expect(facts.madePes.value * facts.peArea.value).toBeLessThanOrEqual(facts.waferArea.value * (1 + 1e-12));
  });
});

/** Every rectangle of 7 x 12 equal dies that holds the fabric. */
function* rectangles(id: string): Generator<{ width: number; height: number }> {
  const { fabricWidth, fabricHeight } = findWafer(id);
  for (let width = 7 * Math.ceil(fabricWidth.value / 7); width < 1500; width += 7)
    for (let height = 12 * Math.ceil(fabricHeight.value / 12); height < 1500; height += 12) yield { width, height };
}

describe('assumed rectangles follow the rule that their basis states', () => {
  it('WSE-3: nearest to the count of PEs made', () => {
    const { madePes, physWidth, physHeight } = silicon['wse3'];
    const miss = ({ width, height }: { width: number; height: number }): number =>
      Math.abs(width * height - madePes.value);
    const nearest = [...rectangles('wse3')].sort((a, b) => miss(a) - miss(b))[0];
    expect(nearest).toEqual({ width: physWidth.value, height: physHeight.value });
  });

  it('WSE-2: the share of spares of WSE-3, in whole PEs per die', () => {
    const { physWidth, physHeight } = silicon['wse2'];
    const [two, three] = [findWafer('wse2'), findWafer('wse3')];
    const across = (two.fabricWidth.value * silicon['wse3'].physWidth.value) / three.fabricWidth.value;
    const down = (two.fabricHeight.value * silicon['wse3'].physHeight.value) / three.fabricHeight.value;
    expect(physWidth.value).toBe(7 * Math.ceil(across / 7));
    expect(physHeight.value).toBe(12 * Math.ceil(down / 12));
  });

  it('WSE-1: the only layout of 4,800 PEs per die that holds the fabric', () => {
    const { physWidth, physHeight } = silicon['wse1'];
    const layouts = [...rectangles('wse1')].filter(({ width, height }) => width * height === 84 * 4800);
    expect(layouts).toEqual([{ width: physWidth.value, height: physHeight.value }]);
  });
});

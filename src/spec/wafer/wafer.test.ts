import { describe, expect, it } from 'vitest';
import { IngotError } from '../../core/index.ts';
import type { Fact } from '../fact.ts';
import { findWafer, wafers } from './index.ts';
import { resolveWafer, type WaferFacts } from './wafer-facts.ts';

const factsOf = (wafer: WaferFacts): [string, Fact][] =>
  Object.entries(wafer).filter((entry): entry is [string, Fact] => typeof entry[1] !== 'string');

describe.each(Object.entries(wafers))('%s', (id, wafer) => {
  it('is registered under its id', () => expect(wafer.id).toBe(id));

  it.each(factsOf(wafer))('%s has a value, unit, basis and source', (_, fact) => {
    expect(fact.value).toBeGreaterThan(0);
    expect(Number.isFinite(fact.value)).toBe(true);
    for (const text of [fact.unit, fact.basis, fact.source]) expect(text.trim()).not.toBe('');
    for (const other of fact.disputed ?? []) {
      expect(other.source.trim()).not.toBe('');
      expect(other.value).not.toBe(fact.value);
    }
  });

  it('leaves the program inside the fabric, by the rule published for WSE-2: 7 columns and 2 rows', () => {
    expect(wafer.fabricWidth.value - wafer.programWidth.value).toBe(7);
    expect(wafer.fabricHeight.value - wafer.programHeight.value).toBe(2);
  });

  it('has no more routers in its fabric than advertised PEs', () => {
    expect(wafer.fabricWidth.value * wafer.fabricHeight.value).toBeLessThanOrEqual(wafer.advertisedPes.value);
  });

  it('reserves less than a PE holds, in memory and in colours', () => {
    expect(wafer.reservedSram.value).toBeLessThan(wafer.sramPerPe.value);
    expect(wafer.reservedColors.value).toBeLessThan(wafer.colors.value);
    expect(wafer.sramPerPe.value % wafer.sramBanks.value).toBe(0);
  });

  it('feeds a fused multiply-add per cycle and lane in fp32 (4 B x 2 read, 4 B written)', () => {
    expect(wafer.sramReadPerCycle.value).toBeGreaterThanOrEqual(8 * wafer.fp32Lanes.value);
    expect(wafer.sramWritePerCycle.value).toBeGreaterThanOrEqual(4 * wafer.fp32Lanes.value);
  });

  it('states the published range of clocks where it does not use it', () => {
    const clocks = [wafer.clock.value, ...(wafer.clock.disputed ?? []).map((other) => other.value)];
    expect(clocks.length).toBeGreaterThan(1);
    for (const clock of clocks) {
      // One that was only announced claims more.
      expect(clock).toBeGreaterThanOrEqual(0.85e9);
      expect(clock).toBeLessThanOrEqual(wafer.caution === undefined ? 1.1e9 : 2.2e9);
    }
  });

  it('resolves every fact to the number it states', () => {
    const resolved = resolveWafer(wafer) as unknown as Record<string, number>;
    for (const [key, fact] of factsOf(wafer)) {
      if (key !== 'advertisedPes') expect(resolved[key]).toBe(fact.value);
    }
  });
});

describe('the generations', () => {
  it('agree with the published capacity: 745,500 PEs of WSE-2 hold 36.6 GB', () => {
    const { programWidth, programHeight, sramPerPe } = findWafer('wse2');
    expect(programWidth.value * programHeight.value).toBe(745_500);
    expect((programWidth.value * programHeight.value * sramPerPe.value) / 1e9).toBeCloseTo(36.6, 1);
  });

  it('agree with the dense peak of WSE-3 at the clock that this peak implies', () => {
    const { advertisedPes, fp16Lanes, clock } = findWafer('wse3');
    const implied = clock.disputed?.find((other) => other.source.includes('15.625'))?.value ?? NaN;
    expect((advertisedPes.value * fp16Lanes.value * 2 * implied) / 15.625e15).toBeCloseTo(1, 3);
  });

  it('never call published what is only carried over', () => {
    for (const wafer of [findWafer('wse1'), findWafer('wse3')]) {
      expect(wafer.vectorStartup.standing).toBe('assumed');
      expect(wafer.vectorStartup.basis).toContain(`as WSE-2, taken over for ${wafer.name}`);
    }
  });
});

describe('findWafer', () => {
  it.each([
    ['WSE-3', 'Did you mean "wse3"?'],
    ['wse4', 'Did you mean'],
    ['constructor', 'Choose a wafer of the list.'],
  ])('refuses %s', (id, suggestion) => {
    try {
      findWafer(id);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(IngotError);
      expect((error as IngotError).code).toBe('WAFER_UNKNOWN');
      const [diagnostic] = (error as IngotError).diagnostics;
      expect(diagnostic.suggestion).toContain(suggestion);
      expect(diagnostic.expected).toBe(`one of ${Object.keys(wafers).join(', ')}`);
    }
  });
});

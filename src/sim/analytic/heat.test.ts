import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findWafer, heatFacts, resolveWafer, silicon } from '../../spec/index.ts';
import { dieGrid, diePower, heatMap, temperatureRise } from './heat.ts';

const wafer = resolveWafer(findWafer('wse3'));
const grid = dieGrid(silicon['wse3']);
const program = { width: wafer.programWidth, height: wafer.programHeight };
const dies = grid.columns * grid.rows;
const powers = fc.array(fc.double({ min: 0, max: 1000, noNaN: true }), { minLength: dies, maxLength: dies });
const regions = fc
  .record({
    x: fc.integer({ min: 0, max: program.width - 1 }),
    y: fc.integer({ min: 0, max: program.height - 1 }),
    width: fc.integer({ min: 1, max: 400 }),
    height: fc.integer({ min: 1, max: 400 }),
  })
  .filter(({ x, y, width, height }) => x + width <= program.width && y + height <= program.height);
const sum = (values: Iterable<number>): number => [...values].reduce((all, value) => all + value, 0);

describe('power of dies', () => {
  it('is that of what lies on them, whatever the rectangles', () =>
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1e5, noNaN: true }),
        fc.array(fc.record({ region: regions, power: fc.double({ min: 0, max: 1e4, noNaN: true }) }), { maxLength: 5 }),
        (even, sources) => {
          const all = even + sum(sources.map((s) => s.power));
          expect(sum(diePower(grid, program, even, sources))).toBeCloseTo(all, 6);
        },
      ),
    ));
});

describe('temperature', () => {
  const resistance = heatFacts.thermalResistance.value;

  it('of even power is the heat flux times the resistance: 25 kW on the wafer are 54 W/cm², 27 K', () => {
    const rise = temperatureRise(grid, new Float64Array(dies).fill(25_000 / dies), heatFacts);
    const flux = 25_000 / (silicon['wse3'].waferArea.value / 100);
    expect(flux).toBeCloseTo(54, 0);
    for (const degrees of rise) expect(degrees).toBeCloseTo(flux * resistance, 6);
  });

  it('lets out all heat that comes in, and spreads it: no die is hotter than its own power alone would make it', () =>
    fc.assert(
      fc.property(powers, (power) => {
        const rise = temperatureRise(grid, power, heatFacts);
        const out = sum(rise) * (grid.area / resistance);
        expect(out).toBeCloseTo(sum(power), 3);
        const worst = (Math.max(...power) * resistance) / grid.area;
        expect(Math.max(...rise)).toBeLessThanOrEqual(worst * (1 + 1e-9) + 1e-9);
      }),
      { numRuns: 30 },
    ));

  it('is linear in power', () =>
    fc.assert(
      fc.property(powers, fc.double({ min: 0.1, max: 10, noNaN: true }), (power, factor) => {
        const once = temperatureRise(grid, power, heatFacts);
        const scaled = temperatureRise(
          grid,
          power.map((watts) => watts * factor),
          heatFacts,
        );
        once.forEach((rise, i) => expect(scaled[i]).toBeCloseTo(rise * factor, 4));
      }),
      { numRuns: 20 },
    ));
});

describe('throttling', () => {
  const hot = { region: { x: 0, y: 0, width: 100, height: 100 }, power: 12_000 };

  it('takes just so much clock that the hottest die meets the limit', () => {
    const map = heatMap(grid, program, 7000, [hot], 23_000, heatFacts);
    expect(map.hottest).toBeGreaterThan(heatFacts.temperatureLimit.value);
    expect(map.clockScale).toBeLessThan(1);
    const throttled = { ...hot, power: hot.power * map.clockScale };
    const after = heatMap(grid, program, 7000, [throttled], 23_000, heatFacts);
    expect(after.hottest).toBeCloseTo(heatFacts.temperatureLimit.value, 6);
  });

  it('leaves a cool wafer alone, and cannot help one that idles too hot', () => {
    expect(heatMap(grid, program, 7000, [], 23_000, heatFacts).clockScale).toBe(1);
    expect(heatMap(grid, program, 100_000, [hot], 23_000, heatFacts).clockScale).toBe(0);
  });
});

// A coarse steady-state map of a wafer's temperature: one cell per die, heat leaves through the cold plate and spreads
// to neighbouring dies through the silicon.

import type { HeatFacts, SiliconFacts } from '../../spec/index.ts';
import type { Region } from '../../wafer/index.ts';

/** Dies of a wafer, row by row. */
export interface DieGrid {
  readonly columns: number;
  readonly rows: number;
  /** cm² of one die. */
  readonly area: number;
}

export const dieGrid = (silicon: SiliconFacts): DieGrid => {
  const columns = silicon.dieColumns.value;
  const rows = silicon.dieRows.value;
  return { columns, rows, area: silicon.waferArea.value / 100 / (columns * rows) };
};

/** Heat of a rectangle of PEs, W. */
export interface Source {
  readonly region: Region;
  readonly power: number;
}

/**
 * Watts of each die: `even` spread over all, and each source over its rectangle. The program rectangle is taken to
 * cover the wafer, for how the fabric lies on the dies is not published.
 */
export function diePower(
  grid: DieGrid,
  program: { readonly width: number; readonly height: number },
  even: number,
  sources: readonly Source[],
): Float64Array {
  const dies = grid.columns * grid.rows;
  const power = new Float64Array(dies).fill(even / dies);
  const overlap = (from: number, length: number, die: number, size: number): number =>
    Math.max(0, Math.min(from + length, (die + 1) * size) - Math.max(from, die * size));
  const dieWidth = program.width / grid.columns;
  const dieHeight = program.height / grid.rows;
  for (const { region, power: watts } of sources) {
    const density = watts / (region.width * region.height);
    for (let row = 0; row < grid.rows; row++) {
      const high = overlap(region.y, region.height, row, dieHeight);
      if (high === 0) continue;
      for (let column = 0; column < grid.columns; column++)
        power[row * grid.columns + column] += density * high * overlap(region.x, region.width, column, dieWidth);
    }
  }
  return power;
}

/** Relative change below which the sweeps have settled. */
const SETTLED = 1e-9;
const MAX_SWEEPS = 100_000;

/**
 * Degrees by which each die is warmer than its coolant, for its power in watts: Gauss-Seidel on the balance
 * power = rise / (resistance / area) + Σ conductance · (rise − neighbour's rise). Dies are taken as square.
 */
export function temperatureRise(grid: DieGrid, power: ArrayLike<number>, facts: HeatFacts): Float64Array {
  const { columns, rows, area } = grid;
  const down = area / facts.thermalResistance.value;
  // From the middle of a die to the next one's: as long as it is wide.
  const sideways = facts.conductivity.value * facts.thickness.value;
  const rise = Float64Array.from(power, (watts) => watts / down);
  for (let sweep = 0; sweep < MAX_SWEEPS; sweep++) {
    let change = 0;
    let largest = 0;
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const i = row * columns + column;
        let conductance = down;
        let heat = power[i];
        const from = (neighbour: number): void => {
          conductance += sideways;
          heat += sideways * rise[neighbour];
        };
        if (column > 0) from(i - 1);
        if (column < columns - 1) from(i + 1);
        if (row > 0) from(i - columns);
        if (row < rows - 1) from(i + columns);
        const next = heat / conductance;
        change = Math.max(change, Math.abs(next - rise[i]));
        largest = Math.max(largest, Math.abs(next));
        rise[i] = next;
      }
    }
    if (change <= SETTLED * largest) break;
  }
  return rise;
}

export interface HeatMap {
  readonly grid: DieGrid;
  /** W. */
  readonly power: Float64Array;
  /** °C. */
  readonly temperature: Float64Array;
  readonly hottest: number;
  readonly coolant: number;
  /**
   * Largest factor, at most 1, by which the clock can be multiplied so that no die passes the limit, when work's
   * power falls with the clock and idle power stays; 0 where idling is too hot already.
   */
  readonly clockScale: number;
}

/**
 * @param idle W of one system, spread evenly
 * @param rated W at which the coolant warms by `coolantRise`; all dies are given its temperature at the outlet
 */
export function heatMap(
  grid: DieGrid,
  program: { readonly width: number; readonly height: number },
  idle: number,
  sources: readonly Source[],
  rated: number,
  facts: HeatFacts,
): HeatMap {
  const inlet = facts.coolantInlet.value;
  const warmed = (watts: number): number => inlet + (facts.coolantRise.value * watts) / rated;
  const at = (active: readonly Source[]): { power: Float64Array; temperature: Float64Array; coolant: number } => {
    const power = diePower(grid, program, idle, active);
    const coolant = warmed(power.reduce((sum, watts) => sum + watts, 0));
    return { power, coolant, temperature: temperatureRise(grid, power, facts).map((rise) => coolant + rise) };
  };
  const full = at(sources);
  const resting = at([]);
  return {
    grid,
    power: full.power,
    temperature: full.temperature,
    hottest: Math.max(...full.temperature),
    coolant: full.coolant,
    clockScale: clockScaleOf(full.temperature, resting.temperature, facts),
  };
}

/** By die, with and without work: every die's temperature is linear in the work's power. */
function clockScaleOf(full: Float64Array, resting: Float64Array, facts: HeatFacts): number {
  const limit = facts.temperatureLimit.value;
  let scale = 1;
  full.forEach((hot, i) => {
    if (hot > limit) scale = Math.min(scale, (limit - resting[i]) / (hot - resting[i]));
  });
  return Math.max(0, scale);
}

/** What `heatMap` finds, for the same rectangles at ever different powers: the balance is solved once for each rectangle. */
export function createHeatResponse(
  grid: DieGrid,
  program: { readonly width: number; readonly height: number },
  idle: number,
  regions: readonly Region[],
  rated: number,
  facts: HeatFacts,
): (powers: readonly number[]) => Pick<HeatMap, 'hottest' | 'coolant' | 'clockScale'> {
  const known = new Map<string, Float64Array>();
  const responses = regions.map((region) => {
    const key = [region.x, region.y, region.width, region.height].join();
    let response = known.get(key);
    if (response === undefined) {
      response = temperatureRise(grid, diePower(grid, program, 0, [{ region, power: 1 }]), facts);
      known.set(key, response);
    }
    return response;
  });
  const even = temperatureRise(grid, diePower(grid, program, idle, []), facts);
  const warmed = (watts: number): number => facts.coolantInlet.value + (facts.coolantRise.value * watts) / rated;
  const resting = even.map((rise) => warmed(idle) + rise);
  return (powers) => {
    const coolant = warmed(powers.reduce((sum, watts) => sum + watts, idle));
    const temperature = even.map((rise) => coolant + rise);
    powers.forEach((watts, s) => {
      if (watts > 0) responses[s].forEach((rise, die) => (temperature[die] += watts * rise));
    });
    return {
      hottest: Math.max(...temperature),
      coolant,
      clockScale: clockScaleOf(temperature, resting, facts),
    };
  };
}

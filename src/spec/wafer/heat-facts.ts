import type { Fact } from '../fact.ts';
import { source } from './sources.ts';

/**
 * Where a wafer's energy goes and how its heat leaves. Almost nothing of this is published: no idle power, no throttle
 * behaviour, no energy per operation. What is assumed is marked so, and reports print it.
 */
export interface HeatFacts {
  /** Share of a system's power that it draws with no work: leakage, clocks, pumps, conversion. */
  readonly idleShare: Fact;
  /** Energy to move one bit from a PE to its neighbour. */
  readonly linkBit: Fact;
  /** Energy to move one bit off the wafer. */
  readonly offWaferBit: Fact;
  /** Coolant where it enters the engine block. */
  readonly coolantInlet: Fact;
  /** By how much the coolant warms at rated power. */
  readonly coolantRise: Fact;
  /** From the transistors to the coolant, per area. */
  readonly thermalResistance: Fact;
  /** Of silicon, along the wafer. */
  readonly conductivity: Fact;
  readonly thickness: Fact;
  /** Above this the clock is taken to fall. */
  readonly temperatureLimit: Fact;
}

export const heatFacts: HeatFacts = {
  idleShare: {
    value: 0.3,
    unit: 'of rated power',
    basis: 'a round share; leakage and idle power of no generation were found',
    source: source.none,
    standing: 'assumed',
  },
  linkBit: {
    value: 0.1e-12,
    unit: 'J/bit',
    basis: 'on-wafer, from die to die; taken for every link between two PEs, which is shorter: an upper bound',
    source: `${source.waferLlm}, Table 1, "about"`,
    standing: 'published',
  },
  offWaferBit: {
    value: 10e-12,
    unit: 'J/bit',
    basis: 'off the chip',
    source: `${source.waferLlm}, Table 1, "about"`,
    standing: 'published',
  },
  coolantInlet: {
    value: 21,
    unit: '°C',
    basis: 'at the engine block of a CS-3 in Oklahoma, "about"',
    source: source.fasterTokens,
    standing: 'published',
  },
  coolantRise: {
    value: 3.6,
    unit: 'K',
    basis: '25 kW into 100 litres of water a minute, both published for a CS-3; taken at the rated power of any wafer',
    source: source.fasterTokens,
    standing: 'derived',
  },
  thermalResistance: {
    value: 0.5,
    unit: 'K·cm²/W',
    basis:
      'a cold plate with micro-fins and its interface; usual for direct liquid cooling, not published for this one',
    source: source.none,
    standing: 'assumed',
  },
  conductivity: {
    value: 1.3,
    unit: 'W/(cm·K)',
    basis: 'silicon at about 50 °C',
    source: 'textbook value, between 1.5 at 20 °C and 1.1 at 100 °C',
    standing: 'assumed',
  },
  thickness: {
    value: 0.0775,
    unit: 'cm',
    basis:
      'standard of 300 mm wafers (SEMI M1), not thinned; the copper above it is left out, so that spots come out hotter',
    source: 'SEMI M1',
    standing: 'assumed',
  },
  temperatureLimit: {
    value: 85,
    unit: '°C',
    basis: 'usual upper end for logic that is to last; no throttle point is published',
    source: source.none,
    standing: 'assumed',
  },
};

import { carryOver } from './carry-over.ts';
import { source } from './sources.ts';
import type { WaferFacts } from './wafer-facts.ts';
import { wse2 } from './wse2.ts';

/** Cerebras WSE-1 in a CS-1 (2019). Its SDK was never public, so most of it is carried over from WSE-2. */
export const wse1: WaferFacts = {
  ...carryOver(wse2, 'WSE-1'),
  id: 'wse1',
  name: 'WSE-1',

  fabricWidth: {
    value: 607,
    unit: 'PEs',
    basis: 'program width plus the 7 columns of WSE-2; the fabric is not published',
    source: source.none,
    standing: 'assumed',
  },
  fabricHeight: {
    value: 597,
    unit: 'PEs',
    basis: 'program height plus the 2 rows of WSE-2; the fabric is not published',
    source: source.none,
    standing: 'assumed',
  },
  programWidth: {
    value: 600,
    unit: 'PEs',
    basis: 'largest rectangle known to have run: a 600 x 595 x 1536 grid, one column of the grid per PE',
    source: source.sc20,
    standing: 'derived',
  },
  programHeight: {
    value: 595,
    unit: 'PEs',
    basis: 'largest rectangle known to have run: a 600 x 595 x 1536 grid, one column of the grid per PE',
    source: source.sc20,
    standing: 'derived',
  },
  advertisedPes: {
    value: 400_000,
    unit: 'PEs',
    basis: 'headline count',
    source: source.tomsCs1,
    standing: 'published',
  },

  clock: {
    value: 0.85e9,
    unit: 'Hz',
    basis: 'as the SDK scripts state for WSE-2; no clock of WSE-1 was found',
    source: `${source.none}; ${source.cslExamples} for WSE-2`,
    standing: 'assumed',
    disputed: [
      {
        value: 0.9e9,
        source: `0.86 PFLOPS as a third of the peak of 600 x 595 PEs at 8 FLOP per cycle, ${source.sc20}`,
      },
    ],
  },
  sramPerPe: {
    value: 49_152,
    unit: 'B',
    basis: 'per PE: 400,000 PEs of 48 KiB are 18.3 GiB, the headline being 18 GB',
    source: source.tomsCs1,
    standing: 'derived',
  },
  ioPerDirection: {
    value: 150e9,
    unit: 'B/s',
    basis: 'per system and direction, 12 x 100 Gb/s Ethernet, nominal',
    source: source.tomsCs1,
    standing: 'published',
  },
  systemPower: {
    value: 20_000,
    unit: 'W',
    basis: 'per system, maximum, of which 4 kW for cooling',
    source: source.tomsCs1,
    standing: 'published',
    disputed: [{ value: 15_000, source: `the chip alone, ${source.tomsCs1}` }],
  },
};

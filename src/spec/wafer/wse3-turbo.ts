import { carryOver } from './carry-over.ts';
import { source } from './sources.ts';
import type { WaferFacts } from './wafer-facts.ts';
import { wse3 } from './wse3.ts';

const announced = 'SA-CS4: SemiAnalysis, Next Generation CS-4, 2026-08-19';

/** One of the three wafers of a CS-4, as announced in August 2026: what differs from WSE-3. */
export const wse3Turbo: WaferFacts = {
  ...carryOver(wse3, 'WSE-3 Turbo'),
  id: 'wse3-turbo',
  name: 'WSE-3 Turbo (CS-4)',
  caution: 'announced, not delivered: nothing about it has been measured by anyone',

  advertisedPes: {
    value: 900_000,
    unit: 'PEs',
    basis: 'the silicon of WSE-3, by the announcement; three wafers to a system',
    source: announced,
    standing: 'published',
  },
  clock: {
    value: 1.75e9,
    unit: 'Hz',
    basis: 'announced as twice that of WSE-3, for which the clock that people have timed is taken',
    source: `${announced}; ${source.stencilWse3}`,
    standing: 'derived',
    disputed: [
      { value: 2.0e9, source: `24 B per cycle and PE at 43.2 PB/s, ${source.hotChips2026}` },
      { value: 1.86e9, source: `256 bit per cycle and PE at 53.5 PB/s, ${source.hotChips2026}` },
    ],
  },
  ioPerDirection: {
    value: 300e9,
    unit: 'B/s',
    basis: 'per wafer and direction: 7.2 Tb/s for the three of a system, counted as the 1.2 Tb/s of a CS-3 are',
    source: source.hotChips2026,
    standing: 'derived',
  },
  ioLatency: {
    value: 2e-6,
    unit: 's',
    basis: 'wafer to wafer, direct',
    source: source.hotChips2026,
    standing: 'published',
    disputed: [{ value: 3e-6, source: `through a fat tree of two layers, ${source.hotChips2026}` }],
  },
  systemPower: {
    value: 130_000 / 3,
    unit: 'W',
    basis: 'per wafer: a third of a rack of 125 to 135 kW',
    source: announced,
    standing: 'derived',
    disputed: [
      { value: 125_000 / 3, source: announced },
      { value: 45_000, source: announced },
    ],
  },
};

import { carryOver } from './carry-over.ts';
import { source } from './sources.ts';
import type { WaferFacts } from './wafer-facts.ts';
import { wse2 } from './wse2.ts';

/** Cerebras WSE-3 in a CS-3 (2024): what differs from WSE-2, or is stated for it in its own right. */
export const wse3: WaferFacts = {
  ...carryOver(wse2, 'WSE-3'),
  id: 'wse3',
  name: 'WSE-3',

  fabricWidth: {
    value: 762,
    unit: 'PEs',
    basis: 'west to east, as the SDK sees the fabric',
    source: source.alcfCsl,
    standing: 'published',
  },
  fabricHeight: {
    value: 1172,
    unit: 'PEs',
    basis: 'north to south, as the SDK sees the fabric; the smaller of two figures, so that nothing overflows',
    source: source.alcfCsl,
    standing: 'published',
    disputed: [{ value: 1176, source: 'also given as the fabric of a CS-3; its document was not identified' }],
  },
  programWidth: {
    value: 755,
    unit: 'PEs',
    basis: 'fabric width less 7 columns, the rule published for WSE-2',
    source: `${source.alcfCsl}; ${source.cslExamples}, benchmarks/single-tile-matvec/README.rst`,
    standing: 'derived',
  },
  programHeight: {
    value: 1170,
    unit: 'PEs',
    basis: 'fabric height less 2 rows, the rule published for WSE-2',
    source: `${source.alcfCsl}; ${source.cslExamples}, benchmarks/single-tile-matvec/README.rst`,
    standing: 'derived',
    disputed: [{ value: 1174, source: 'the same rule on 1176 rows' }],
  },
  advertisedPes: {
    value: 900_000,
    unit: 'PEs',
    basis: 'active, of 970,000 made',
    source: source.yield,
    standing: 'published',
  },

  clock: {
    value: 0.875e9,
    unit: 'Hz',
    basis:
      'the one clock published by people who timed a WSE-3; the headline figures imply three others that contradict ' +
      'each other, and a slower clock promises less',
    source: source.stencilWse3,
    standing: 'published',
    disputed: [
      { value: 1.085e9, source: `900,000 PEs x 16 FLOP at the dense peak of 15.625 PFLOPS, ${source.fasterTokens}` },
      { value: 1.0e9, source: `24 B per cycle and PE at 21.6 PB/s, ${source.hotChips2026}` },
      { value: 0.93e9, source: `256 bit per cycle and PE at 213.6 Pb/s, ${source.hotChips2026}` },
      { value: 1.1e9, source: `${source.hotChips34}, stated for WSE-2` },
      { value: 0.85e9, source: `${source.cslExamples}, stated for WSE-2` },
    ],
  },

  sramPerPe: {
    value: 49_152,
    unit: 'B',
    basis: 'per PE: the headline 44 GB over 900,000 PEs is 48 KiB each',
    source: source.yield,
    standing: 'derived',
  },
  fp16Lanes: {
    value: 8,
    unit: 'FMA/cycle',
    basis:
      'per PE, dense, SIMD fp16: 16 FLOP per cycle. With 16 B read per cycle, two operands from memory feed only 4; ' +
      '8 need an operand in a register or from the fabric',
    source: `${source.nextPlatform}; ${source.sdkDigest}`,
    standing: 'published',
  },

  ioPerDirection: {
    value: 150e9,
    unit: 'B/s',
    basis: 'per system and direction, 12 x 100 Gb/s Ethernet, nominal',
    source: source.fasterTokens,
    standing: 'published',
  },
  ioLatency: {
    value: 5e-6,
    unit: 's',
    basis: 'per switch hop between systems',
    source: `${source.fasterTokens}; ${source.hotChips2026}`,
    standing: 'published',
  },
  systemPower: {
    value: 23_000,
    unit: 'W',
    basis: 'per system, nominal',
    source: 'AWES: awesomeagents.ai, WSE-3 card; SA-CS4: SemiAnalysis, Next Generation CS-4, 2026-08-19',
    standing: 'published',
    disputed: [
      { value: 25_000, source: `engine block alone, ${source.fasterTokens}` },
      { value: 27_000, source: 'maximum, CLOUDNEWS: cloudnews.tech reading the vendor technical sheet' },
      { value: 30_000, source: `all-in with the KV server, ${source.fasterTokens}` },
    ],
  },
};

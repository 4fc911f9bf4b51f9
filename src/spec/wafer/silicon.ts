import type { WaferId } from './index.ts';
import type { Fact } from '../fact.ts';
import { source } from './sources.ts';

/**
 * What is known of a wafer before repair: its dies, the PEs that were made, and what kills them. Keyed by wafer id.
 * How many rows and columns are spare has not been published for any generation; the basis says what was taken.
 */
export interface SiliconFacts {
  readonly waferArea: Fact;
  /** Dies west to east and north to south. */
  readonly dieColumns: Fact;
  readonly dieRows: Fact;
  /** PEs made, before any is given up. */
  readonly madePes: Fact;
  /** The rectangle of PEs made; a whole number of PEs per die. */
  readonly physWidth: Fact;
  readonly physHeight: Fact;
  /** Silicon of one PE with its share of wiring. */
  readonly peArea: Fact;
  /** Defects that kill the PE or link they hit. */
  readonly defectDensity: Fact;
  /** Share of killer defects that hit the wires between two PEs instead of a PE. */
  readonly linkShare: Fact;
  /** Parameter of the negative-binomial distribution, for those who ask for clustered defects. */
  readonly clustering: Fact;
}

const dies = {
  waferArea: {
    value: 46_225,
    unit: 'mm²',
    basis: 'the square cut from a 300 mm wafer, 215 mm a side',
    source: source.tomsCs1,
    standing: 'published',
  },
  dieColumns: {
    value: 7,
    unit: 'dies',
    basis: 'of 12 x 7 = 84 identical exposures; which axis has the 7 is not published, west-east is taken',
    source: source.fasterTokens,
    standing: 'published',
  },
  dieRows: {
    value: 12,
    unit: 'dies',
    basis: 'of 12 x 7 = 84 identical exposures; which axis has the 12 is not published, north-south is taken',
    source: source.fasterTokens,
    standing: 'published',
  },
  linkShare: {
    value: 0.05,
    unit: 'of killer defects',
    basis: 'wires between PEs are a thin frame around each PE; a round share, fitted to nothing',
    source: source.none,
    standing: 'assumed',
  },
  clustering: {
    value: 2,
    unit: '1',
    basis: 'roadmap value for the negative-binomial yield of any process; none was found for this one',
    source: 'ITRS, chapters on yield enhancement (cluster parameter 2)',
    standing: 'assumed',
    disputed: [
      {
        value: 4,
        source: 'Hennessy and Patterson, Computer Architecture, 4th edition, section 1.6, for multilevel metal CMOS',
      },
    ],
  },
} as const satisfies Partial<SiliconFacts>;

const density = {
  value: 0.001,
  unit: '1/mm²',
  basis: 'killer defects per area, the vendor\'s figure for TSMC N5: "about 0.001"',
  source: source.yield,
} as const;

const wse3: SiliconFacts = {
  ...dies,
  madePes: {
    value: 970_000,
    unit: 'PEs',
    basis: 'made, of which 900,000 are active; a round figure, for 84 equal dies cannot hold it exactly',
    source: source.yield,
    standing: 'published',
  },
  physWidth: {
    value: 770,
    unit: 'PEs',
    basis: '7 dies of 110 x 105: the equal dies that hold the fabric and come nearest to 970,000 PEs (970,200)',
    source: `${source.none}; count from ${source.yield}`,
    standing: 'assumed',
  },
  physHeight: {
    value: 1260,
    unit: 'PEs',
    basis: '12 dies of 110 x 105: the equal dies that hold the fabric and come nearest to 970,000 PEs (970,200)',
    source: `${source.none}; count from ${source.yield}`,
    standing: 'assumed',
  },
  peArea: {
    value: 46_225 / 970_000,
    unit: 'mm²',
    basis: 'wafer area over PEs made, so that all of the wafer is PEs',
    source: `${source.tomsCs1}; ${source.yield}`,
    standing: 'derived',
    disputed: [{ value: 0.05, source: `rounded: 970,000 of these would be larger than the wafer, ${source.yield}` }],
  },
  defectDensity: { ...density, standing: 'published' },
};

const wse2: SiliconFacts = {
  ...dies,
  madePes: {
    value: 831_600,
    unit: 'PEs',
    basis: 'the rectangle below; fewer than the advertised 850,000, which the public tools do not show either',
    source: source.none,
    standing: 'assumed',
  },
  physWidth: {
    value: 770,
    unit: 'PEs',
    basis: 'spare columns per column as assumed for WSE-3, rounded up to whole PEs in each of 7 dies',
    source: source.none,
    standing: 'assumed',
  },
  physHeight: {
    value: 1080,
    unit: 'PEs',
    basis: 'spare rows per row as assumed for WSE-3, rounded up to whole PEs in each of 12 dies',
    source: source.none,
    standing: 'assumed',
  },
  peArea: {
    value: 0.038,
    unit: 'mm²',
    basis: 'core area of 38,000 µm²',
    source: source.hotChips34,
    standing: 'published',
  },
  defectDensity: { ...density, basis: `${density.basis}; taken over for TSMC N7`, standing: 'assumed' },
};

const wse1: SiliconFacts = {
  ...dies,
  madePes: {
    value: 403_200,
    unit: 'PEs',
    basis: '84 dies of 4,800 cores',
    source: source.tweakers,
    standing: 'published',
  },
  physWidth: {
    value: 672,
    unit: 'PEs',
    basis: '7 dies of 96 x 50: the only way to lay out 4,800 PEs per die that holds the assumed fabric',
    source: `${source.none}; PEs per die from ${source.tweakers}`,
    standing: 'assumed',
  },
  physHeight: {
    value: 600,
    unit: 'PEs',
    basis: '12 dies of 96 x 50: the only way to lay out 4,800 PEs per die that holds the assumed fabric',
    source: `${source.none}; PEs per die from ${source.tweakers}`,
    standing: 'assumed',
  },
  peArea: {
    value: 46_225 / 403_200,
    unit: 'mm²',
    basis: 'wafer area over PEs made, so that all of the wafer is PEs: an upper bound',
    source: `${source.tomsCs1}; ${source.tweakers}`,
    standing: 'derived',
  },
  defectDensity: { ...density, basis: `${density.basis}; taken over for TSMC 16 nm`, standing: 'assumed' },
};

/** By wafer id. */
export const silicon: Readonly<Record<string, SiliconFacts>> = {
  wse1,
  wse2,
  wse3,
  'wse3-turbo': wse3,
} satisfies Record<WaferId, SiliconFacts>;

/** The smallest part that a defect takes with it on a large GPU, to compare a PE with. */
export const gpuPartArea: Fact = {
  value: 6,
  unit: 'mm²',
  basis: 'one streaming multiprocessor of an H100',
  source: source.yield,
  standing: 'published',
};

import { source } from './sources.ts';
import type { WaferFacts } from './wafer-facts.ts';

/** Cerebras WSE-2 in a CS-2 (2021). The generation with the most published measurements. */
export const wse2: WaferFacts = {
  id: 'wse2',
  name: 'WSE-2',

  fabricWidth: {
    value: 757,
    unit: 'PEs',
    basis: 'west to east, as the SDK sees the fabric',
    source: `${source.cslExamples}, tutorials/gemv-*/README.rst`,
    standing: 'published',
  },
  fabricHeight: {
    value: 996,
    unit: 'PEs',
    basis: 'north to south, as the SDK sees the fabric',
    source: `${source.cslExamples}, tutorials/gemv-*/README.rst`,
    standing: 'published',
  },
  programWidth: {
    value: 750,
    unit: 'PEs',
    basis: 'fabric width less 7 columns that the host copy takes',
    source: `${source.cslExamples}, benchmarks/single-tile-matvec/README.rst`,
    standing: 'published',
  },
  programHeight: {
    value: 994,
    unit: 'PEs',
    basis: 'fabric height less 2 rows that the host copy takes',
    source: `${source.cslExamples}, benchmarks/single-tile-matvec/README.rst`,
    standing: 'published',
  },
  advertisedPes: {
    value: 850_000,
    unit: 'PEs',
    basis: 'headline count; 11 % more than the fabric that a program sees, so capacity is planned on the fabric',
    source: source.sdkPaper,
    standing: 'published',
  },

  clock: {
    value: 0.85e9,
    unit: 'Hz',
    basis: 'what the SDK scripts use to turn device cycles into time; measurements are compared in cycles',
    source: `${source.cslExamples}, benchmarks/*/README.rst and single-tile-matvec/run.py; also ${source.hpdc24}`,
    standing: 'published',
    disputed: [
      { value: 1.1e9, source: `${source.hotChips34}; ${source.waferLlm} (launch scripts)` },
      { value: 0.875e9, source: `${source.stencilWse3}, stated for WSE-3` },
    ],
  },

  sramPerPe: {
    value: 49_152,
    unit: 'B',
    basis: 'per PE, 48 KB read as 48 KiB: 8 banks of 6 KiB',
    source: `${source.hotChips34}; ${source.sdkPaper}`,
    standing: 'published',
    disputed: [{ value: 48_000, source: 'the headline 40 GB over 850,000 PEs fits 48 kB better (40.8 GB)' }],
  },
  sramBanks: {
    value: 8,
    unit: 'banks',
    basis: 'per PE, single-ported, 32 bit wide',
    source: source.hotChips34,
    standing: 'published',
  },
  sramReadPerCycle: {
    value: 16,
    unit: 'B/cycle',
    basis: 'per PE, two 64-bit reads where banks do not conflict; fits the headline 20 PB/s near 1 GHz',
    source: source.hotChips34,
    standing: 'published',
    disputed: [{ value: 8, source: `two 32-bit reads: ${source.sdkDigest}; ${source.waferLlm}, section 7` }],
  },
  sramWritePerCycle: {
    value: 8,
    unit: 'B/cycle',
    basis: 'per PE, one 64-bit write where banks do not conflict',
    source: source.hotChips34,
    standing: 'published',
    disputed: [{ value: 4, source: `one 32-bit write: ${source.sdkDigest}; ${source.waferLlm}, section 7` }],
  },

  fp16Lanes: {
    value: 4,
    unit: 'FMA/cycle',
    basis: 'per PE, dense, SIMD fp16: 8 FLOP per cycle',
    source: `${source.sdkPaper}, p. 4`,
    standing: 'published',
  },
  fp32Lanes: {
    value: 1,
    unit: 'FMA/cycle',
    basis: 'per PE, dense, no bank conflict: slope of 1 cycle per element (2 where source and target banks conflict)',
    source: source.vectorBenchmark,
    standing: 'measured',
  },
  vectorStartup: {
    value: 6,
    unit: 'cycles',
    basis: 'per vector instruction: 1,028 elements in 1,034 cycles (row C24, hence used to choose this constant)',
    source: source.vectorBenchmark,
    standing: 'measured',
  },
  taskStart: {
    value: 9,
    unit: 'cycles',
    basis:
      'from the wavelet or the activation to the first instruction; programmers speak of "tens of cycles" for a whole ' +
      'task. Chosen on the decode rows of the 8B model (D01 to D03) with the structure of the kernels fixed by what ' +
      'the cycle simulator runs, so the 72B rows are predictions',
    source: `${source.none}; rows D01 to D03 of ${source.waferLlm}, Table 4`,
    standing: 'derived',
  },
  loopIteration: {
    value: 1,
    unit: 'cycles',
    basis:
      'per vector instruction issued from a hardware-assisted loop: the scalar operand is loaded while the DSDs ' +
      'step by themselves; larger values disagree with D01 to D03',
    source: `${source.none}; loop shape of the decode kernel in ${source.waferLlm}`,
    standing: 'assumed',
  },
  division: {
    value: 50,
    unit: 'cycles',
    basis: 'per floating-point division, "about 50"; taken for a square root too',
    source: `${source.cslExamples}, comment in the BLAS kernel`,
    standing: 'published',
  },

  hop: {
    value: 1,
    unit: 'cycles',
    basis: 'router to neighbouring router, free link',
    source: `${source.hpdc24}; ${source.sdkPaper}, p. 3`,
    standing: 'published',
  },
  ramp: {
    value: 2,
    unit: 'cycles',
    basis: 'router to CE or CE to router, each way; the model names it T_R and gives about 2',
    source: source.hpdc24,
    standing: 'published',
  },
  linkRate: {
    value: 1,
    unit: 'wavelets/cycle',
    basis: 'per link and direction, 32-bit wavelets, shared by all colours',
    source: `${source.hpdc24}; the vendor's cycle simulator moves exactly 1 a cycle`,
    standing: 'published',
    disputed: [{ value: 0.889, source: 'rate seen on the device where it was compared with the vendor simulator' }],
  },
  colors: {
    value: 24,
    unit: 'colours',
    basis: 'routable, ids 0 to 23',
    source: `${source.sdkDigest}; ${source.cslExamples}`,
    standing: 'published',
  },
  reservedColors: {
    value: 3,
    unit: 'colours',
    basis: 'ids 21 to 23, taken by the host copy',
    source: `${source.sdkDigest}; ${source.cslExamples}`,
    standing: 'published',
  },
  switchPositions: {
    value: 4,
    unit: 'positions',
    basis: 'route configurations per colour and router',
    source: `${source.cslExamples}, tutorials topic-06 and topic-07; ${source.hpdc24}`,
    standing: 'published',
  },

  ioPerDirection: {
    value: 150e9,
    unit: 'B/s',
    basis: 'per system and direction, 12 x 100 Gb/s Ethernet, nominal',
    source: source.memoryX,
    standing: 'published',
  },
  ioLatency: {
    value: 5e-6,
    unit: 's',
    basis: 'per hop between systems; published for CS-3, nothing found for CS-2',
    source: `${source.fasterTokens}; ${source.hotChips2026}`,
    standing: 'assumed',
  },
  systemPower: {
    value: 15_000,
    unit: 'W',
    basis: 'per system; solved from energy ratios that are rated power times time, so not a measurement',
    source: `${source.waferLlm}, Tables 6 to 8`,
    standing: 'derived',
    disputed: [{ value: 23_000, source: 'often quoted as peak of a CS-2; no primary copy found' }],
  },

  reservedSram: {
    value: 24_576,
    unit: 'B',
    basis:
      'per PE, half of its SRAM: in kernels written like the shipped ones code, stack and buffers take 24 to 30 KiB; ' +
      'the low end, because a compiler may split kernels by role',
    source: `${source.none}; range from inspecting published LLM kernels (${source.waferLlm})`,
    standing: 'assumed',
  },
  systemSram: {
    value: 1024,
    unit: 'B',
    basis: 'per PE: stack, task table and state of the host copy; a round allowance, fitted to nothing',
    source: source.none,
    standing: 'assumed',
  },
};

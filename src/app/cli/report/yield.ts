// What `ingot yield` finds out, as one document: the text and --json are views of it.

import { assert, createRng, formatCount, IngotError, median, type Diagnostic } from '../../../core/index.ts';
import { priceSequence } from '../../../sim/index.ts';
import {
  findWafer,
  gpuPartArea,
  resolveWafer,
  silicon,
  type Fact,
  type SiliconFacts,
  type Wafer,
} from '../../../spec/index.ts';
import {
  allReduce,
  allReduceAround,
  drawDefects,
  expectedDefects,
  groupSize,
  largestRectangle,
  partLoss,
  partYield,
  repair,
  repairFigures,
  repairYield,
  sparesNeeded,
  waferStructure,
  type DefectMap,
  type DefectProcess,
  type Repair,
  type RepairFigures,
  type WaferStructure,
  type WorstLine,
} from '../../../wafer/index.ts';

export interface YieldQuestion {
  /** Id in `spec/wafer`. */
  readonly wafer: string;
  /** Killer defects per mm²; the wafer's where absent. */
  readonly density?: number;
  readonly clustering?: number;
  readonly spareColumns?: number;
  readonly spareRows?: number;
  /** A map to repair, or a seed and a number of wafers to draw. */
  readonly defects:
    | { readonly map: DefectMap; readonly file: string }
    | { readonly seed: number; readonly wafers: number };
}

/** An all-reduce of one value along a line of PEs, in cycles. */
export interface LineCost {
  readonly index: number;
  readonly parts: number;
  readonly extraHops: number;
  readonly cycles: number;
  /** The same on a line without detours. */
  readonly cyclesWithoutDefects: number;
}

export interface YieldLine {
  readonly density: number;
  readonly defects: number;
  readonly parts: readonly PartLine[];
}

/** The wafer cut in equal parts, the smallest that a defect takes with it. */
export interface PartLine {
  readonly area: number;
  readonly yield: number;
  /** Expected dead silicon, mm². */
  readonly lost: number;
  /** Silicon of the spares with which SPARE_TARGET of wafers have enough, mm²; for independent defects only. */
  readonly spare?: number;
}

export interface Statistics {
  readonly wafers: number;
  readonly repaired: number;
  readonly dead: { readonly median: number; readonly most: number };
  readonly worstLink: { readonly median: number; readonly most: number };
  /** Cycles added to the all-reduce along the worst column. */
  readonly addedCycles: { readonly median: number; readonly most: number };
}

export interface YieldReport {
  readonly standing: 'simulated';
  readonly wafer: string;
  readonly structure: WaferStructure;
  readonly sparesGiven: { readonly columns: boolean; readonly rows: boolean };
  readonly process: DefectProcess;
  readonly densityGiven: boolean;
  readonly expectedDefects: number;
  /** Where the map is from; `wafer` is its number among those drawn, from 1. */
  readonly from: { readonly file: string } | { readonly seed: number; readonly wafer: number };
  readonly map: DefectMap;
  readonly repaired: Repair;
  readonly figures: RepairFigures;
  readonly largestRectangle: { readonly width: number; readonly height: number };
  readonly column: LineCost;
  readonly row: LineCost;
  readonly statistics?: Statistics;
  /** Natural logarithm of the probability that the spares do not suffice; absent where defects cluster. */
  readonly logUnrepairable?: number;
  readonly table: readonly YieldLine[];
  readonly facts: SiliconFacts;
  readonly hop: Fact;
  readonly gpuPart: Fact;
}

/** Share of wafers whose spares must suffice, for the column of spare silicon. */
export const SPARE_TARGET = 0.999;
/** Densities of the table, per mm², besides the one asked for. */
const densities = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.1];

/** @throws IngotError WAFER_UNKNOWN, DEFECT_MAP_MISMATCH, DEFECTS_UNREPAIRABLE if no wafer can be repaired */
export function reportYield(question: YieldQuestion): YieldReport {
  const waferFacts = findWafer(question.wafer);
  const wafer = resolveWafer(waferFacts);
  const facts = silicon[question.wafer];
  const structure = waferStructure(wafer, facts, { columns: question.spareColumns, rows: question.spareRows });
  const process: DefectProcess = {
    density: question.density ?? facts.defectDensity.value,
    peArea: facts.peArea.value,
    linkShare: facts.linkShare.value,
    clustering: question.clustering,
  };
  const { defects } = question;
  const { shown, statistics } =
    'map' in defects
      ? { shown: { wafer: 0, ...examine(defects.map, structure) }, statistics: undefined }
      : examineMany(defects.seed, defects.wafers, structure, process, wafer);
  const loss = partLoss(process.peArea, process.density * (1 - process.linkShare));
  return {
    standing: 'simulated',
    wafer: wafer.name,
    structure,
    sparesGiven: { columns: question.spareColumns !== undefined, rows: question.spareRows !== undefined },
    process,
    densityGiven: question.density !== undefined,
    expectedDefects: expectedDefects(structure, process),
    from: 'map' in defects ? { file: defects.file } : { seed: defects.seed, wafer: shown.wafer },
    map: shown.map,
    repaired: shown.repaired,
    figures: shown.figures,
    largestRectangle: largestRectangle(shown.map),
    column: lineCost(shown.figures.worstColumn, wafer),
    row: lineCost(shown.figures.worstRow, wafer),
    statistics,
    ...(process.clustering === undefined ? { logUnrepairable: repairYield(structure, loss).logMore } : {}),
    table: yieldTable(facts.waferArea.value, [process.peArea, gpuPartArea.value], process),
    facts,
    hop: waferFacts.hop,
    gpuPart: gpuPartArea,
  };
}

interface Examined {
  readonly map: DefectMap;
  readonly repaired: Repair;
  readonly figures: RepairFigures;
}

function examine(map: DefectMap, structure: WaferStructure): Examined {
  const repaired = repair(map, structure);
  return { map, repaired, figures: repairFigures(map, repaired) };
}

/** Draw and repair each wafer; the first that can be repaired is the one shown. */
function examineMany(
  seed: number,
  wafers: number,
  structure: WaferStructure,
  process: DefectProcess,
  wafer: Wafer,
): { readonly shown: Examined & { readonly wafer: number }; readonly statistics: Statistics | undefined } {
  let shown: (Examined & { readonly wafer: number }) | undefined;
  let refusal: IngotError | undefined;
  const [dead, worstLink, added]: [number[], number[], number[]] = [[], [], []];
  for (let number = 1; number <= wafers; number++) {
    const map = drawDefects(structure, process, createRng(seed).fork(`wafer ${number}`));
    dead.push(map.deadPes.length);
    try {
      const examined = examine(map, structure);
      shown ??= { wafer: number, ...examined };
      worstLink.push(examined.figures.extraHops.worst);
      const { cycles, cyclesWithoutDefects } = lineCost(examined.figures.worstColumn, wafer);
      added.push(cycles - cyclesWithoutDefects);
    } catch (error) {
      if (!(error instanceof IngotError) || error.code !== 'DEFECTS_UNREPAIRABLE') throw error;
      refusal ??= error;
    }
  }
  if (shown === undefined) {
    assert(refusal !== undefined, 'at least one wafer is drawn');
    throw wafers === 1 ? refusal : new IngotError([...refusal.diagnostics, noneOf(wafers)]);
  }
  const spread = (values: number[]) => ({ median: median(values), most: Math.max(...values) });
  const statistics: Statistics = {
    wafers,
    repaired: worstLink.length,
    dead: spread(dead),
    worstLink: spread(worstLink),
    addedCycles: spread(added),
  };
  return { shown, statistics: wafers > 1 ? statistics : undefined };
}

const noneOf = (wafers: number): Diagnostic => ({
  code: 'DEFECTS_UNREPAIRABLE',
  message: `none of ${formatCount(wafers)} wafers can be repaired; the first is told above`,
});

function lineCost({ index, extraHops, perLink }: WorstLine, wafer: Wafer): LineCost {
  const parts = perLink.length + 1;
  const line = { parts, values: 1, type: 'fp32', group: groupSize(parts) } as const;
  return {
    index,
    parts,
    extraHops,
    cycles: priceSequence(allReduceAround(line, perLink), wafer),
    cyclesWithoutDefects: priceSequence(allReduce(line), wafer),
  };
}

function yieldTable(waferArea: number, areas: readonly number[], process: DefectProcess): YieldLine[] {
  const { clustering } = process;
  const rows = [...new Set([...densities, process.density])].sort((a, b) => a - b);
  return rows.map((density) => ({
    density,
    defects: waferArea * density,
    parts: areas.map((area): PartLine => {
      const loss = partLoss(area, density, clustering);
      const count = Math.floor(waferArea / area);
      return {
        area,
        yield: partYield(area, density, clustering),
        lost: waferArea * loss,
        ...(clustering === undefined ? { spare: area * sparesNeeded(count, loss, SPARE_TARGET) } : {}),
      };
    }),
  }));
}

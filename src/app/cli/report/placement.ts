// What is known of a placed model: figures and what they rest on, as one document. The text is rendered from it,
// and `--json` prints it.

import type { Hertz } from '../../../core/index.ts';
import { groupErrors, validate, type GroupError } from '../../../plan/index.ts';
import type { Pruning } from '../../../model/index.ts';
import { bytesOfWholeHeads, type Candidate, type Objective } from '../../../compiler/index.ts';
import type { Breakdown, Throughput } from '../../../sim/index.ts';
import { peLimits, publishedRows, type Fact, type WaferFacts } from '../../../spec/index.ts';
import {
  kvTokensOf,
  wafersOf,
  type MemoryPlan,
  type Numerics,
  type Program,
  type Region,
  type Stage,
} from '../../../wafer/index.ts';
import { contextOf, type OpenModel, type PlacedModel } from '../../place.ts';
import type { RepairedWafer } from '../../repaired-wafer.ts';

/** Bytes on the fullest PE of a region; the parts add up to the capacity. */
export interface PeMemory extends Omit<MemoryPlan, 'kv' | 'kvPerToken' | 'kvTokens'> {
  /** For the cached tokens that were asked for. */
  readonly kv: number;
  readonly free: number;
}

export interface StageReport {
  readonly wafer: number;
  readonly region: Region;
  /** Layers [fromLayer, toLayer). */
  readonly fromLayer: number;
  readonly toLayer: number;
  readonly hasEmbedding: boolean;
  readonly hasHead: boolean;
  /** Bytes. */
  readonly memory: PeMemory;
  /** Of one token of one sequence at the stated context, handing it on included. */
  readonly secondsPerToken: number;
}

/** PEs whose fullest neighbour in the region uses [from, to) bytes. */
export interface MemoryBin {
  readonly from: number;
  readonly to: number;
  readonly pes: number;
}

/** A placement that was looked at. */
export interface PlacementChoice {
  readonly isChosen: boolean;
  readonly wafers: number;
  readonly region: { readonly width: number; readonly height: number };
  readonly regions: number;
  readonly layersPerRegion: number;
  readonly prefillChunk: number;
  readonly secondsPerToken: number;
  readonly secondsPerPromptToken: number;
  /** Over all sequences of the context for which there is room. */
  readonly tokensPerSecond: number;
  readonly kvTokensRoom: number;
}

export interface DecodePoint {
  /** Cached tokens, the new one included. */
  readonly context: number;
  readonly tokensPerSecond: number;
}

/** How far the model was from one kind of published measurement, without rows that a constant was chosen from. */
export interface ValidationReport extends GroupError {
  readonly predictedRows: readonly string[];
  readonly chosenRows: readonly string[];
  readonly kinds: readonly string[];
}

export interface PlacementReport {
  readonly standing: 'simulated';
  readonly model: {
    readonly id: string;
    readonly name: string;
    readonly parameters: number;
    readonly layers: number;
    readonly hidden: number;
    readonly vocab: number;
    readonly maxContext: number;
    /** Features that are sized and timed but cannot be executed. */
    readonly sizingOnly: readonly string[];
  };
  readonly numerics: Numerics;
  /** What is left out of the weights. */
  readonly pruning?: Pruning;
  readonly placement: {
    readonly target: string;
    readonly wafers: number;
    readonly objective: Objective;
    /** Seconds that a token may take, where that was asked for. */
    readonly maxLatency?: number;
    /** Of all wafers. */
    readonly pesUsed: number;
    readonly pesUsable: number;
    readonly prefillChunk: number;
    /** Cached tokens, over all sequences: asked for, and those for which there is room. */
    readonly kvTokens: number;
    readonly kvTokensRoom: number;
    readonly stages: readonly StageReport[];
    readonly histogram: readonly MemoryBin[];
    /** Of each wafer, where defects were given; hops more that an all-reduce takes on the worst line of any region. */
    readonly defects?: Omit<RepairedWafer, 'detours'> & { readonly worstDetour: number };
    /** Absent where the program came from an artifact. */
    readonly search?: {
      readonly tried: number;
      readonly fitting: number;
      readonly frontier: readonly PlacementChoice[];
    };
  };
  readonly decode: DecodePoint & {
    readonly cycles: number;
    readonly breakdown: Breakdown;
    /** Between wafers and to the host. */
    readonly ioSeconds: number;
    readonly secondsPerToken: number;
    readonly joulesPerToken: number;
    /** The same at other contexts. */
    readonly others: readonly DecodePoint[];
  };
  /** Many users at the same context. */
  readonly throughput: Throughput;
  readonly prefill: {
    readonly promptTokens: number;
    /** Prompt and first output token on idle wafers, no queue and no network. */
    readonly timeToFirstToken: number;
  };
  readonly restsOn: {
    readonly basis: string;
    readonly clock: {
      readonly hertz: number;
      /** Whether the person set it. */
      readonly given: boolean;
      readonly fact: Fact;
      /** Tokens per second at the lowest and highest published clock. */
      readonly slowest: DecodePoint & { readonly hertz: number };
      readonly fastest: DecodePoint & { readonly hertz: number };
    };
    readonly systemSram: Fact;
    readonly bytesPerInstruction: Fact;
    /** Where heads do not divide PEs: what whole heads and rotary pairs, as the PE program has them, would take more. */
    readonly wholeHeads?: WholeHeads;
    readonly systemPower: Fact;
    /** Facts that the figures depend on and for which this wafer has no source of its own. */
    readonly assumed: readonly ({ readonly name: string } & Fact)[];
    readonly validation: readonly ValidationReport[];
  };
}

export interface ReportOptions {
  /** Cached tokens that were asked for, over all sequences. */
  readonly kvTokens: number;
  /** Prompt that the time to first token is stated for; by default 1,024 or what the model takes. */
  readonly promptTokens?: number | undefined;
  readonly clockGiven: boolean;
  /** Default: 'wafers'. */
  readonly objective?: Objective | undefined;
  readonly maxLatency?: number | undefined;
  readonly repaired?: RepairedWafer | undefined;
  /** Groups of published rows to compare with; each is predicted anew. */
  readonly validation: readonly string[];
}

/** Bytes of weights more on the fullest PE of the region that is left with the least. */
export interface WholeHeads {
  readonly more: number;
  /** What is left then; negative where they do not fit. */
  readonly free: number;
}

function wholeHeadsOf(program: Program, reports: readonly StageReport[]): WholeHeads | undefined {
  const all = bytesOfWholeHeads(program).map((more, i) => ({ more, free: reports[i].memory.free - more }));
  const padded = all.filter(({ more }) => more > 0);
  if (padded.length === 0) return undefined;
  return padded.reduce((worst, stage) => (stage.free < worst.free ? stage : worst));
}

const PROMPT_TOKENS = 1024;

export function reportPlacement(
  model: OpenModel,
  { program, wafer, facts, clock, stepModel, search }: PlacedModel,
  options: ReportOptions,
): PlacementReport {
  const { graph, stages } = program;
  const { kvTokens, clockGiven, validation, maxLatency } = options;
  const wafers = wafersOf(program);
  const context = contextOf(graph, kvTokens);
  const busy = stepModel.stageSeconds(context - 1);
  const reports = stages.map((stage, i) => reportStage(stage, kvTokens, busy[i]));
  const wholeHeads = wholeHeadsOf(program, reports);
  const pesUsable = wafers * wafer.programWidth * wafer.programHeight;
  const promptTokens = options.promptTokens ?? Math.min(PROMPT_TOKENS, context);
  const { layers, hidden, vocab, maxContext } = graph.shape;
  // The new token is the last of the context.
  const at = (tokens: number) => stepModel.decode(tokens - 1);
  const decode = at(context);
  const point = (tokens: number): DecodePoint => ({ context: tokens, tokensPerSecond: 1 / at(tokens).time });
  const prefill = stepModel.prefill(promptTokens);
  const clocks = [facts.clock.value, ...(facts.clock.disputed ?? []).map(({ value }) => value)];
  const atClock = (hertz: number) => ({
    hertz,
    context,
    tokensPerSecond: 1 / (decode.cycles / hertz + decode.io),
  });
  return {
    standing: 'simulated',
    model: {
      id: model.id,
      name: model.name,
      parameters: model.parameters,
      layers,
      hidden,
      vocab,
      maxContext,
      sizingOnly: graph.unsupported,
    },
    numerics: program.numerics,
    pruning: program.pruning,
    placement: {
      target: wafer.name,
      wafers,
      objective: options.objective ?? 'wafers',
      maxLatency,
      pesUsed: stages.reduce((sum, { region }) => sum + region.width * region.height, 0),
      pesUsable,
      prefillChunk: program.prefillChunk,
      kvTokens,
      kvTokensRoom: kvTokensOf(program),
      stages: reports,
      histogram: histogramOf(reports, pesUsable),
      ...(options.repaired === undefined ? {} : { defects: defectsOf(options.repaired, stages) }),
      ...(search === undefined
        ? {}
        : {
            search: {
              tried: search.tried,
              fitting: search.fitting,
              frontier: search.frontier.map((candidate) => choiceOf(candidate, candidate === search.chosen)),
            },
          }),
    },
    decode: {
      context,
      cycles: decode.cycles,
      breakdown: stepModel.breakdown(context - 1),
      ioSeconds: decode.io,
      secondsPerToken: decode.time,
      tokensPerSecond: 1 / decode.time,
      joulesPerToken: decode.time * wafer.systemPower * wafers,
      others: [...new Set([1, Math.ceil(context / 2)])].filter((tokens) => tokens < context).map(point),
    },
    throughput: stepModel.throughput(context - 1),
    prefill: { promptTokens, timeToFirstToken: prefill.time },
    restsOn: {
      basis: stepModel.basis,
      clock: {
        hertz: clock satisfies Hertz,
        given: clockGiven,
        fact: facts.clock,
        slowest: atClock(Math.min(...clocks)),
        fastest: atClock(Math.max(...clocks)),
      },
      systemSram: facts.systemSram,
      bytesPerInstruction: peLimits[facts.id].bytesPerInstruction,
      wholeHeads,
      systemPower: facts.systemPower,
      assumed: assumedFacts(facts),
      validation: distanceToPublished(validation),
    },
  };
}

function defectsOf({ from, deadPes, deadLinks, shiftedRows }: RepairedWafer, stages: readonly Stage[]) {
  const worstDetour = Math.max(
    0,
    ...stages.flatMap(({ detours }) => (detours === undefined ? [] : [detours.x, detours.y])),
  );
  return { from, deadPes, deadLinks, shiftedRows, worstDetour };
}

function reportStage(stage: Stage, kvTokens: number, secondsPerToken: number): StageReport {
  const { wafer, region, fromLayer, toLayer, hasEmbedding, hasHead, memory } = stage;
  const held = { wafer, region, fromLayer, toLayer, hasEmbedding, hasHead };
  return { ...held, memory: peMemory(memory, kvTokens), secondsPerToken };
}

function peMemory(plan: MemoryPlan, kvTokens: number): PeMemory {
  const { capacity, system, code, weights, padding, activations } = plan;
  const tokensPerRow = plan.kvPerToken > 0 ? Math.floor(plan.kv / plan.kvPerToken) : 0;
  const rows = tokensPerRow > 0 ? (plan.kvTokens ?? 0) / tokensPerRow : 1;
  const kv = Math.ceil(kvTokens / rows) * plan.kvPerToken;
  return { capacity, system, code, weights, padding, activations, kv, free: plan.kv - kv };
}

/** Bytes of one bin. */
const BIN = 4096;

/** PEs by bytes in use; those in no region use none. */
function histogramOf(stages: readonly StageReport[], pesUsable: number): MemoryBin[] {
  const pes = new Map<number, number>();
  let idle = pesUsable;
  for (const { region, memory } of stages) {
    const bin = Math.floor(Math.min(memory.capacity - memory.free, memory.capacity - 1) / BIN);
    pes.set(bin, (pes.get(bin) ?? 0) + region.width * region.height);
    idle -= region.width * region.height;
  }
  const used = [...pes].sort(([a], [b]) => a - b).map(([bin, n]) => ({ from: bin * BIN, to: (bin + 1) * BIN, pes: n }));
  return [...(idle > 0 ? [{ from: 0, to: 0, pes: idle }] : []), ...used];
}

const choiceOf = (candidate: Candidate, isChosen: boolean): PlacementChoice => ({
  isChosen,
  wafers: candidate.wafers,
  region: candidate.mesh,
  regions: candidate.regions,
  layersPerRegion: candidate.layersPerRegion,
  prefillChunk: candidate.chunk,
  secondsPerToken: candidate.decode,
  secondsPerPromptToken: candidate.prefill,
  tokensPerSecond: candidate.throughput,
  kvTokensRoom: candidate.kvTokens,
});

/** What the closed form prices with; the reserve and the power are reported by themselves. */
const pricedFacts = [
  'fp16Lanes',
  'fp32Lanes',
  'sramReadPerCycle',
  'vectorStartup',
  'taskStart',
  'loopIteration',
  'division',
  'hop',
  'ramp',
  'linkRate',
  'ioLatency',
  'ioPerDirection',
] as const;

const assumedFacts = (facts: WaferFacts): ({ name: string } & Fact)[] =>
  pricedFacts.filter((name) => facts[name].standing === 'assumed').map((name) => ({ name, ...facts[name] }));

function distanceToPublished(groups: readonly string[]): ValidationReport[] {
  const lines = validate(
    publishedRows.filter(({ group }) => groups.includes(group)),
    true,
  );
  return groupErrors(lines).map((errors) => {
    const ofGroup = lines.filter(({ group }) => group === errors.group);
    const ids = (standing: string): string[] => ofGroup.filter((l) => l.standing === standing).map(({ id }) => id);
    return {
      ...errors,
      predictedRows: ids('predicted'),
      chosenRows: ids('chosen'),
      kinds: [...new Set(ofGroup.map(({ kind }) => kind))],
    };
  });
}

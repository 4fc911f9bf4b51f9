// What is known of a placed model: figures and what they rest on, as one document. The text is rendered from it,
// and `--json` prints it.

import type { Hertz } from '../../../core/index.ts';
import { groupErrors, validate, type GroupError } from '../../../plan/index.ts';
import type { Breakdown } from '../../../sim/index.ts';
import { publishedRows, type Fact, type WaferFacts } from '../../../spec/index.ts';
import { kvTokensOf, type MemoryPlan, type Numerics, type Stage } from '../../../wafer/index.ts';
import { contextOf, type OpenModel, type PlacedModel } from '../../place.ts';

/** Bytes on the fullest PE of a wafer; the parts add up to the capacity. */
export interface PeMemory {
  readonly capacity: number;
  readonly reserved: number;
  readonly weights: number;
  readonly activations: number;
  /** For the cached tokens that were asked for. */
  readonly kv: number;
  readonly free: number;
}

export interface StageReport {
  readonly wafer: number;
  /** Layers [fromLayer, toLayer). */
  readonly fromLayer: number;
  readonly toLayer: number;
  readonly hasEmbedding: boolean;
  readonly hasHead: boolean;
  /** Bytes. */
  readonly memory: PeMemory;
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
  readonly placement: {
    readonly target: string;
    readonly wafers: number;
    readonly region: { readonly width: number; readonly height: number };
    /** Per wafer. */
    readonly pesUsed: number;
    readonly pesUsable: number;
    readonly prefillChunk: number;
    /** Cached tokens, over all sequences: asked for, and those for which there is room. */
    readonly kvTokens: number;
    readonly kvTokensRoom: number;
    readonly stages: readonly StageReport[];
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
  readonly prefill: {
    readonly promptTokens: number;
    readonly cycles: number;
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
    readonly reservedSram: Fact;
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
  /** Groups of published rows to compare with; each is predicted anew. */
  readonly validation: readonly string[];
}

const PROMPT_TOKENS = 1024;

export function reportPlacement(
  model: OpenModel,
  { program, wafer, facts, clock, stepModel }: PlacedModel,
  options: ReportOptions,
): PlacementReport {
  const { graph, stages } = program;
  const mesh = stages[0].region;
  const { kvTokens, clockGiven, validation } = options;
  const context = contextOf(graph, kvTokens);
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
    placement: {
      target: wafer.name,
      wafers: stages.length,
      region: { width: mesh.width, height: mesh.height },
      pesUsed: mesh.width * mesh.height,
      pesUsable: wafer.programWidth * wafer.programHeight,
      prefillChunk: program.prefillChunk,
      kvTokens,
      kvTokensRoom: kvTokensOf(program),
      stages: stages.map((stage) => reportStage(stage, kvTokens)),
    },
    decode: {
      context,
      cycles: decode.cycles,
      breakdown: decode.breakdown,
      ioSeconds: decode.io,
      secondsPerToken: decode.time,
      tokensPerSecond: 1 / decode.time,
      joulesPerToken: decode.time * wafer.systemPower * stages.length,
      others: [...new Set([1, Math.ceil(context / 2)])].filter((tokens) => tokens < context).map(point),
    },
    prefill: { promptTokens, cycles: prefill.cycles, timeToFirstToken: prefill.time },
    restsOn: {
      basis: stepModel.basis,
      clock: {
        hertz: clock satisfies Hertz,
        given: clockGiven,
        fact: facts.clock,
        slowest: atClock(Math.min(...clocks)),
        fastest: atClock(Math.max(...clocks)),
      },
      reservedSram: facts.reservedSram,
      systemPower: facts.systemPower,
      assumed: assumedFacts(facts),
      validation: distanceToPublished(validation),
    },
  };
}

function reportStage({ wafer, fromLayer, toLayer, hasEmbedding, hasHead, memory }: Stage, kvTokens: number) {
  return { wafer, fromLayer, toLayer, hasEmbedding, hasHead, memory: peMemory(memory, kvTokens) };
}

function peMemory(plan: MemoryPlan, kvTokens: number): PeMemory {
  const { capacity, code: reserved, weights, activations } = plan;
  const tokensPerRow = plan.kvPerToken > 0 ? Math.floor(plan.kv / plan.kvPerToken) : 0;
  const rows = tokensPerRow > 0 ? (plan.kvTokens ?? 0) / tokensPerRow : 1;
  const kv = Math.ceil(kvTokens / rows) * plan.kvPerToken;
  return { capacity, reserved, weights, activations, kv, free: plan.kv - kv };
}

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

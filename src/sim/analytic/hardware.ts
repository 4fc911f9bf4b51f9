// What the machine looks like while it does some work: power by cause, temperature, load of links and regions. The work
// is what a serving engine did in a while, so the figures follow the traffic; that the machine does it is simulated.

import type { HeatFacts, SiliconFacts, Wafer } from '../../spec/index.ts';
import { kvTokensOf, wafersOf, type Program, type Region } from '../../wafer/index.ts';
import { offWaferBytes, stageEnergies } from './energy.ts';
import { createHeatResponse, dieGrid } from './heat.ts';
import { passageOf, type PassageStage } from './passage.ts';
import type { AnalyticStepModel } from './step-model.ts';

/** Tokens that passed all stages in some seconds. */
export interface HardwareWork {
  readonly seconds: number;
  readonly tokens: number;
  /** Tokens cached behind each of them, summed. */
  readonly cached: number;
  /** Tokens of them whose logits were made. */
  readonly logits: number;
  /** Seconds that each stage was busy. */
  readonly busy: ArrayLike<number>;
}

/** Of a figure for one token, the parts that all have, that each cached token adds, and that logits add. */
interface Linear {
  readonly token: number;
  readonly cached: number;
  readonly logits: number;
}

const CAUSES = ['elements', 'fabric', 'hops'] as const;

/** Directed links between neighbours within a rectangle. */
const linksOf = ({ width, height }: Region): number => 2 * ((width - 1) * height + (height - 1) * width);

/** @param steps times the program */
export function createHardwareModel(
  program: Program,
  wafer: Wafer,
  steps: Pick<AnalyticStepModel, 'stageSeconds' | 'clock'>,
  heat: HeatFacts,
  silicon: SiliconFacts,
) {
  const { stages, graph } = program;
  const { clock } = steps;
  const wafers = wafersOf(program);
  const idle = heat.idleShare.value * wafer.systemPower;
  const area = { width: wafer.programWidth, height: wafer.programHeight };
  const grid = dieGrid(silicon);
  // Attention's work grows with the context in steps of a row's share of it; between the ends it is taken as a line.
  const longest = Math.min(kvTokensOf(program), graph.shape.maxContext) - 1;
  const lines = once(() => {
    const withoutLogits = { ...program, graph: { ...graph, epilogue: [] } };
    const [short, long] = [0, longest].map((cached) => stageEnergies(withoutLogits, wafer, heat, cached));
    const withLogits = stageEnergies(program, wafer, heat, 0);
    return stages.map((_, s) => {
      const line = (of: (typeof CAUSES)[number]): Linear => ({
        token: short[s][of],
        cached: longest > 0 ? (long[s][of] - short[s][of]) / longest : 0,
        logits: withLogits[s][of] - short[s][of],
      });
      return { elements: line('elements'), fabric: line('fabric'), hops: line('hops') };
    });
  });
  const byWafer = once(() =>
    Array.from({ length: wafers }, (_, index) => {
      const own = stages.flatMap((stage, s) => (stage.wafer === index ? [s] : []));
      const regions = own.map((s) => stages[s].region);
      return { own, response: createHeatResponse(grid, area, idle, regions, wafer.systemPower, heat) };
    }),
  );

  return {
    wafers,
    stages: stages.map(({ wafer: on, region, fromLayer, toLayer }) => ({ wafer: on, region, fromLayer, toLayer })),
    /** A token's way through the stages, alone, with so many cached tokens behind it. */
    passage: (cached: number): readonly PassageStage[] => passageOf(program, wafer, steps, cached),
    /** Watts, °C and shares, in the mean over the time of the work. */
    state(work: HardwareWork) {
      const rate = work.seconds > 0 ? 1 / work.seconds : 0;
      const perSecond = ({ token, cached, logits }: Linear): number =>
        rate * (work.tokens * token + work.cached * cached + work.logits * logits);
      const each = lines().map(({ elements, fabric, hops }, s) => ({
        elements: perSecond(elements),
        fabric: perSecond(fabric),
        /** Of the links within the region, the share of their cycles in which a wavelet crosses. */
        linkLoad: perSecond(hops) / Math.max(1, linksOf(stages[s].region) * wafer.linkRate * clock),
        busy: rate * work.busy[s],
      }));
      const sum = (of: 'elements' | 'fabric'): number => each.reduce((total, stage) => total + stage[of], 0);
      const bytes = work.tokens === 0 ? 0 : work.tokens * offWaferBytes(program, wafers, work.logits / work.tokens);
      const power = {
        idle: wafers * idle,
        elements: sum('elements'),
        fabric: sum('fabric'),
        offWafer: rate * bytes * 8 * heat.offWaferBit.value,
      };
      const heats = byWafer().map(({ own, response }) => response(own.map((s) => each[s].elements + each[s].fabric)));
      return {
        power,
        total: power.idle + power.elements + power.fabric + power.offWafer,
        rated: wafers * wafer.systemPower,
        hottest: Math.max(...heats.map((map) => map.hottest)),
        coolant: Math.max(...heats.map((map) => map.coolant)),
        /** By which the clock would have to be multiplied to keep every die within its limit; times do not have it. */
        clockScale: Math.min(...heats.map((map) => map.clockScale)),
        stages: each.map(({ busy, linkLoad }) => ({ busy, linkLoad })),
      };
    },
  };
}

/** Computed when first asked for. */
function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

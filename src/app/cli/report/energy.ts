// What `ingot energy` reports: power by cause, energy of a token, and the temperature of each die.

import { silicon, type Fact, type HeatFacts } from '../../../spec/index.ts';
import { dieGrid, heatMap, powerAt, stageEnergies, tokenRate, type PowerAt } from '../../../sim/index.ts';
import { wafersOf } from '../../../wafer/index.ts';
import type { OpenModel, PlacedModel } from '../../place.ts';

export interface EnergyReport {
  readonly simulated: string;
  readonly caution?: string;
  readonly model: { readonly name: string; readonly parameters: number };
  readonly wafers: number;
  readonly stages: number;
  readonly clockGHz: number;
  readonly context: number;
  readonly inFlight: number;
  /** In flight from which the slowest stage is always busy. */
  readonly saturated: number;
  readonly secondsPerToken: number;
  readonly power: PowerAt;
  /** At rated power all the time: what is known without any assumption of this report. */
  readonly joulesPerTokenAtRated: number;
  readonly heat: {
    /** The wafer with the hottest die, counted from 0. */
    readonly wafer: number;
    readonly columns: number;
    readonly rows: number;
    /** Row by row, W and °C. */
    readonly power: readonly number[];
    readonly temperature: readonly number[];
    readonly hottest: number;
    readonly coolest: number;
    readonly coolant: number;
    readonly limit: number;
    /** 1 where nothing is too hot. */
    readonly clockScale: number;
  };
  readonly restsOn: Readonly<Record<string, Fact>>;
}

export interface EnergyQuestion {
  readonly context: number;
  readonly inFlight: number;
  readonly heat: HeatFacts;
}

export function reportEnergy(
  model: Pick<OpenModel, 'name' | 'parameters'>,
  placed: PlacedModel,
  question: EnergyQuestion,
): EnergyReport {
  const { program, wafer, clock, stepModel, facts } = placed;
  const { context, inFlight, heat } = question;
  const wafers = wafersOf(program);
  const stages = stageEnergies(program, wafer, heat, context);
  const latency = stepModel.decode(context).time;
  const rate = tokenRate(stages, inFlight, latency, clock);
  const power = powerAt(program, stages, wafers, rate.tokensPerSecond, wafer, heat);
  const grid = dieGrid(silicon[wafer.id]);
  const area = { width: wafer.programWidth, height: wafer.programHeight };
  const maps = Array.from({ length: wafers }, (_, index) => {
    const sources = stages
      .filter(({ stage }) => stage.wafer === index)
      .map(({ stage, elements, fabric }) => ({
        region: stage.region,
        power: (elements + fabric) * rate.tokensPerSecond,
      }));
    return heatMap(grid, area, power.idle / wafers, sources, wafer.systemPower, heat);
  });
  const hottest = maps.reduce((worst, map, index) => (map.hottest > maps[worst].hottest ? index : worst), 0);
  const map = maps[hottest];
  return {
    simulated: stepModel.basis,
    caution: facts.caution,
    model: { name: model.name, parameters: model.parameters },
    wafers,
    stages: stages.length,
    clockGHz: clock / 1e9,
    context,
    inFlight,
    saturated: rate.saturated,
    secondsPerToken: latency,
    power,
    joulesPerTokenAtRated: power.rated / rate.tokensPerSecond,
    heat: {
      wafer: hottest,
      columns: grid.columns,
      rows: grid.rows,
      power: [...map.power],
      temperature: [...map.temperature],
      hottest: map.hottest,
      coolest: Math.min(...map.temperature),
      coolant: map.coolant,
      limit: heat.temperatureLimit.value,
      clockScale: Math.min(...maps.map((each) => each.clockScale)),
    },
    restsOn: {
      systemPower: facts.systemPower,
      idleShare: heat.idleShare,
      linkBit: heat.linkBit,
      offWaferBit: heat.offWaferBit,
      coolantInlet: heat.coolantInlet,
      coolantRise: heat.coolantRise,
      thermalResistance: heat.thermalResistance,
      temperatureLimit: heat.temperatureLimit,
    },
  };
}

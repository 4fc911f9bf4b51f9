import { fail, formatCount } from '../../core/index.ts';
import { heatFacts } from '../../spec/index.ts';
import { kvTokensOf } from '../../wafer/index.ts';
import { contextOf, openModel, placeModel, type PlacedModel } from '../place.ts';
import { addExamples, jsonOption, numberOption, printJson, wholeOption, type CliCommand } from './command.ts';
import { clockOption, contextOption, modelArgument, servedWaferOption } from './placement-options.ts';
import { pictureFile, writePicture } from './picture-file.ts';
import { reportEnergy } from './report/energy.ts';
import { drawHeat } from './report/energy-picture.ts';
import { renderEnergy } from './report/energy-text.ts';

interface EnergyOptions {
  readonly wafer?: string;
  readonly context: number;
  readonly inFlight: number;
  readonly clock?: number;
  readonly idle: number;
  readonly coolant: number;
  readonly resistance: number;
  readonly limit: number;
  readonly picture?: string;
  readonly json?: boolean;
}

export const energyCommand: CliCommand<EnergyOptions> = {
  declare(command) {
    const { idleShare, coolantInlet, thermalResistance, temperatureLimit } = heatFacts;
    command
      .description(
        'Where the energy of a model that is placed on wafers goes while it decodes, how much one token takes, how hot ' +
          'each die gets, and by how much the clock would have to fall above a temperature. Most of what this rests on ' +
          'is assumed, for nobody has published it: the options change it.',
      )
      .addArgument(modelArgument('artifact', 'name'))
      .addOption(servedWaferOption())
      .addOption(contextOption())
      .addOption(
        wholeOption('--in-flight <N>', 'sequences that decode at once; they share the KV cache', 1, 1e6).default(1),
      )
      .addOption(clockOption())
      .addOption(
        numberOption('--idle <share>', 'share of rated power drawn with no work (assumed)', {
          min: 0,
          max: 0.99,
        }).default(idleShare.value),
      )
      .addOption(
        numberOption('--coolant <C>', 'temperature of the coolant as it enters, °C', { min: -20, max: 90 }).default(
          coolantInlet.value,
        ),
      )
      .addOption(
        numberOption('--resistance <R>', 'from transistors to coolant, K·cm²/W (assumed)', {
          min: 0,
          max: 100,
          aboveMin: true,
        }).default(thermalResistance.value),
      )
      .addOption(
        numberOption('--limit <C>', 'temperature above which the clock falls, °C (assumed)', {
          min: 0,
          max: 200,
        }).default(temperatureLimit.value),
      )
      .option('--picture <file>', 'write a map of the hottest wafer as SVG', pictureFile('the picture'))
      .addOption(jsonOption());
    addExamples(command, [
      ['an 8B model, one user', 'ingot energy llama-3.1-8b'],
      [
        'as many users as keep every region busy, and a picture',
        'ingot energy llama-3.1-8b --in-flight 64 --picture heat.svg',
      ],
      ['what if the cooling were worse?', 'ingot energy llama-3.1-8b --in-flight 64 --resistance 2 --coolant 40'],
    ]);
  },

  async run(io, options, [reference]) {
    const model = openModel(reference);
    try {
      const placed = placeModel(model, { wafer: options.wafer, kvTokens: options.context, clockGHz: options.clock });
      const given = (fact: (typeof heatFacts)['idleShare'], value: number): typeof fact =>
        value === fact.value
          ? fact
          : { ...fact, value, basis: 'as asked for', source: 'an option', standing: 'assumed' };
      const report = reportEnergy(model, placed, {
        context: contextOf(model.graph, Math.min(options.context, cachedEach(placed, options.inFlight))),
        inFlight: options.inFlight,
        heat: {
          ...heatFacts,
          idleShare: given(heatFacts.idleShare, options.idle),
          coolantInlet: given(heatFacts.coolantInlet, options.coolant),
          thermalResistance: given(heatFacts.thermalResistance, options.resistance),
          temperatureLimit: given(heatFacts.temperatureLimit, options.limit),
        },
      });
      if (options.picture !== undefined) writePicture(options.picture, drawHeat(report));
      if (options.json === true) printJson(io, report);
      else io.out(renderEnergy(report, io.paint));
      if (options.picture !== undefined) io.err(`picture written to ${options.picture}\n`);
      return 0;
    } finally {
      model.checkpoint?.close();
    }
  },
};

/** Tokens that each of the sequences may have in the KV cache at once. */
function cachedEach({ program }: PlacedModel, inFlight: number): number {
  const room = kvTokensOf(program);
  return room >= inFlight
    ? Math.floor(room / inFlight)
    : fail({
        code: 'ENERGY_TOO_MANY_IN_FLIGHT',
        message: 'there is not room in the KV cache for a token of each sequence',
        where: '--in-flight',
        expected: `at most ${formatCount(room)}`,
        found: formatCount(inFlight),
        suggestion: 'fewer sequences, or a larger --context, which makes room in the placement',
      });
}

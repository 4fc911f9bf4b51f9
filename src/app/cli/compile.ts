import { Argument } from 'commander';

import { openModel, placeModel } from '../place.ts';
import {
  addExamples,
  choiceOption,
  jsonOption,
  meshOption,
  numberOption,
  printJson,
  wholeOption,
  type CliCommand,
} from './command.ts';
import { contextOption, waferOption } from './placement-options.ts';
import { renderPlacement } from './report/placement-text.ts';
import { reportPlacement } from './report/placement.ts';

interface CompileOptions {
  readonly wafer: string;
  readonly context: number;
  readonly promptTokens?: number;
  readonly wafers?: number;
  readonly mesh?: { readonly width: number; readonly height: number };
  readonly weights?: 'bf16' | 'f16' | 'int8' | 'f32';
  readonly activations?: 'fp16' | 'fp32';
  readonly clock?: number;
  readonly json?: boolean;
}

export const compileCommand: CliCommand<CompileOptions> = {
  declare(command) {
    command
      .description(
        'Place a model on as few wafers as hold it, and report memory, simulated speed and energy, and what these ' +
          'figures rest on. Speed is stated at the longest context that the model and --context allow. A model by ' +
          'name needs no weights.',
      )
      .addArgument(new Argument('<model>', 'a folder with a checkpoint (write ./NAME), or a name from "ingot models"'))
      .addOption(waferOption())
      .addOption(contextOption())
      .addOption(
        wholeOption(
          '--prompt-tokens <tokens>',
          'prompt for which the time to first token is stated (default: 1,024, or the longest that the model takes)',
          1,
          1e7,
        ),
      )
      .addOption(wholeOption('--wafers <count>', 'use at most this many wafers (default: as many as needed)', 1, 1024))
      .addOption(meshOption('--mesh <WxH>', 'region of PEs to use on each wafer (default: the fastest that fits)'))
      .addOption(
        choiceOption(
          '--weights <type>',
          'element type of weights',
          ['bf16', 'f16', 'int8', 'f32'],
          '(default: f16; for a folder as stored)',
        ),
      )
      .addOption(
        choiceOption(
          '--activations <type>',
          'element type of activations and KV cache',
          ['fp16', 'fp32'],
          '(default: fp16; for a folder fp32, as executed)',
        ),
      )
      .addOption(
        numberOption('--clock <GHz>', 'fabric clock in GHz (default: of the wafer)', {
          min: 0,
          max: 10,
          aboveMin: true,
        }),
      )
      .addOption(jsonOption());
    addExamples(command, [
      ['size and speed of an 8B model on the WSE-3', 'ingot compile llama-3.1-8b'],
      [
        'room for many users, at the clock that headline figures imply',
        'ingot compile qwen3-0.6b --context 65536 --clock 1.1',
      ],
      ['the checkpoint in a folder, as a document for other programs', 'ingot compile ./checkpoint --json'],
    ]);
  },

  async run(io, options, [reference]) {
    const model = openModel(reference);
    try {
      const { weights, activations, context: kvTokens } = options;
      const placed = placeModel(model, {
        wafer: options.wafer,
        kvTokens,
        numerics: {
          ...(weights === undefined ? {} : { weights }),
          ...(activations === undefined ? {} : { activations, kv: activations }),
        },
        ...(options.wafers === undefined ? {} : { maxWafers: options.wafers }),
        ...(options.mesh === undefined ? {} : { mesh: options.mesh }),
        ...(options.clock === undefined ? {} : { clockGHz: options.clock }),
      });
      const report = reportPlacement(model, placed, {
        kvTokens,
        promptTokens: options.promptTokens,
        clockGiven: options.clock !== undefined,
        validation: ['decode'],
      });
      if (options.json === true) printJson(io, report);
      else io.out(renderPlacement(report, io.paint));
      return 0;
    } finally {
      model.checkpoint?.close();
    }
  },
};

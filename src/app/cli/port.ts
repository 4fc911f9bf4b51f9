import { openModel, uncompiled } from '../place.ts';
import { addExamples, choiceOption, jsonOption, printJson, wholeOption, type CliCommand } from './command.ts';
import {
  contextOption,
  kvOption,
  modelArgument,
  numericsOf,
  waferOption,
  weightsOption,
  type NumericsOptions,
} from './placement-options.ts';
import { createProgress } from './progress.ts';
import { renderPort } from './report/port-text.ts';
import { reportPort } from './report/port.ts';

/** The one that was asked for, and those that it is compared with. */
const MOST_PLACEMENTS = 11;

interface PortOptions extends NumericsOptions {
  readonly wafer: string;
  readonly context: number;
  readonly wafers?: number;
  readonly objective?: 'wafers' | 'latency' | 'throughput';
  readonly json?: boolean;
}

export const portCommand: CliCommand<PortOptions> = {
  declare(command) {
    command
      .description(
        'What a team asks before it moves a model to a wafer: which ops have a program of PEs and which are timed by ' +
          'closed form, where each class of tensors is held and in which precision, where the cycles of decode and ' +
          'prefill go, what does not fit, what a change would give, and what is not checked.',
      )
      .addArgument(modelArgument('artifact', 'name'))
      .addOption(waferOption())
      .addOption(contextOption())
      .addOption(wholeOption('--wafers <count>', 'use at most this many wafers (default: as many as needed)', 1, 1024))
      .addOption(weightsOption())
      .addOption(
        choiceOption(
          '--activations <type>',
          'element type of activations',
          ['fp16', 'fp32'],
          '(default: fp16; for a folder fp32, as executed)',
        ),
      )
      .addOption(kvOption())
      .addOption(
        choiceOption(
          '--objective <what>',
          'what the placement is chosen for',
          ['wafers', 'latency', 'throughput'],
          '(default: wafers)',
        ),
      )
      .addOption(jsonOption());
    addExamples(command, [
      ['an 8B model on the WSE-3', 'ingot port llama-3.1-8b'],
      ['does it fit on one wafer, and what would make it fit?', 'ingot port llama-3.1-70b --wafers 1'],
      ['a checkpoint, as a document for other programs', 'ingot port ./checkpoint --json'],
    ]);
  },

  async run(io, options, [reference]) {
    const model = uncompiled(openModel(reference));
    try {
      const { wafer, context: kvTokens, wafers, objective } = options;
      let placing = '';
      let done = 0;
      const progress = createProgress(io, 'placing', { text: () => `placing: ${placing}` });
      const report = reportPort(
        model,
        {
          wafer,
          kvTokens,
          numerics: numericsOf(options),
          maxWafers: wafers,
          objective,
        },
        (what) => {
          placing = what;
          // A few seconds: where nobody watches, a line would tell nothing.
          if (io.errIsTerminal) progress.update(done++, MOST_PLACEMENTS);
        },
      );
      progress.end();
      if (options.json === true) printJson(io, report);
      else io.out(renderPort(report, io.paint));
      return 0;
    } finally {
      model.checkpoint?.close();
    }
  },
};

import { fail } from '../../core/index.ts';
import { addExamples, jsonOption, type CliCommand } from './command.ts';

export const simulate: CliCommand = {
  declare(command) {
    command
      .description(
        'Run a program on the fabric cycle by cycle. Not yet: the command ends with SIMULATE_NOT_YET. Figures in ' +
          'closed form are what "ingot compile" prints.',
      )
      .argument('[model]', 'a folder with a checkpoint, or a name from "ingot models"')
      .addOption(jsonOption());
    addExamples(command, [['the closed form instead', 'ingot compile qwen3-0.6b']]);
  },

  async run() {
    return fail({
      code: 'SIMULATE_NOT_YET',
      message: 'a whole program cannot be simulated cycle by cycle yet',
      suggestion: 'use "ingot compile" for the closed form, and "ingot validate" to see how far it is off',
    });
  },
};

import { addExamples, jsonOption, printJson, wholeOption, type CliCommand } from './command.ts';
import { contextOption, modelOption, threadsOption, waferOption } from './placement-options.ts';
import { serveUntilInterrupted, untilAborted, type ServeOptions } from './serving-loop.ts';

/** Port that other open servers use too. */
export const DEFAULT_PORT = 8000;

export const serve: CliCommand<ServeOptions> = {
  declare(command) {
    command
      .description(
        'Serve a checkpoint over the OpenAI API until Ctrl-C. Answers carry real times, and those that the ' +
          'simulated wafer would have taken, in time_info.',
      )
      .addOption(modelOption())
      .option('--host <address>', 'address to listen on; 0.0.0.0 is every address of this machine', '127.0.0.1')
      .addOption(
        wholeOption('--port <number>', 'port to listen on; 0 is any free one', 0, 65_535).default(DEFAULT_PORT),
      )
      .addOption(waferOption())
      .addOption(contextOption())
      .addOption(threadsOption())
      .addOption(jsonOption());
    addExamples(command, [
      ['the shipped checkpoint on http://127.0.0.1:8000/v1', 'ingot serve'],
      ['a checkpoint of yours, on every address', 'ingot serve --model ./my-model --host 0.0.0.0 --port 9000'],
    ]);
  },

  run: (io, options) =>
    serveUntilInterrupted(io, options, async ({ url, serving, signal }) => {
      if (options.json === true) printJson(io, { url: `${url}/v1`, model: serving.id });
      else io.out(`${serving.id} on ${url}/v1\n`);
      io.err(io.paintErr('dim', 'Ctrl-C ends it.\n'));
      await untilAborted(signal);
    }),
};

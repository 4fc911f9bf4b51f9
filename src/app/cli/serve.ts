import { Option } from 'commander';

import { MEAN_SENTENCES, schedulers, type SchedulerName } from '../../runtime/index.ts';
import {
  addExamples,
  choiceOption,
  jsonOption,
  printJson,
  UsageError,
  wholeOption,
  type CliCommand,
} from './command.ts';
import { DEFAULT_SCHEDULER } from '../serving.ts';
import { contextOption, modelOption, threadsOption, waferOption } from './placement-options.ts';
import { servingSummary } from './report/serving-text.ts';
import { serveUntilInterrupted, untilAborted, type ServeOptions } from './serving-loop.ts';

/** Port that other open servers use too. */
export const DEFAULT_PORT = 8000;

interface ServeCommandOptions extends ServeOptions {
  readonly emulate?: string;
  readonly tokenizer?: string;
  readonly pace?: 'wafer' | 'asap';
  readonly scheduler?: SchedulerName;
  readonly draft?: string;
  readonly draftTokens?: number;
  readonly coalesceMs?: number;
}

export const serve: CliCommand<ServeCommandOptions> = {
  declare(command) {
    command
      .description(
        'Serve a checkpoint over the OpenAI API until Ctrl-C, or a model without weights whose answers are filler. ' +
          'Answers carry real times, and those that the simulated wafer would have taken, in time_info.',
      )
      .addOption(modelOption())
      .addOption(
        new Option(
          '--emulate <model>',
          'a model by name (see "ingot models") or checkpoint, answering with filler text and no arithmetic; an answer ' +
            `ends after each sentence with a chance of 1 in ${MEAN_SENTENCES}, or at max_tokens`,
        ),
      )
      .addOption(
        new Option(
          '--tokenizer <path>',
          'checkpoint whose tokenizer an emulated model takes (default: a built-in vocabulary of words and letters)',
        ),
      )
      .addOption(
        choiceOption(
          '--pace <pace>',
          'when tokens go out',
          ['wafer', 'asap'],
          '(default: wafer, at the simulated time, where emulated; else as soon as possible)',
        ),
      )
      .addOption(
        choiceOption(
          '--scheduler <name>',
          'who goes first',
          Object.keys(schedulers),
          `(default: ${DEFAULT_SCHEDULER})`,
        ),
      )
      .addOption(
        new Option(
          '--draft <drafter>',
          'verify several guessed tokens in a step: "ngram" looks guesses up in the prompt, a path is a checkpoint of ' +
            'a smaller model with the same vocabulary; answers stay the same (default: only predictions that requests bring)',
        ),
      )
      .addOption(wholeOption('--draft-tokens <count>', 'guesses per step and sequence (default: 4)', 1, 32))
      .addOption(
        wholeOption(
          '--coalesce-ms <ms>',
          'let streamed tokens travel together, none waiting longer than this (default: 0, each travels at once)',
          0,
          1000,
        ),
      )
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
      ["the wafer's rhythm without weights, to test a client against", 'ingot serve --emulate llama-3.1-70b'],
    ]);
  },

  run(io, options) {
    refuseConflicts(options);
    return serveUntilInterrupted(
      io,
      options,
      async ({ url, serving: { id }, signal }) => {
        if (options.json === true) printJson(io, { url: `${url}/v1`, model: id });
        else io.out(`${id} on ${url}/v1\n`);
        if (options.emulate !== undefined) io.err(io.paintErr('dim', 'Emulated: answers are filler.\n'));
        io.err(io.paintErr('dim', 'Ctrl-C ends it.\n'));
        await untilAborted(signal);
      },
      { onClosed: ({ engine }) => io.err(servingSummary(engine.counts)) },
    );
  },
};

/** @throws UsageError OPTIONS_CONFLICT */
function refuseConflicts({ model, emulate, tokenizer, draft, draftTokens }: ServeCommandOptions): void {
  const conflict = (message: string, where: string, suggestion: string): never => {
    throw new UsageError({ code: 'OPTIONS_CONFLICT', message, where, suggestion });
  };
  if (model !== undefined && emulate !== undefined) {
    conflict('a checkpoint is executed or a model is emulated, not both', '--emulate', 'leave one of them out');
  }
  if (tokenizer !== undefined && emulate === undefined) {
    conflict('a checkpoint has a tokenizer of its own', '--tokenizer', 'leave it out, or emulate a model');
  }
  if (draftTokens !== undefined && draft === undefined) {
    conflict('nobody drafts', '--draft-tokens', 'say who does, for example --draft ngram');
  }
}

import { complete, postTo, type CompletionAnswer } from '../completion.ts';
import { addExamples, jsonOption, printJson, wholeOption, type CliCommand } from './command.ts';
import type { Io } from './io.ts';
import { contextOption, modelOption, threadsOption, servedWaferOption } from './placement-options.ts';
import { renderPlacementShort } from './report/placement-text.ts';
import { reportPlacement, type PlacementReport } from './report/placement.ts';
import { timingTable } from './report/timing-text.ts';
import { DEFAULT_PORT } from './serve.ts';
import { serveUntilInterrupted, untilAborted, type Listening, type ServeOptions } from './serving-loop.ts';

interface UpOptions extends Omit<ServeOptions, 'models'> {
  readonly model?: string;
  readonly json?: boolean;
  readonly prompt?: string;
  readonly maxTokens?: number;
  readonly once?: boolean;
}

/** A question for checkpoints with a chat template, a beginning for others. */
const QUESTION = 'What is a wafer?';
const BEGINNING = 'The wafer is';
const MAX_TOKENS = 64;

export const up: CliCommand<UpOptions> = {
  declare(command) {
    command
      .description(
        'Load a checkpoint, compile it for a wafer with a short report, serve it over the OpenAI API, ask it one ' +
          'thing through that API, and go on serving until Ctrl-C.',
      )
      .addOption(modelOption())
      .option('--prompt <text>', `what to ask (default: "${QUESTION}", or without a chat template "${BEGINNING}")`)
      .addOption(wholeOption('--max-tokens <count>', `most tokens of the answer (default: ${MAX_TOKENS})`, 1, 1e6))
      .option('--once', 'end after the answer instead of serving on')
      .option('--host <address>', 'address to listen on', '127.0.0.1')
      .option('--no-auth', 'listen on an address that others can reach, and let them use it')
      .addOption(
        wholeOption('--port <number>', 'port to listen on; 0 is any free one', 0, 65_535).default(DEFAULT_PORT),
      )
      .addOption(servedWaferOption())
      .addOption(contextOption())
      .addOption(threadsOption())
      .addOption(jsonOption());
    addExamples(command, [
      ['everything at once, with the shipped checkpoint', 'ingot up'],
      ['a checkpoint of yours, then end', 'ingot up --model ./my-model --prompt "Once upon a time" --once'],
    ]);
  },

  run(io, options) {
    const isJson = options.json === true;
    let report: PlacementReport | undefined;
    const { host, port, wafer, context, threads, model, auth } = options;
    return serveUntilInterrupted(
      io,
      {
        host,
        port,
        wafer,
        context,
        threads,
        models: [{ model }],
        // The option is only for no; without it, it says yes.
        ...(auth === false ? { auth } : {}),
      },
      async (listening) => {
        const { url, serving, signal } = listening;
        if (!isJson) io.out(`\nserving ${io.paint('bold', `${url}/v1`)}\n\n`);
        const answer = await ask(io, listening, options);
        const api = `${url}/v1`;
        if (isJson) printJson(io, { url: api, model: serving.first.id, placement: report, answer });
        else io.out(`\n${timingTable(answer, serving.first.placed.facts.name, io.paint)}\n${curl(listening)}\n`);
        if (options.once === true) return;
        io.err(io.paintErr('dim', '\nServing until Ctrl-C.\n'));
        await untilAborted(signal);
      },
      {
        onPlaced(model, placed) {
          report = reportPlacement(model, placed, {
            kvTokens: options.context,
            clockGiven: false,
            validation: ['decode'],
          });
          if (!isJson) io.out(renderPlacementShort(report, io.paint));
        },
      },
    );
  },
};

function ask(io: Io, { url, serving, signal }: Listening, options: UpOptions): Promise<CompletionAnswer> {
  const isJson = options.json === true;
  // A model with a short context has room for a short answer only.
  const maxTokens = options.maxTokens ?? Math.min(MAX_TOKENS, Math.ceil(serving.first.engine.maxContext / 2));
  const prompt = options.prompt ?? (serving.first.hasChat ? QUESTION : BEGINNING);
  if (!isJson) io.out(serving.first.hasChat ? `${io.paint('cyan', `> ${prompt}`)}\n` : io.paint('cyan', prompt));
  return complete(
    postTo(url),
    { model: serving.first.id, max_tokens: maxTokens, temperature: 0, seed: 0 },
    serving.first.hasChat ? { message: prompt } : { text: prompt },
    isJson ? () => {} : io.out,
    signal,
  ).finally(() => {
    if (!isJson) io.out('\n');
  });
}

/** A command to paste, of short lines; it asks for the text that was shown. */
function curl({ url, serving }: Listening): string {
  const [path, asked] = serving.first.hasChat
    ? ['chat/completions', `"messages": [{"role": "user", "content": "${QUESTION}"}]`]
    : ['completions', `"prompt": "${BEGINNING}"`];
  // A folder's name may have a quote in it, which ends the shell's.
  const model = JSON.stringify(serving.first.id).replaceAll("'", "'\\''");
  return [
    `curl ${url}/v1/${path} \\`,
    `  -H 'content-type: application/json' \\`,
    `  -d '{"model": ${model}, "temperature": 0,`,
    `       ${asked}}'`,
  ].join('\n');
}

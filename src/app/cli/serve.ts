import process from 'node:process';

import { Option } from 'commander';

import { logLevels, MEAN_SENTENCES, schedulers, type SchedulerName } from '../../runtime/index.ts';
import {
  addExamples,
  choiceOption,
  invalid,
  jsonOption,
  numberOption,
  printJson,
  UsageError,
  wholeOption,
  type CliCommand,
} from './command.ts';
import { ANY_ORIGIN } from '../http/cross-origin.ts';
import { logFormats } from '../telemetry/reports.ts';
import { DEFAULT_SCHEDULER, type ModelChoice } from '../model-version.ts';
import { KEPT_RESPONSES_MB, type Serving } from '../serving.ts';
import { contextOption, threadsOption, servedWaferOption } from './placement-options.ts';
import { servingSummary } from './report/serving-text.ts';
import { serveUntilInterrupted, untilAborted, type ServeOptions } from './serving-loop.ts';

/** Port that other open servers use too. */
export const DEFAULT_PORT = 8000;

interface ServeCommandOptions extends Omit<ServeOptions, 'models' | 'aliases'> {
  readonly model?: readonly string[];
  readonly emulate?: readonly string[];
  readonly tokenizer?: string;
  readonly alias?: Readonly<Record<string, string>>;
  readonly json?: boolean;
  readonly pace?: 'wafer' | 'asap';
  readonly scheduler?: SchedulerName;
  readonly sloTtftMs?: number;
  readonly sloTpotMs?: number;
  readonly deadlineMs?: number;
  readonly draft?: string;
  readonly draftTokens?: number;
  readonly coalesceMs?: number;
  readonly keepResponsesMb?: number;
}

export const serve: CliCommand<ServeCommandOptions> = {
  declare(command) {
    command
      .description(
        'Serve a checkpoint over the OpenAI API until Ctrl-C, or a model without weights whose answers are filler. ' +
          'Answers carry real times, and those that the simulated wafer would have taken, in time_info.',
      )
      .addOption(
        new Option(
          '--model <path>',
          'checkpoint: a folder, a GGUF or ONNX file, or an artifact; several may be given (default: the one that ships with Ingot)',
        ).argParser(collect),
      )
      .addOption(
        new Option(
          '--emulate <model>',
          'a model by name (see "ingot models") or checkpoint, answering with filler text and no arithmetic; an answer ' +
            `ends after each sentence with a chance of 1 in ${MEAN_SENTENCES}, or at max_tokens; several may be given`,
        ).argParser(collect),
      )
      .addOption(
        new Option('--alias <name=model>', 'another name for a model; several may be given').argParser(collectAlias),
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
        milliseconds(
          '--slo-ttft-ms <ms>',
          'time to the first token that requests are promised which name none; --scheduler slo goes by it, and ' +
            '/metrics tells how often it was kept',
        ),
      )
      .addOption(milliseconds('--slo-tpot-ms <ms>', 'the same, for each further token'))
      .addOption(milliseconds('--deadline-ms <ms>', 'longest that a request may take; it then ends with an error'))
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
      .addOption(
        wholeOption(
          '--keep-responses-mb <mb>',
          'memory for responses of /v1/responses that clients can go on with by their ids; the oldest make room ' +
            `(default: ${KEPT_RESPONSES_MB}; 0: none are kept)`,
          0,
          100_000,
        ),
      )
      .option('--host <address>', 'address to listen on; 0.0.0.0 is every address of this machine', '127.0.0.1')
      .addOption(
        wholeOption('--port <number>', 'port to listen on; 0 is any free one', 0, 65_535).default(DEFAULT_PORT),
      )
      .addOption(
        new Option(
          '--cors-origin <origin>',
          'let pages of this origin use the API from a browser; several may be given, "*" is every page (default: none)',
        ).argParser(collectOrigin),
      )
      .option('--auth', 'every request needs a key of a tenant; keys are made by the admin API')
      .option('--no-auth', 'listen on an address that others can reach, and let them use it')
      .addOption(wholeOption('--admin-port <number>', 'port of the admin API (default: none)', 0, 65_535))
      .option('--admin-host <address>', 'address of the admin API', '127.0.0.1')
      .addOption(
        new Option(
          '--admin-key-file <path>',
          'file with the key that operators send (default: one is made, and shown once)',
        ),
      )
      .addOption(
        new Option(
          '--data <folder>',
          'keep tenants, keys, audit log and usage here, in PGlite; with DATABASE_URL set in PostgreSQL, and only the ' +
            'journal of usage here (default: in memory)',
        ),
      )
      .addOption(new Option('--tls-cert <path>', 'certificate chain in PEM, for HTTPS; read again at SIGHUP'))
      .addOption(new Option('--tls-key <path>', 'its private key in PEM'))
      .addOption(servedWaferOption())
      .addOption(contextOption())
      .addOption(threadsOption())
      .addOption(
        choiceOption(
          '--log-format <format>',
          'a line for each request on standard output',
          logFormats,
          '(default: none)',
        ),
      )
      .addOption(choiceOption('--log-level <level>', 'this and what is worse', logLevels, '(default: info, all)'))
      .option('--log-prompts', 'with what was asked; it is left out else')
      .addOption(
        new Option(
          '--otlp-endpoint <url>',
          'collector that takes traces, OTLP over HTTP (default: OTEL_EXPORTER_OTLP_ENDPOINT, or no traces)',
        ),
      )
      .addOption(
        numberOption(
          '--otlp-share <share>',
          'share of requests that are traced where clients do not say (default: 1)',
          {
            min: 0,
            max: 1,
          },
        ),
      )
      .addOption(jsonOption());
    addExamples(command, [
      ['the shipped checkpoint on http://127.0.0.1:8000/v1', 'ingot serve'],
      ['for others, who need keys', 'ingot serve --host 0.0.0.0 --auth --admin-port 8001 --data ./data'],
      ['two models at once, and a name to ask for', 'ingot serve --model ./a --model ./b --alias chat=a'],
      ['logs and traces', 'ingot serve --log-format json --otlp-endpoint http://127.0.0.1:4318'],
      ["the wafer's rhythm without weights, to test a client against", 'ingot serve --emulate llama-3.1-70b'],
    ]);
  },

  run(io, options) {
    refuseConflicts(options);
    const { model: _, emulate, tokenizer: __, alias, json, ...shared } = options;
    const databaseUrl = process.env['DATABASE_URL'];
    return serveUntilInterrupted(
      io,
      {
        ...shared,
        models: choicesOf(options),
        aliases: alias,
        ...(databaseUrl === undefined || databaseUrl === '' ? {} : { databaseUrl }),
      },
      async ({ url, serving: { first, registry }, admin, signal }) => {
        const names = registry.models.map(({ id }) => id);
        const document = { url: `${url}/v1`, model: first.id, models: names, ...(admin && { admin_url: admin.url }) };
        const madeKey = admin?.madeKey;
        // Logs are kept where a key should not be.
        if (options.logFormat === 'json') io.out(`${JSON.stringify({ message: 'listening', ...document })}\n`);
        else if (json === true) printJson(io, { ...document, ...(madeKey && { admin_key: madeKey }) });
        else io.out(`${names.join(', ')} on ${url}/v1\n`);
        if (admin !== undefined) io.err(`Admin API on ${admin.url}/admin\n`);
        if (madeKey !== undefined && json !== true) io.err(`Its key, shown this once: ${madeKey}\n`);
        if (emulate !== undefined) io.err(io.paintErr('dim', 'Emulated: answers are filler.\n'));
        io.err(io.paintErr('dim', 'Ctrl-C ends it.\n'));
        await untilAborted(signal);
      },
      { onClosed: (serving) => io.err(summaryOf(serving)) },
    );
  },
};

const DAY_MS = 86_400_000;
const milliseconds = (flags: string, description: string): Option =>
  numberOption(flags, `${description} (default: none)`, { min: 0, max: DAY_MS, aboveMin: true });

/** Every value of an option that may be given several times. */
const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

function collectAlias(text: string, before: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  const [, name, model] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  return name === undefined
    ? invalid('--alias', 'NAME=MODEL', text, 'for example chat=ingot-tiny')
    : { ...before, [name]: model };
}

function collectOrigin(text: string, before: readonly string[] = []): readonly string[] {
  const origin = URL.canParse(text) ? new URL(text).origin : undefined;
  return text === ANY_ORIGIN || text === origin
    ? [...before, text]
    : invalid(
        '--cors-origin',
        'an origin, scheme and host and port without a path',
        text,
        'for example http://localhost:5173',
      );
}

function choicesOf({ model = [], emulate = [], tokenizer }: ServeCommandOptions): readonly ModelChoice[] {
  const executed = model.map((path) => ({ model: path }));
  const emulated = emulate.map((name) => ({ emulate: name, tokenizer }));
  const choices = [...executed, ...emulated];
  return choices.length === 0 ? [{}] : choices;
}

/** Of every version that was served. */
function summaryOf({ registry }: Serving): string {
  const served = [...registry.open.map(({ id, engine }) => ({ id, counts: engine.counts })), ...registry.closed];
  const heading = (id: string): string => (served.length === 1 ? '' : `${id}: `);
  return served.map(({ id, counts }) => `${heading(id)}${servingSummary(counts)}`).join('');
}

/** @throws UsageError OPTIONS_CONFLICT */
function refuseConflicts(options: ServeCommandOptions): void {
  const { emulate, tokenizer, draft, draftTokens, json, logFormat = 'none', logPrompts } = options;
  const conflict = (message: string, where: string, suggestion: string): never => {
    throw new UsageError({ code: 'OPTIONS_CONFLICT', message, where, suggestion });
  };
  if (tokenizer !== undefined && emulate === undefined) {
    conflict('a checkpoint has a tokenizer of its own', '--tokenizer', 'leave it out, or emulate a model');
  }
  if (draftTokens !== undefined && draft === undefined) {
    conflict('nobody drafts', '--draft-tokens', 'say who does, for example --draft ngram');
  }
  if (logPrompts === true && logFormat === 'none') {
    conflict('no log is kept that prompts could go to', '--log-prompts', 'add --log-format json');
  }
  if (json === true && logFormat !== 'none') {
    conflict(
      'one document is promised, and a log is many',
      '--json',
      'use --log-format json, whose first line has the URL',
    );
  }
}

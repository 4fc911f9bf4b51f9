// The command line. One file per command; only the one that is called is loaded.

import { enableCompileCache } from 'node:module';

import { Command, CommanderError } from 'commander';

import { formatDiagnostic, IngotError } from '../../core/index.ts';
import packageJson from '../../../package.json' with { type: 'json' };
import { printJson, UsageError, type CliCommand } from './command.ts';
import { LINE_WIDTH, processIo, type Io } from './io.ts';
import { unknownCommand, usageError } from './usage.ts';

// Types are stripped and code is compiled once, not at every start: it quarters the time to load a command.
enableCompileCache();

/** Every command in the order of help: what it does, and where it is. */
const commands: Readonly<Record<string, { readonly summary: string; readonly load: () => Promise<CliCommand> }>> = {
  up: {
    summary: 'load a checkpoint, place it on a wafer, serve it, and show one completion',
    load: async () => (await import('./up.ts')).up,
  },
  compile: {
    summary: 'place a model on wafers; report memory, speed and what they rest on',
    load: async () => (await import('./compile.ts')).compileCommand,
  },
  inspect: {
    summary: 'look into an artifact: inputs with hashes, program, report',
    load: async () => (await import('./inspect.ts')).inspect,
  },
  port: {
    summary: 'which ops run how, what is held where, hot spots, and what would fit',
    load: async () => (await import('./port.ts')).portCommand,
  },
  run: {
    summary: 'complete one prompt and stream the text',
    load: async () => (await import('./run.ts')).run,
  },
  serve: {
    summary: 'serve a checkpoint over the OpenAI API until Ctrl-C',
    load: async () => (await import('./serve.ts')).serve,
  },
  admin: {
    summary: 'operate a server: models, tenants, keys, usage, audit log',
    load: async () => (await import('./admin.ts')).admin,
  },
  simulate: {
    summary: 'run a collective or kernel cycle by cycle; report, trace, heat map',
    load: async () => (await import('./simulate.ts')).simulate,
  },
  validate: {
    summary: 'print published measurements against what Ingot predicts',
    load: async () => (await import('./validate.ts')).validateCommand,
  },
  evaluate: {
    summary: 'accuracy, memory and speed of a model by the format of its weights',
    load: async () => (await import('./evaluate.ts')).evaluate,
  },
  yield: {
    summary: 'draw or read defects of a wafer, repair it, and say what that costs',
    load: async () => (await import('./yield.ts')).yieldCommand,
  },
  energy: {
    summary: 'where the energy of a placed model goes, and how hot the wafer gets',
    load: async () => (await import('./energy.ts')).energyCommand,
  },
  stream: {
    summary: 'weight streaming: time of a training step, and of serving that way',
    load: async () => (await import('./stream.ts')).stream,
  },
  models: {
    summary: 'list the models that Ingot knows by name',
    load: async () => (await import('./models.ts')).models,
  },
  doctor: {
    summary: 'check that this machine has what Ingot needs',
    load: async () => (await import('./doctor.ts')).doctor,
  },
};

export const commandNames = Object.keys(commands);

const afterHelp = `
Results go to standard output, progress and notes to standard error. With
--json a command prints one JSON document; if it fails, {"errors": [...]}.

Exit codes:
  0    done (for serve and up also: ended by Ctrl-C)
  1    bad input, or a check failed; the error says what to do
  2    the command line was not understood
  3    a defect of Ingot
  130  interrupted

Examples:
  # see it work: one completion from the shipped checkpoint, then an API
  $ ingot up
  # how would an 8B model run on the wafer?
  $ ingot compile llama-3.1-8b`;

/**
 * Run a command line and set the exit code of the process.
 * @param argv without node and script
 */
export async function main(argv: readonly string[]): Promise<void> {
  process.exitCode = await runCli(argv, processIo());
}

/** Run a command line. @returns the exit code */
export async function runCli(argv: readonly string[], io: Io): Promise<number> {
  try {
    return await dispatch(argv, io);
  } catch (error) {
    return report(error, io, argv.includes('--json'));
  }
}

async function dispatch(argv: readonly string[], io: Io): Promise<number> {
  const program = createProgram(io);
  const name = argv[0] === 'help' ? argv[1] : argv[0];
  const word = name === undefined || name.startsWith('-') ? undefined : name;
  if (word !== undefined && !Object.hasOwn(commands, word)) throw unknownCommand(word, commandNames);

  let code = 0;
  let called = program;
  for (const [key, { summary, load }] of Object.entries(commands)) {
    const command = program.command(key).summary(summary);
    if (key !== word) continue;
    called = command;
    const { declare, run } = await load();
    declare(command);
    command.action(async () => {
      code = await run(io, command.opts<Record<string, unknown>>() as never, command.args);
    });
  }
  if (argv.length === 0 || (argv[0] === 'help' && word === undefined)) {
    program.outputHelp();
    return 0;
  }
  try {
    await program.parseAsync(argv[0] === 'help' ? [...argv.slice(1), '--help'] : argv, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return 0; // Help or version was printed.
    throw usageError(error, called, word === undefined ? 'ingot' : `ingot ${word}`);
  }
  return code;
}

function createProgram(io: Io): Command {
  return new Command('ingot')
    .description('Simulate a wafer-scale engine, compile language models onto it, and serve them.')
    .version(packageJson.version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'explain the command')
    .helpCommand(false)
    .addHelpText('after', afterHelp)
    .configureHelp({
      helpWidth: LINE_WIDTH,
      styleTitle: (text) => io.paint('bold', text),
      // The parser's default repeats `[options]` for every command.
      subcommandTerm: (command) => command.name(),
    })
    .configureOutput({ writeOut: io.out, writeErr: io.err, outputError: () => {}, getOutHasColors: () => true })
    .showSuggestionAfterError(false)
    .exitOverride();
}

function report(error: unknown, io: Io, json: boolean): number {
  const diagnostics =
    error instanceof IngotError
      ? error.diagnostics
      : [
          {
            code: 'INTERNAL',
            message: error instanceof Error ? error.message : String(error),
            suggestion: 'this is a defect of Ingot: please report it with the lines below',
          },
        ];
  if (json) printJson(io, { errors: diagnostics });
  for (const diagnostic of diagnostics) {
    const [first, ...rest] = formatDiagnostic(diagnostic).split('\n');
    io.err(`${[io.paintErr('red', first), ...rest].join('\n')}\n`);
  }
  if (error instanceof UsageError) return 2;
  if (error instanceof IngotError) return 1;
  if (error instanceof Error && error.stack !== undefined) io.err(`${error.stack}\n`);
  return 3;
}

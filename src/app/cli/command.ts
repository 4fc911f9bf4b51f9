// What a command is, and how it declares its options: each with its unit, bounds and default, checked when the
// command line is read.

import { Option, type Command } from 'commander';

import { didYouMean, formatCount, IngotError, type Diagnostic } from '../../core/index.ts';
import type { Io } from './io.ts';

export interface CliCommand<Options = never> {
  /** Add arguments, options and examples to the command, which has its name and summary already. */
  readonly declare: (command: Command) => void;
  /** @returns the exit code */
  readonly run: (io: Io, options: Options, args: readonly string[]) => Promise<number>;
}

/** A command line that cannot be understood; the process ends with 2 instead of 1. */
export class UsageError extends IngotError {
  constructor(diagnostic: Diagnostic) {
    super(diagnostic);
    this.name = 'UsageError';
  }
}

/** Lines of the Examples section: what it does, then the command. */
export function addExamples(command: Command, examples: readonly (readonly [does: string, line: string])[]): void {
  const lines = examples.flatMap(([does, line]) => [`  # ${does}`, `  $ ${line}`]);
  command.addHelpText('after', `\nExamples:\n${lines.join('\n')}`);
}

export const jsonOption = (): Option =>
  new Option('--json', 'print one JSON document on standard output, nothing else');

/** @throws UsageError OPTION_INVALID */
export const invalid = (flags: string, expected: string, found: string, suggestion?: string): never => {
  throw new UsageError({
    code: 'OPTION_INVALID',
    message: 'the value of an option is not of the kind that it takes',
    where: optionName(flags),
    expected,
    found: found === '' ? 'an empty text' : found,
    suggestion,
  });
};

const optionName = (flags: string): string => flags.split(/[ ,]/)[0];

export interface Range {
  readonly min: number;
  readonly max: number;
  /** The smallest value itself is refused. */
  readonly aboveMin?: boolean;
  readonly whole?: boolean;
}

/** An option that takes a number. Anything that is not exactly one number in range is refused. */
export function numberOption(flags: string, description: string, range: Range): Option {
  const { min, max, aboveMin = false, whole = false } = range;
  const kind = whole ? 'a whole number' : 'a number';
  const expected = aboveMin
    ? `${kind} above ${formatCount(min)}, at most ${formatCount(max)}`
    : `${kind} from ${formatCount(min)} to ${formatCount(max)}`;
  return new Option(flags, description).argParser((text) => {
    const value = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : NaN;
    const inRange = value >= min && value <= max && !(aboveMin && value === min);
    return inRange && (!whole || Number.isSafeInteger(value)) ? value : invalid(flags, expected, text);
  });
}

export const wholeOption = (flags: string, description: string, min: number, max: number): Option =>
  numberOption(flags, description, { min, max, whole: true });

/** An option that takes one of a few words. @param otherwise what holds without it, e.g. `(default: f16)` */
export function choiceOption(
  flags: string,
  description: string,
  choices: readonly string[],
  otherwise?: string,
): Option {
  const text = `${description}: ${choices.join(', ')}${otherwise === undefined ? '' : ` ${otherwise}`}`;
  return new Option(flags, text).argParser((value) => {
    if (choices.includes(value)) return value;
    return invalid(flags, `one of ${choices.join(', ')}`, value, didYouMean(value, choices));
  });
}

/** WIDTHxHEIGHT in PEs. */
export const meshOption = (flags: string, description: string): Option =>
  new Option(flags, description).argParser((text) => parseMesh(flags, text));

export interface Mesh {
  readonly width: number;
  readonly height: number;
}

/** @throws UsageError OPTION_INVALID unless the text is WIDTHxHEIGHT */
export function parseMesh(flags: string, text: string): Mesh {
  const [, width, height] = /^(\d{1,4})x(\d{1,4})$/.exec(text) ?? [];
  return width === undefined
    ? invalid(flags, 'WIDTHxHEIGHT in PEs', text, 'for example 482x482')
    : { width: Number(width), height: Number(height) };
}

/** Print one document, as `--json` promises. */
export const printJson = (io: Io, document: unknown): void => io.out(`${JSON.stringify(document, null, 2)}\n`);

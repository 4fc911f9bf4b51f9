// The parser's complaints as our diagnostics, with the nearest name that exists.

import type { Command, CommanderError } from 'commander';

import { didYouMean } from '../../core/index.ts';
import { UsageError } from './command.ts';

/**
 * @param command the one whose options and arguments were read
 * @param path how a person calls it, e.g. `ingot compile`
 */
export function usageError(error: CommanderError, command: Command, path: string): UsageError {
  // The parser quotes what it complains about, and nothing else before it.
  const subject = /'([^']*)'/.exec(error.message)?.[1] ?? '';
  const help = `see ${path} --help`;
  const options = command.options.flatMap(({ long }) => (long === undefined || long === null ? [] : [long]));
  switch (error.code) {
    case 'commander.unknownOption':
      return new UsageError({
        code: 'OPTION_UNKNOWN',
        message: `${path} has no such option`,
        where: subject,
        expected: options.length === 0 ? 'no options' : `one of ${[...options, '--help'].join(', ')}`,
        suggestion: didYouMean(subject, options) ?? help,
      });
    case 'commander.missingArgument':
      return new UsageError({
        code: 'ARGUMENT_MISSING',
        message: `${path} needs an argument`,
        expected: subject,
        suggestion: help,
      });
    case 'commander.optionMissingArgument':
      return new UsageError({
        code: 'OPTION_VALUE_MISSING',
        message: 'the option needs a value',
        where: subject,
        suggestion: help,
      });
    case 'commander.missingMandatoryOptionValue':
      return new UsageError({
        code: 'OPTION_MISSING',
        message: `${path} needs an option`,
        expected: subject,
        suggestion: help,
      });
    case 'commander.excessArguments':
      return new UsageError({
        code: 'ARGUMENT_UNEXPECTED',
        message: `${path} takes fewer arguments`,
        found: command.args.slice(command.registeredArguments.length).join(' '),
        suggestion: `put quotes around a text with spaces, or ${help}`,
      });
    default:
      return new UsageError({
        code: 'USAGE_INVALID',
        message: error.message.replace(/^error: /, ''),
        suggestion: help,
      });
  }
}

/** The word in place of a command is none. */
export const unknownCommand = (word: string, names: readonly string[]): UsageError =>
  new UsageError({
    code: 'COMMAND_UNKNOWN',
    message: 'ingot has no such command',
    where: word,
    expected: `one of ${names.join(', ')}`,
    suggestion: didYouMean(word, names) ?? 'see ingot --help',
  });

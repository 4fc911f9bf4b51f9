// Options that every command with a program takes.

import { Argument, Option } from 'commander';

import { IngotError } from '../../core/index.ts';
import { parsePruning } from '../../model/index.ts';
import { wafers } from '../../spec/index.ts';
import {
  kvTypes,
  parseWeights,
  weightFormatNames,
  type KvType,
  type Numerics,
  type WeightChoice,
} from '../../wafer/index.ts';
import { DEFAULT_WAFER } from '../place.ts';
import { choiceOption, numberOption, UsageError, wholeOption } from './command.ts';

const CHECKPOINTS = 'a folder with a checkpoint (safetensors or ONNX; write ./NAME), a GGUF or ONNX file';

/** @param takes whatever else than a checkpoint the command takes */
export const modelArgument = (...takes: ('artifact' | 'name')[]): Argument =>
  new Argument(
    '<model>',
    [
      CHECKPOINTS,
      ...(takes.includes('artifact') ? ['an artifact'] : []),
      ...(takes.includes('name') ? ['a name from "ingot models"'] : []),
    ]
      .join(', ')
      .replace(/, (?=[^,]*$)/, ', or '),
  );

export const waferOption = (): Option =>
  choiceOption('--wafer <id>', 'wafer to compile for', Object.keys(wafers)).default(DEFAULT_WAFER, DEFAULT_WAFER);

/** Of commands that take artifacts as they were compiled. */
export const servedWaferOption = (): Option =>
  choiceOption(
    '--wafer <id>',
    'wafer to compile for',
    Object.keys(wafers),
    `(default: ${DEFAULT_WAFER}; of an artifact, its own)`,
  );

/** Cached tokens to make room for where nobody says how many. */
const KV_TOKENS = 8192;

export const contextOption = (): Option =>
  wholeOption('--context <tokens>', 'cached tokens, over all sequences, to make room for', 1, 1e8).default(
    KV_TOKENS,
    '8,192',
  );

export const weightsOption = (): Option =>
  new Option(
    '--weights <formats>',
    'how weights are held: one format for all, and class=format for embedding, attention, mlp, expert or head, with ' +
      `commas between: ${weightFormatNames.join(', ')}; int4 is int4-32 (default: f16; for a folder as stored)`,
  ).argParser((text) => asUsage('--weights', () => parseWeights(text)));

/** An option that may be given several times, each a text that `parse` reads or one of a few words. */
export function eachOption<T>(
  flags: string,
  description: string,
  parse: ((text: string) => T) | readonly string[],
  otherwise?: string,
): Option {
  if (typeof parse !== 'function') {
    const one = choiceOption(flags, description, parse, otherwise);
    return new Option(flags, one.description).argParser((text, before?: readonly unknown[]) => [
      ...(before ?? []),
      one.parseArg?.(text, undefined),
    ]);
  }
  const name = flags.split(' ')[0];
  return new Option(flags, description).argParser((text, before?: readonly T[]) => [
    ...(before ?? []),
    asUsage(name, () => parse(text)),
  ]);
}

const pruningFlags = '--prune <what>';
const pruningText =
  'weights of attention, MLPs and experts to leave out: magnitude=SHARE of each row, N:M of neighbours (zeros, which ' +
  'take their room and time all the same), or channels=SHARE of each dense MLP, whose matrices shrink (default: none)';
export const pruneOption = (): Option =>
  new Option(pruningFlags, pruningText).argParser((text) => asUsage('--prune', () => parsePruning(text)));
export const eachPruneOption = (): Option => eachOption(pruningFlags, pruningText, parsePruning);

export const kvOption = (): Option =>
  choiceOption('--kv <type>', 'element type of the KV cache', kvTypes, '(default: as activations)');

export interface NumericsOptions {
  readonly weights?: WeightChoice;
  readonly activations?: 'fp16' | 'fp32';
  readonly kv?: KvType;
}

/** What replaces the model's own; the KV cache is held as activations are unless somebody says otherwise. */
export const numericsOf = ({ weights, activations, kv = activations }: NumericsOptions): Partial<Numerics> => ({
  ...weights,
  ...(activations && { activations }),
  ...(kv && { kv }),
});

export const clockOption = (): Option =>
  numberOption('--clock <GHz>', 'fabric clock in GHz (default: of the wafer)', { min: 0, max: 10, aboveMin: true });

/** What a parser of an option's text finds wrong is wrong with the command line. */
function asUsage<T>(option: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof IngotError)) throw error;
    const [diagnostic] = error.diagnostics;
    throw new UsageError({ ...diagnostic, where: `${option} ${diagnostic.where ?? ''}` });
  }
}

export const threadsOption = (): Option =>
  wholeOption('--threads <count>', 'threads of the executor on this machine, 1 or 2', 1, 2).default(2);

export const modelOption = (): Option =>
  new Option(
    '--model <path>',
    'checkpoint: a folder, a GGUF or ONNX file, or an artifact (default: the one that ships with Ingot)',
  );

// Options that every command with a program takes.

import { Option } from 'commander';

import { wafers } from '../../spec/index.ts';
import { choiceOption, wholeOption } from './command.ts';

export const waferOption = (): Option =>
  choiceOption('--wafer <id>', 'wafer to compile for', Object.keys(wafers)).default('wse3', 'wse3');

/** Cached tokens to make room for where nobody says how many. */
const KV_TOKENS = 8192;

export const contextOption = (): Option =>
  wholeOption('--context <tokens>', 'cached tokens, over all sequences, to make room for', 1, 1e8).default(
    KV_TOKENS,
    '8,192',
  );

export const threadsOption = (): Option =>
  wholeOption('--threads <count>', 'threads of the executor on this machine, 1 or 2', 1, 2).default(2);

export const modelOption = (): Option =>
  new Option('--model <path>', 'checkpoint: a folder or a GGUF file (default: the one that ships with Ingot)');

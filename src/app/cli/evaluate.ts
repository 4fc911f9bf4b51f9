import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { Option } from 'commander';

import { fail, formatCount, IngotError } from '../../core/index.ts';
import type { Pruning } from '../../model/index.ts';
import { kvTypes, parseWeights, weightFormatNames, type KvType, type WeightChoice } from '../../wafer/index.ts';
import { evaluateModel, type Variant } from '../evaluate.ts';
import { openModel, uncompiled } from '../place.ts';
import { addExamples, jsonOption, printJson, wholeOption, type CliCommand } from './command.ts';
import {
  contextOption,
  eachOption,
  eachPruneOption,
  modelArgument,
  threadsOption,
  waferOption,
} from './placement-options.ts';
import { createProgress } from './progress.ts';
import { renderEvaluation } from './report/evaluation-text.ts';

interface EvaluateOptions {
  readonly text?: string;
  readonly weights?: readonly WeightChoice[];
  readonly kv?: readonly KvType[];
  readonly prune?: readonly Pruning[];
  readonly window?: number;
  readonly tokens: number;
  readonly wafer: string;
  readonly context: number;
  readonly threads: 1 | 2;
  readonly json?: boolean;
}

/** A text of our own: what the head of the shipped checkpoint was fitted to. */
const shippedText = join(import.meta.dirname, '..', '..', '..', 'scripts', 'checkpoint-corpus.txt');

/** Characters of a text far longer than anybody waits for. */
export const MAX_TEXT_BYTES = 64 * 2 ** 20;
const WINDOW = 256;
const TOKENS = 2048;
/** Exit code of a program that Ctrl-C ended, as shells give it. */
const INTERRUPTED = 130;

/** Compared where nobody says what. */
const usual: readonly Variant[] = ['int8', 'fp8', 'int4'].map((text) => ({ weights: parseWeights(text) }));

export const evaluate: CliCommand<EvaluateOptions> = {
  declare(command) {
    command
      .description(
        'Say what it costs to hold a model in fewer bits, and what it buys. Each variant is executed over a text beside the ' +
          'model as it is stored: perplexity, share of positions with the same likeliest token, divergence of the ' +
          'distributions (measured); wafers, bytes of a PE and tokens/s of one user (simulated). --weights, --kv ' +
          'and --prune may be given several times: every combination is a variant.',
      )
      .addArgument(modelArgument('artifact'))
      .addOption(
        new Option(
          '--text <file>',
          'text to foretell, UTF-8 (default: the page that the shipped checkpoint was fitted to)',
        ),
      )
      .addOption(
        eachOption(
          '--weights <formats>',
          `how weights are held: one format for all, and class=format for embedding, attention, mlp, expert or head: ${weightFormatNames.join(', ')} (default: int8, then fp8, then int4)`,
          parseWeights,
        ),
      )
      .addOption(eachOption('--kv <type>', 'element type of the KV cache', kvTypes, '(default: fp32)'))
      .addOption(eachPruneOption())
      .addOption(
        wholeOption(
          '--window <tokens>',
          `tokens of context; windows do not overlap (default: ${WINDOW}, or what the model takes)`,
          2,
          1e6,
        ),
      )
      .addOption(wholeOption('--tokens <count>', 'most tokens of the text', 2, 1e7).default(TOKENS, '2,048'))
      .addOption(waferOption())
      .addOption(contextOption())
      .addOption(threadsOption())
      .addOption(jsonOption());
    addExamples(command, [
      ['the usual formats on the shipped checkpoint', 'ingot evaluate ./checkpoint'],
      [
        'mixed precision, with and without a smaller KV cache',
        'ingot evaluate ./Qwen3-0.6B --weights int4,head=bf16 --kv fp32 --kv int8',
      ],
    ]);
  },

  async run(io, options, [reference]) {
    const { weights, kv, prune, text: file = shippedText, context, threads, wafer, tokens } = options;
    const text = readText(file);
    const model = uncompiled(openModel(reference));
    const { checkpoint } = model;
    if (checkpoint === undefined)
      return fail({
        code: 'EVALUATE_WITHOUT_WEIGHTS',
        message: 'accuracy is measured on real weights, and only the shape of this model is known',
        where: reference,
        expected: 'a folder with a checkpoint, a GGUF file or an artifact',
        suggestion: `"ingot compile ${reference} --weights int8" says what a format buys without them`,
      });
    const signal = io.interrupt();
    const progress = createProgress(io, '', {
      text: (done, total) => `evaluating  ${formatCount(done)} of ${formatCount(total)} tokens`,
    });
    try {
      const evaluation = await evaluateModel(
        { ...model, checkpoint },
        {
          wafer,
          threads,
          text,
          kvTokens: context,
          where: file === shippedText ? 'the text that ships with Ingot' : file,
          window: options.window ?? Math.min(WINDOW, model.graph.shape.maxContext, context),
          most: tokens,
          variants: variantsOf(weights, kv, prune),
          onProgress(done, total) {
            signal.throwIfAborted();
            progress.update(done, total);
          },
        },
      );
      progress.end();
      const report = {
        model: { name: model.name, parameters: model.parameters },
        text: file === shippedText ? 'shipped' : file,
        ...evaluation,
      };
      if (options.json === true) printJson(io, report);
      else io.out(renderEvaluation(report, io.paint));
      return 0;
    } catch (error) {
      progress.end();
      if (signal.aborted && error === signal.reason) return INTERRUPTED;
      throw error;
    } finally {
      checkpoint.close();
    }
  },
};

/** All combinations of what was named. */
function variantsOf(
  weights: readonly WeightChoice[] | undefined,
  kv: readonly KvType[] | undefined,
  prune: readonly Pruning[] | undefined,
): readonly Variant[] {
  if (weights === undefined && kv === undefined && prune === undefined) return usual;
  const all: Variant[] = [];
  for (const pruning of prune ?? [undefined])
    for (const held of weights ?? [undefined])
      for (const type of kv ?? [undefined])
        all.push({ ...(held && { weights: held }), ...(type && { kv: type }), ...(pruning && { pruning }) });
  return all;
}

/** @throws IngotError EVALUATE_TEXT_UNREADABLE, EVALUATE_TEXT_TOO_LARGE */
function readText(file: string): string {
  try {
    const { size } = statSync(file);
    if (size > MAX_TEXT_BYTES)
      fail({
        code: 'EVALUATE_TEXT_TOO_LARGE',
        message: 'the text is larger than anybody waits for',
        where: file,
        expected: `at most ${formatCount(MAX_TEXT_BYTES)} B`,
        found: `${formatCount(size)} B`,
        suggestion: 'take a part of it',
      });
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof IngotError) throw error;
    return fail({
      code: 'EVALUATE_TEXT_UNREADABLE',
      message: 'the text cannot be read',
      where: file,
      found: (error as NodeJS.ErrnoException).code ?? String(error),
      suggestion: 'check the path',
    });
  }
}

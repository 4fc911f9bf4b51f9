// What a way to hold a model costs in accuracy, and what it buys: each variant is compiled, executed over a text beside
// the model as it is stored, and timed by its step model.

import { createProgramExecutor } from '../runtime/index.node.ts';
import type { Executor } from '../runtime/index.ts';
import { cutWindows, evaluateWindows, type TextScore } from '../plan/index.ts';
import { heldBytes, kvTokensOf, wafersOf, type Numerics, type WeightChoice } from '../wafer/index.ts';
import type { Checkpoint } from '../model/index.node.ts';
import type { Pruning } from '../model/index.ts';
import { fail, formatCount } from '../core/index.ts';
import { contextOf, placeModel, type OpenModel, type PlacedModel } from './place.ts';

/** What departs from the model as it is stored. */
export interface Variant {
  readonly weights?: WeightChoice;
  readonly kv?: Numerics['kv'];
  readonly pruning?: Pruning;
}

export interface EvaluateOptions {
  readonly wafer: string;
  /** Cached tokens, over all sequences, that a placement must have room for. */
  readonly kvTokens: number;
  readonly text: string;
  /** Where the text comes from. */
  readonly where: string;
  readonly window: number;
  /** Most tokens of the text. */
  readonly most: number;
  readonly threads: 1 | 2;
  readonly variants: readonly Variant[];
  /** Tokens computed, and in all, over all variants. */
  readonly onProgress?: (done: number, total: number) => void;
}

export interface VariantReport {
  readonly numerics: Numerics;
  readonly pruning?: Pruning;
  readonly accuracy: TextScore;
  readonly wafers: number;
  /** Weights and scales, each once. */
  readonly bytes: number;
  /** SRAM that weights, scales and the gaps between them take on the fullest PE of all regions. */
  readonly bytesPerPe: number;
  /** Tokens for whose KV there is room. */
  readonly kvTokens: number;
  /** Simulated, of one user at the context of a window. */
  readonly tokensPerSecond: number;
}

export interface Evaluation {
  readonly tokens: number;
  readonly windows: number;
  readonly window: number;
  /** The text has more tokens than were looked at. */
  readonly isCut: boolean;
  /** The model as it is stored first. */
  readonly variants: readonly VariantReport[];
  readonly wafer: string;
}

/**
 * @throws IngotError EVALUATE_WINDOW_TOO_LONG, EVALUATE_TEXT_TOO_SHORT; of placeModel and createProgramExecutor; what
 * `onProgress` throws
 */
export async function evaluateModel(
  model: OpenModel & { readonly checkpoint: Checkpoint },
  options: EvaluateOptions,
): Promise<Evaluation> {
  const { window: length, most, variants, wafer, kvTokens } = options;
  const { tokenizer } = model.checkpoint;
  const longest = contextOf(model.graph, kvTokens);
  if (length > longest)
    fail({
      code: 'EVALUATE_WINDOW_TOO_LONG',
      message: 'the windows are longer than the context that there is room for',
      where: '--window',
      expected: `at most ${formatCount(longest)} tokens`,
      found: formatCount(length),
      suggestion: 'a shorter --window, or a larger --context as far as the model goes',
    });
  const tokens = tokenizer.encode(options.text, { addSpecial: false });
  // A tokenizer that puts nothing before a text was trained without.
  const [begin] = tokenizer.encode('');
  const windows = cutWindows(tokens, options.where, {
    length,
    most,
    ...(begin === undefined || begin !== tokenizer.bosId ? {} : { begin }),
  });
  const foretold = windows.reduce((sum, window) => sum + window.length - 1, 0);
  let done = 0;
  const progress = (count: number): void => {
    done += count;
    options.onProgress?.(done, foretold * (variants.length + 1));
  };

  const place = ({ weights = {}, kv, pruning }: Variant): PlacedModel =>
    placeModel(model, { wafer, kvTokens, numerics: { ...weights, ...(kv && { kv }) }, pruning });
  const open = ({ program }: PlacedModel): Promise<Executor<Float32Array>> =>
    createProgramExecutor({
      program,
      weights: model.checkpoint.weights,
      kvTokens: length,
      threads: options.threads,
    });
  // Before anything runs: a variant that does not fit is told at once.
  const placed = [{}, ...variants].map(place);
  const reference = await open(placed[0]);
  const reports: VariantReport[] = [];
  try {
    for (const [i, one] of placed.entries()) {
      const executor = i === 0 ? reference : await open(one);
      try {
        reports.push(reportOf(one, await evaluateWindows(executor, reference, windows, progress), length));
      } finally {
        if (i > 0) await executor.close();
      }
    }
  } finally {
    await reference.close();
  }
  return {
    tokens: foretold,
    windows: windows.length,
    window: length,
    isCut: tokens.length > most,
    variants: reports,
    wafer: placed[0].wafer.name,
  };
}

function reportOf({ program, stepModel }: PlacedModel, accuracy: TextScore, context: number): VariantReport {
  return {
    numerics: program.numerics,
    pruning: program.pruning,
    accuracy,
    wafers: wafersOf(program),
    bytes: heldBytes(program.graph, program.numerics),
    bytesPerPe: Math.max(...program.stages.map(({ memory }) => memory.weights + memory.padding)),
    kvTokens: kvTokensOf(program),
    tokensPerSecond: 1 / stepModel.decode(context - 1).time,
  };
}

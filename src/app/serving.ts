// From a model to an API that answers: open → compile → step model → executor → engine → handlers. What `run`,
// `serve` and `up` share.

import { randomInt } from 'node:crypto';

import { createRng, createVirtualClock, seconds, type Seconds } from '../core/index.ts';
import {
  createApi,
  createEngine,
  createModelDrafter,
  createNgramDrafter,
  createPacer,
  type Api,
  type Drafter,
  type Engine,
  type Executor,
  type SchedulerName,
  type StepModel,
} from '../runtime/index.ts';
import { createPromptPool } from '../runtime/index.node.ts';
import { untilWallClock } from './http/precise-wait.ts';
import { wallClock } from './http/wall-clock.ts';
import { createHardwareModel } from '../sim/index.ts';
import { heatFacts, silicon } from '../spec/index.ts';
import { placeModel, type OpenModel, type PlacedModel } from './place.ts';
import { kvTokensOf } from '../wafer/index.ts';
import { openEmulated, openExecuted, type Source } from './source.ts';

export interface ServingOptions {
  /** A checkpoint: a folder or a GGUF file; the shipped one if absent. */
  readonly model?: string;
  /** In its place, a model that is emulated: by name, or a checkpoint whose weights are left alone. */
  readonly emulate?: string;
  /** A checkpoint whose tokenizer an emulated model takes. */
  readonly tokenizer?: string;
  /** Tokens go out at the wafer's time, or as soon as possible; default as soon as possible, `wafer` where emulated. */
  readonly pace?: 'wafer' | 'asap';
  readonly scheduler?: SchedulerName;
  /** `ngram`, or a checkpoint of a smaller model with the same vocabulary; default only the predictions that requests bring. */
  readonly draft?: string;
  readonly draftTokens?: number;
  /** Longest that a streamed token waits to travel with others, in milliseconds; default 0, each travels at once. */
  readonly coalesceMs?: number;
  /** Id in `spec/wafer` of the simulated wafer. */
  readonly wafer: string;
  /** Cached tokens over all sequences, on the wafer and in the executor alike. */
  readonly kvTokens: number;
  /** Kernel threads. */
  readonly threads: 1 | 2;
  /** Called when the model is placed, before its weights are loaded. */
  readonly onPlaced?: (model: OpenModel, placed: PlacedModel) => void;
  /** Ends the loading of weights. */
  readonly signal?: AbortSignal;
  /** Bytes of weights loaded, and in all. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Hears of failures that are not a client's. */
  readonly onFailure?: (error: unknown, requestId: string) => void;
}

/** First come, first served, where nobody asks for another tier. */
export const DEFAULT_SCHEDULER: SchedulerName = 'priority';

export interface Serving {
  /** The name that requests give. */
  readonly id: string;
  readonly hasChat: boolean;
  readonly placed: PlacedModel;
  readonly engine: Engine;
  readonly api: Api;
  /** End requests and threads. */
  close(): Promise<void>;
}

/** @throws IngotError of openExecuted, openEmulated, placeModel and createProgramExecutor; the reason of `signal` */
export async function openServing(options: ServingOptions): Promise<Serving> {
  const { wafer, kvTokens, onPlaced, onProgress, onFailure, signal, emulate } = options;
  const { pace = emulate === undefined ? 'asap' : 'wafer' } = options;
  // In reverse order of opening.
  const closers: (() => unknown)[] = [];
  const close = async (): Promise<void> => {
    for (const closeOne of closers.splice(0).reverse()) await closeOne();
  };
  const opened = (source: Source): Source => {
    closers.push(() => source.close());
    return source;
  };
  const start = async ({ model, execute }: Source, threads: 1 | 2, isMain: boolean) => {
    const placed = placeModel(model, { wafer, kvTokens });
    if (isMain) onPlaced?.(model, placed);
    const executor = await execute(placed.program, {
      // An artifact may have been compiled for less.
      kvTokens: Math.min(kvTokens, kvTokensOf(placed.program)),
      threads,
      onProgress(done, total) {
        signal?.throwIfAborted();
        onProgress?.(done, total);
      },
    });
    closers.push(() => executor.close());
    return { placed, executor };
  };
  const openDrafter = async (vocab: number): Promise<Drafter> => {
    const { draft } = options;
    if (draft === undefined || draft === 'ngram') return createNgramDrafter({ ofPredictions: draft === undefined });
    // On a wafer of its own.
    const { placed, executor } = await start(opened(openExecuted(draft)), 1, false);
    return createModelDrafter({ executor, vocab, stepModel: placed.stepModel });
  };

  try {
    const source = opened(
      emulate === undefined ? openExecuted(options.model) : openEmulated(emulate, options.tokenizer),
    );
    const { placed, executor } = await start(source, options.threads, true);
    if (emulate !== undefined) await warmUp(executor, placed.stepModel);
    const drafter = await openDrafter(executor.vocab);
    const engine = createEngine({
      executor,
      clock: wallClock,
      stepModel: placed.stepModel,
      scheduler: options.scheduler ?? DEFAULT_SCHEDULER,
      drafter,
      ...(options.draftTokens === undefined ? {} : { draftTokens: options.draftTokens }),
      ...(pace === 'wafer' ? { pacer: createPacer(wallClock, untilWallClock) } : {}),
    });
    closers.push(() => engine.close());
    const { model, tokenizer, tokenizerPath, eos } = source;
    const prompts =
      tokenizerPath === undefined ? undefined : createPromptPool({ tokenizer, checkpoint: tokenizerPath });
    if (prompts !== undefined) closers.push(() => prompts.close());
    const { coalesceMs = 0 } = options;
    const created = Math.floor(wallClock.now());
    return {
      id: model.id,
      hasChat: tokenizer.hasChatTemplate,
      placed,
      engine,
      api: createApi({
        models: [
          {
            id: model.id,
            created,
            ownedBy: 'ingot',
            engine,
            tokenizer,
            eos,
            hardware: createHardwareModel(placed.program, placed.wafer, placed.clock, heatFacts, silicon[wafer]),
            ...(prompts && { prompts }),
          },
        ],
        clock: wallClock,
        rng: createRng(randomInt(2 ** 32)),
        ...(coalesceMs === 0 ? {} : { coalescing: { bound: seconds(coalesceMs / 1000), wait } }),
        ...(onFailure === undefined ? {} : { onFailure }),
      }),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

const wait = (time: Seconds): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, time * 1000);
  });

/** Answers and tokens of a rehearsal: some tenths of a second. */
const REHEARSED = { answers: 8, tokens: 400 };

/**
 * An engine that nobody hears runs for a moment, so that the first answer finds compiled code and priced steps, and keeps
 * the wafer's pace. Where weights are multiplied, what code takes is lost beside that.
 */
async function warmUp(executor: Executor, stepModel: StepModel): Promise<void> {
  const pause = (): Promise<void> => Promise.resolve();
  const engine = createEngine({ executor, clock: createVirtualClock(), stepModel, pause });
  const { answers, tokens } = REHEARSED;
  const request = {
    prompts: [[0]],
    choices: answers,
    maxTokens: Math.min(tokens, engine.maxContext - 1),
    sampling: { temperature: 1 },
    seed: 0,
  };
  for await (const event of engine.submit(request)) void event;
}

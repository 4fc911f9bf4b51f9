// One model, ready to be served: open → compile → step model → executor → engine.

import { createVirtualClock } from '../core/index.ts';
import {
  createEngine,
  createModelDrafter,
  createNgramDrafter,
  createPacer,
  inTurns,
  type Drafter,
  type Engine,
  type Executor,
  type ModelVersion,
  type SchedulerName,
  type StepModel,
  type Turns,
} from '../runtime/index.ts';
import { createPromptPool } from '../runtime/index.node.ts';
import { createHardwareModel } from '../sim/index.ts';
import { heatFacts, silicon } from '../spec/index.ts';
import { kvTokensOf } from '../wafer/index.ts';
import { untilWallClock } from './http/precise-wait.ts';
import { wallClock } from './http/wall-clock.ts';
import { placeModel, type OpenModel, type PlacedModel } from './place.ts';
import { provenanceOf } from './provenance.ts';
import { openEmulated, openExecuted, type Source } from './source.ts';

/** Which model. */
export interface ModelChoice {
  /** A checkpoint: a folder or a GGUF file; the shipped one if absent. */
  readonly model?: string;
  /** In its place, a model that is emulated: by name, or a checkpoint whose weights are left alone. */
  readonly emulate?: string;
  /** A checkpoint whose tokenizer an emulated model takes. */
  readonly tokenizer?: string;
}

/** How all models are served. */
export interface ModelSettings {
  /** Tokens go out at the wafer's time, or as soon as possible; default as soon as possible, `wafer` where emulated. */
  readonly pace?: 'wafer' | 'asap';
  readonly scheduler?: SchedulerName;
  /** `ngram`, or a checkpoint of a smaller model with the same vocabulary; default only the predictions that requests bring. */
  readonly draft?: string;
  readonly draftTokens?: number;
  /** Id in `spec/wafer` of the simulated wafer. */
  readonly wafer?: string | undefined;
  /** Cached tokens over all sequences of a model, on the wafer and in the executor alike. */
  readonly kvTokens: number;
  /** Kernel threads of each executor; executors take turns. */
  readonly threads: 1 | 2;
  /** Called when the model is placed, before its weights are loaded. */
  readonly onPlaced?: (model: OpenModel, placed: PlacedModel) => void;
  /** Ends the loading of weights. */
  readonly signal?: AbortSignal;
  /** Bytes of weights loaded, and in all. */
  readonly onProgress?: (done: number, total: number) => void;
}

export interface OpenedModel {
  /** The name that requests give. */
  readonly id: string;
  readonly hasChat: boolean;
  readonly placed: PlacedModel;
  readonly engine: Engine;
  readonly version: ModelVersion;
}

/** First come, first served, where nobody asks for another tier. */
export const DEFAULT_SCHEDULER: SchedulerName = 'priority';

/**
 * @param turns shared by all models of this machine
 * @param name to be served by, if not its own
 * @throws IngotError of openExecuted, openEmulated, placeModel and createProgramExecutor; the reason of `signal`
 */
export async function openModelVersion(
  choice: ModelChoice,
  settings: ModelSettings,
  turns: Turns,
  name?: string,
): Promise<OpenedModel> {
  const { wafer, kvTokens, onPlaced, onProgress, signal, draft } = settings;
  const { emulate } = choice;
  const { pace = emulate === undefined ? 'asap' : 'wafer' } = settings;
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
    // Filler takes no time worth waiting for.
    return { placed, executor: isMain && emulate !== undefined ? executor : inTurns(executor, turns) };
  };
  const openDrafter = async (vocab: number): Promise<Drafter> => {
    if (draft === undefined || draft === 'ngram') return createNgramDrafter({ ofPredictions: draft === undefined });
    // On a wafer of its own.
    const { placed, executor } = await start(opened(openExecuted(draft)), 1, false);
    return createModelDrafter({ executor, vocab, stepModel: placed.stepModel });
  };

  try {
    const source = opened(emulate === undefined ? openExecuted(choice.model) : openEmulated(emulate, choice.tokenizer));
    const { placed, executor } = await start(source, settings.threads, true);
    const drafter = await openDrafter(executor.vocab);
    const { stepModel } = placed;
    const engine = createEngine({
      executor,
      clock: wallClock,
      stepModel,
      scheduler: settings.scheduler ?? DEFAULT_SCHEDULER,
      drafter,
      draftTokens: settings.draftTokens,
      ...(pace === 'wafer' ? { pacer: createPacer(wallClock, untilWallClock) } : {}),
    });
    closers.push(() => engine.close());
    const { model, tokenizer, tokenizerPath, eos, embedding } = source;
    const prompts =
      tokenizerPath === undefined ? undefined : createPromptPool({ tokenizer, checkpoint: tokenizerPath });
    if (prompts !== undefined) closers.push(() => prompts.close());
    const id = name ?? model.id;
    const created = Math.floor(wallClock.now());
    return {
      id,
      hasChat: tokenizer.hasChatTemplate,
      placed,
      engine,
      version: {
        model: {
          id,
          created,
          ownedBy: 'ingot',
          engine,
          tokenizer,
          eos,
          ...(embedding && { embedding }),
          hardware: createHardwareModel(placed.program, placed.wafer, stepModel, heatFacts, silicon[placed.wafer.id]),
          ...(prompts && { prompts }),
        },
        warmUp: () => rehearse(executor, stepModel, emulate === undefined ? ASKED : REHEARSED),
        provenance: () => provenanceOf(model, placed, emulate !== undefined),
        close,
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

interface Rehearsal {
  readonly answers: number;
  readonly tokens: number;
}

/** Where weights are multiplied, what code takes is lost beside that: two steps touch every page of them. */
const ASKED: Rehearsal = { answers: 1, tokens: 2 };
/** Where code is all there is, some tenths of a second, until it is compiled and steps are priced. */
const REHEARSED: Rehearsal = { answers: 8, tokens: 400 };

/** An engine that nobody hears runs for a moment, so that the first answer does not pay for what only the first pays. */
async function rehearse(executor: Executor, stepModel: StepModel, { answers, tokens }: Rehearsal): Promise<void> {
  const engine = createEngine({ executor, clock: createVirtualClock(), stepModel });
  const request = {
    prompts: [[0]],
    choices: answers,
    maxTokens: Math.min(tokens, engine.maxContext - 1),
    sampling: { temperature: 1 },
    seed: 0,
  };
  for await (const event of engine.submit(request)) void event;
}

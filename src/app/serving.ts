// From a folder to an API that answers: open → compile → step model → executor → engine → handlers. What `run`,
// `serve` and `up` share.

import { randomInt } from 'node:crypto';

import { createRng } from '../core/index.ts';
import { createProgramExecutor } from '../runtime/index.node.ts';
import { createApi, createEngine, type Api, type Engine } from '../runtime/index.ts';
import { wallClock } from './http/wall-clock.ts';
import { openFolder, placeModel, shippedCheckpoint, type OpenModel, type PlacedModel } from './place.ts';

export interface ServingOptions {
  /** Folder of a checkpoint; the shipped one if absent. */
  readonly model?: string;
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

/** What the API calls the shipped checkpoint, whose folder has no telling name. */
const SHIPPED_ID = 'ingot-tiny';

/** @throws IngotError of openCheckpoint, placeModel and createProgramExecutor; the reason of `signal` */
export async function openServing(options: ServingOptions): Promise<Serving> {
  const { wafer, kvTokens, threads, onPlaced, onProgress, onFailure, signal } = options;
  const opened = openFolder(options.model ?? shippedCheckpoint);
  const { checkpoint } = opened;
  const model = options.model === undefined ? { ...opened, id: SHIPPED_ID, name: SHIPPED_ID } : opened;
  try {
    const placed = placeModel(model, { wafer, kvTokens });
    const { program, stepModel } = placed;
    onPlaced?.(model, placed);
    const executor = await createProgramExecutor({
      program,
      weights: checkpoint.weights,
      threads,
      kvTokens,
      onProgress(done, total) {
        signal?.throwIfAborted();
        onProgress?.(done, total);
      },
    });
    const engine = createEngine({ executor, clock: wallClock, stepModel });
    const { tokenizer, generation } = checkpoint;
    const created = Math.floor(wallClock.now());
    const served = { id: model.id, created, ownedBy: 'ingot', engine, tokenizer, eos: generation.eosIds };
    return {
      id: model.id,
      hasChat: tokenizer.hasChatTemplate,
      placed,
      engine,
      api: createApi({
        models: [served],
        clock: wallClock,
        rng: createRng(randomInt(2 ** 32)),
        ...(onFailure === undefined ? {} : { onFailure }),
      }),
      async close() {
        await engine.close();
        await executor.close();
        // Not before: the executor reads rows of the embedding table where they lie.
        checkpoint.close();
      },
    };
  } catch (error) {
    checkpoint.close();
    throw error;
  }
}

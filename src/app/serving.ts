// From models to an API that answers. What `run`, `serve` and `up` share.

import { randomInt } from 'node:crypto';

import { createRng, fail, seconds, type Seconds } from '../core/index.ts';
import {
  createApi,
  createRegistry,
  createTurns,
  type Access,
  type ApiOptions,
  type LedgerCounts,
  type ModelRegistry,
  type Promises,
  type ServingApi,
  type Usage,
} from '../runtime/index.ts';
import { wallClock } from './http/wall-clock.ts';
import { openModelVersion, type ModelChoice, type ModelSettings, type OpenedModel } from './model-version.ts';

export interface ServingOptions extends ModelSettings {
  /** Default the shipped checkpoint. */
  readonly models?: readonly ModelChoice[];
  /** By name, the model that it stands for. */
  readonly aliases?: Readonly<Record<string, string>>;
  /** Longest that a streamed token waits to travel with others, in milliseconds; default 0, each travels at once. */
  readonly coalesceMs?: number;
  /** Megabytes of responses that are kept to be gone on with; default KEPT_RESPONSES_MB, 0 for none. */
  readonly keepResponsesMb?: number;
  /** What requests that name no targets are promised, in milliseconds. */
  readonly sloTtftMs?: number;
  readonly sloTpotMs?: number;
  /** Longest that a request may take, in milliseconds. */
  readonly deadlineMs?: number;
  /** Who may ask; default everybody. */
  readonly access?: Access;
  readonly onUsage?: (usage: Usage) => void;
  readonly ledger?: () => LedgerCounts;
  /** Hears of failures that are not a client's. */
  readonly onFailure?: (error: unknown, requestId: string) => void;
  /** Hears of every request when it is over. */
  readonly onRequest?: ApiOptions['onRequest'];
  /** With what it asked. */
  readonly keepBodies?: boolean;
}

export interface Serving {
  /** The one that a person is shown. */
  readonly first: OpenedModel;
  readonly registry: ModelRegistry;
  readonly api: ServingApi;
  /** Opens another model with the same settings. @throws IngotError of openModelVersion */
  open(choice: ModelChoice, name?: string): Promise<OpenedModel>;
  /** End requests and threads. */
  close(): Promise<void>;
}

/** @throws IngotError of openModelVersion; MODEL_NAME_TAKEN, MODEL_NOT_SERVED; the reason of `signal` */
export async function openServing(options: ServingOptions): Promise<Serving> {
  const {
    models = [{}],
    aliases = {},
    coalesceMs = 0,
    keepResponsesMb = KEPT_RESPONSES_MB,
    sloTtftMs,
    sloTpotMs,
    deadlineMs,
    access,
    onUsage,
    ledger,
    onFailure,
    onRequest,
    keepBodies,
    ...settings
  } = options;
  const turns = createTurns();
  const registry = createRegistry({
    clock: wallClock,
    after,
    onFailure: (error) => onFailure?.(error, 'closing a model'),
  });
  try {
    const opened: OpenedModel[] = [];
    for (const choice of models) {
      const model = await openModelVersion(choice, settings, turns);
      opened.push(model);
      await loadOpened(registry, model);
    }
    for (const [alias, id] of Object.entries(aliases)) registry.setAlias(alias, id);
    return {
      first: opened[0],
      registry,
      api: createApi({
        registry,
        clock: wallClock,
        rng: createRng(randomInt(2 ** 32)),
        keptResponses: keepResponsesMb * MB,
        promises: promisesOf({ sloTtftMs, sloTpotMs, deadlineMs }),
        access,
        onUsage,
        ledger,
        ...(coalesceMs === 0 ? {} : { coalescing: { bound: seconds(coalesceMs / 1000), wait } }),
        onFailure,
        onRequest,
        keepBodies,
      }),
      // Without what only the start reports and ends.
      open: (choice, name) => {
        const { onPlaced: _, onProgress: __, signal: ___, ...later } = settings;
        return openModelVersion(choice, later, turns, name);
      },
      close: () => registry.close(),
    };
  } catch (error) {
    await registry.close();
    throw error;
  }
}

const MB = 1_000_000;

/** Thousands of conversations, and small beside any model. */
export const KEPT_RESPONSES_MB = 64;

const milliseconds = (value: number): Seconds => seconds(value / 1000);

function promisesOf({
  sloTtftMs: ttft,
  sloTpotMs: tpot,
  deadlineMs: deadline,
}: Readonly<Record<'sloTtftMs' | 'sloTpotMs' | 'deadlineMs', number | undefined>>): Promises {
  const targets = {
    ...(ttft === undefined ? {} : { ttft: milliseconds(ttft) }),
    ...(tpot === undefined ? {} : { tpot: milliseconds(tpot) }),
  };
  return {
    ...(ttft === undefined && tpot === undefined ? {} : { targets }),
    ...(deadline === undefined ? {} : { deadline: milliseconds(deadline) }),
  };
}

async function loadOpened(registry: ModelRegistry, { id, version }: OpenedModel): Promise<void> {
  if (registry.models.some((model) => model.id === id)) {
    await version.close();
    fail({
      code: 'MODEL_NAME_TAKEN',
      message: 'two models have the same name, and requests could not tell them apart',
      where: id,
      suggestion: 'rename a folder: its name is what requests give',
    });
  }
  await registry.load(id, () => Promise.resolve(version));
}

const wait = (time: Seconds): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, time * 1000);
  });

/** A timer that does not keep the process alive. */
const after = (time: Seconds, callback: () => void): (() => void) => {
  const timer = setTimeout(callback, time * 1000).unref();
  return () => clearTimeout(timer);
};

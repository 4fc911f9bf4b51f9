// The models that a server serves: names, aliases, versions, and the switch from one version to the next.
//
// What must stay true:
// - A request keeps the version that it was given until its answer ends, whatever happens to the name meanwhile.
// - A version is closed once, after its last request.
// - A switch is one synchronous step: no request finds a name without a version.

import { assert, fail, IngotError, nearest, type Clock, type Seconds } from '../../core/index.ts';
import { ApiError, shownName } from '../../protocol/index.ts';
import type { EngineCounts } from '../engine.ts';
import { prepareModel, type PreparedModel, type ServedModel } from '../http/served-model.ts';
import type { MeasuredModel } from '../telemetry/index.ts';
import type { ModelProvenance } from './provenance.ts';
import { totalCounts } from './total-counts.ts';

/** A model that is ready to be served. */
export interface ModelVersion {
  readonly model: ServedModel;
  /** Asks it something before others do, so that the first answer finds compiled code and loaded pages. */
  readonly warmUp?: () => Promise<void>;
  /** Called once, when somebody first asks. */
  readonly provenance?: () => Promise<ModelProvenance>;
  /** After its last request: ends threads, gives memory back. */
  readonly close: () => Promise<void>;
}

/**
 * `live` takes requests; `warm` is the one before it, kept for a rollback; `draining` answers its last requests.
 */
export type VersionState = 'live' | 'warm' | 'draining';

export interface VersionStatus {
  readonly version: number;
  readonly state: VersionState;
  /** Requests that it answers. */
  readonly in_flight: number;
  /** Unix second at which a warm version is closed. */
  readonly warm_until?: number;
}

export interface ModelStatus {
  readonly id: string;
  readonly aliases: readonly string[];
  readonly versions: readonly VersionStatus[];
}

/** A request's hold on a version. */
export interface Lease {
  readonly model: PreparedModel;
  readonly version: number;
  /** May be called again. */
  release(): void;
}

export interface RegistryOptions {
  /** Unix time. */
  readonly clock: Clock;
  /** Calls back after a time; the result prevents it. Without it a replaced version is closed at once. */
  readonly after?: (time: Seconds, callback: () => void) => () => void;
  /** Hears of versions that could not be closed. */
  readonly onFailure?: (error: unknown) => void;
}

export interface ModelRegistry {
  /** Those that take requests. */
  readonly models: readonly PreparedModel[];
  /** All that are open, replaced ones included. */
  readonly open: readonly PreparedModel[];
  /** What versions that are closed have done, so that counters never fall. */
  readonly closed: readonly { readonly id: string; readonly counts: EngineCounts }[];
  /** Each model over all its versions. */
  readonly measured: readonly MeasuredModel[];
  /** By alias, what it stands for. */
  readonly aliases: ReadonlyMap<string, string>;
  list(): readonly ModelStatus[];
  /** @throws IngotError MODEL_NOT_SERVED */
  status(id: string): ModelStatus;
  /**
   * @param name of a model, or an alias
   * @param sees by id, whether a model is there for who asks; default each
   * @throws ApiError 404 model_not_found
   */
  acquire(name: string, sees?: (id: string) => boolean): Lease;
  /** The same of its parameters. @throws ApiError 404 model_not_found */
  provenance(
    name: string,
    sees?: (id: string) => boolean,
  ): Promise<{ readonly id: string; readonly version: number } & Partial<ModelProvenance>>;
  /**
   * Open a model, warm it up, and serve it under a new name.
   * @throws IngotError MODEL_NAME_TAKEN, MODEL_BUSY; of `open` and its warm-up
   */
  load(id: string, open: () => Promise<ModelVersion>): Promise<ModelStatus>;
  /**
   * Open another version beside the one that answers, warm it up, and switch: new requests go to the new one, those in
   * progress end where they began. The old one stays warm for `keepWarm`, and is then closed after its last request.
   * @throws IngotError MODEL_NOT_SERVED, MODEL_BUSY; of `open` and its warm-up, after which nothing has changed
   */
  swap(id: string, open: () => Promise<ModelVersion>, keepWarm: Seconds): Promise<ModelStatus>;
  /** Switch back to the warm version, at once. @throws IngotError MODEL_NOT_SERVED, MODEL_BUSY, NOTHING_WARM */
  rollback(id: string, keepWarm: Seconds): ModelStatus;
  /** Take no more requests under this name; its aliases go too. @throws IngotError MODEL_NOT_SERVED, MODEL_BUSY */
  unload(id: string): void;
  /** @throws IngotError MODEL_NOT_SERVED, MODEL_NAME_TAKEN */
  setAlias(alias: string, id: string): void;
  /** @throws IngotError ALIAS_UNKNOWN */
  removeAlias(alias: string): void;
  /** Close every version, its last requests or not. */
  close(): Promise<void>;
}

interface Version {
  readonly number: number;
  readonly model: PreparedModel;
  readonly opened: ModelVersion;
  state: VersionState;
  inFlight: number;
  provenance?: Promise<ModelProvenance | undefined>;
}

interface Entry {
  readonly id: string;
  live: Version;
  /** Kept for a rollback; `until` is a Unix time. */
  warm?: { readonly version: Version; readonly until: number; readonly cancel: () => void };
  lastNumber: number;
}

/** @param versions served at once, without a warm-up, each under its own id */
export function createRegistry(options: RegistryOptions, versions: readonly ModelVersion[] = []): ModelRegistry {
  const { clock, after, onFailure } = options;
  const entries = new Map<string, Entry>();
  const aliases = new Map<string, string>();
  const open = new Set<Version>();
  const closed: { readonly id: string; readonly counts: EngineCounts }[] = [];
  /** Names for which a version is being opened. */
  const opening = new Set<string>();
  let isClosed = false;

  const makeVersion = (opened: ModelVersion, number: number, model: PreparedModel): Version => {
    const version: Version = { number, model, opened, state: 'live', inFlight: 0 };
    open.add(version);
    return version;
  };

  const closeVersion = async (version: Version): Promise<void> => {
    if (!open.delete(version)) return;
    closed.push({ id: version.model.id, counts: { ...version.model.engine.counts } });
    await version.opened.close();
  };

  const closeWhenIdle = (version: Version): void => {
    if (version.state === 'draining' && version.inFlight === 0) {
      closeVersion(version).catch((error: unknown) => onFailure?.(error));
    }
  };

  const drain = (version: Version): void => {
    version.state = 'draining';
    closeWhenIdle(version);
  };

  const dropWarm = (entry: Entry): void => {
    const { warm } = entry;
    if (warm === undefined) return;
    delete entry.warm;
    warm.cancel();
    drain(warm.version);
  };

  /** The switch. */
  const replace = (entry: Entry, next: Version, keepWarm: Seconds): void => {
    const old = entry.live;
    entry.live = next;
    next.state = 'live';
    if (after === undefined || keepWarm <= 0) return drain(old);
    old.state = 'warm';
    const warm = { version: old, until: clock.now() + keepWarm, cancel: after(keepWarm, () => dropWarm(entry)) };
    entry.warm = warm;
  };

  const openVersion = async (
    id: string,
    openModel: () => Promise<ModelVersion>,
    number: number,
  ): Promise<() => Version> => {
    opening.add(id);
    try {
      const opened = await openModel();
      try {
        assert(opened.model.id === id, 'a version is opened under the name that it is served by');
        await opened.warmUp?.();
        const model = prepareModel(opened.model, number);
        if (isClosed) fail({ code: 'SERVER_CLOSING', message: 'the server is closing' });
        return () => makeVersion(opened, number, model);
      } catch (error) {
        await opened.close();
        throw error;
      }
    } finally {
      opening.delete(id);
    }
  };

  const refuseBusy = (id: string): void => {
    if (!opening.has(id)) return;
    fail({
      code: 'MODEL_BUSY',
      message: `a version of '${shownName(id)}' is being opened`,
      suggestion: 'wait until it is served, or failed',
    });
  };

  const nameTaken = (name: string): never =>
    fail({
      code: 'MODEL_NAME_TAKEN',
      message: `the name '${shownName(name)}' is in use`,
      suggestion: 'take another name',
    });

  const entryOf = (id: string): Entry =>
    entries.get(id) ??
    fail({
      code: 'MODEL_NOT_SERVED',
      message: `no model '${shownName(id)}' is served`,
      ...(aliases.has(id) ? { suggestion: `'${id}' is an alias of '${aliases.get(id)}'` } : {}),
    });

  const find = (name: string, sees: (id: string) => boolean = () => true): Entry => {
    const entry = entries.get(aliases.get(name) ?? name);
    if (entry !== undefined && sees(entry.id)) return entry;
    const names = [...entries.keys(), ...aliases.keys()].filter((known) => sees(aliases.get(known) ?? known));
    const near = nearest(name, names);
    const served =
      names.length === 0 ? 'It serves none at present.' : `It serves ${names.map((n) => `'${n}'`).join(', ')}.`;
    throw new ApiError({
      status: 404,
      code: 'model_not_found',
      param: 'model',
      message: `The model '${shownName(name)}' does not exist on this server.`,
      suggestion: near === undefined ? served : `Did you mean '${near}'?`,
    });
  };

  const statusOf = ({ id, warm }: Entry): ModelStatus => ({
    id,
    aliases: [...aliases].flatMap(([alias, target]) => (target === id ? [alias] : [])),
    versions: [...open]
      .filter(({ model }) => model.id === id)
      .map((version) => ({
        version: version.number,
        state: version.state,
        in_flight: version.inFlight,
        ...(warm?.version === version ? { warm_until: Math.ceil(warm.until) } : {}),
      })),
  });

  const add = (id: string, version: Version): Entry => {
    const entry: Entry = { id, live: version, lastNumber: version.number };
    entries.set(id, entry);
    return entry;
  };

  for (const version of versions) {
    const { id } = version.model;
    if (entries.has(id)) nameTaken(id);
    add(id, makeVersion(version, 1, prepareModel(version.model, 1)));
  }

  return {
    get models() {
      return [...entries.values()].map(({ live }) => live.model);
    },
    get open() {
      return [...open].map(({ model }) => model);
    },
    closed,
    get measured() {
      return [...entries.values()].map(({ id, live }) => ({
        id,
        engine: {
          limits: live.model.engine.limits,
          counts: totalCounts(
            [...open].flatMap(({ model }) => (model.id === id ? [model.engine.counts] : [])),
            closed.flatMap((version) => (version.id === id ? [version.counts] : [])),
          ),
        },
      }));
    },
    aliases,
    list: () => [...entries.values()].map(statusOf),
    status: (id) => statusOf(entryOf(id)),
    acquire(name, sees) {
      const version = find(name, sees).live;
      version.inFlight++;
      let isHeld = true;
      return {
        model: version.model,
        version: version.number,
        release() {
          if (!isHeld) return;
          isHeld = false;
          version.inFlight--;
          closeWhenIdle(version);
        },
      };
    },
    async provenance(name, sees) {
      const { id, live } = find(name, sees);
      live.provenance ??= live.opened.provenance?.() ?? Promise.resolve(undefined);
      return { id, version: live.number, ...(await live.provenance) };
    },
    async load(id, openModel) {
      refuseBusy(id);
      if (entries.has(id) || aliases.has(id)) nameTaken(id);
      const make = await openVersion(id, openModel, 1);
      return statusOf(add(id, make()));
    },
    async swap(id, openModel, keepWarm) {
      refuseBusy(id);
      const entry = entryOf(id);
      const make = await openVersion(id, openModel, ++entry.lastNumber);
      dropWarm(entry);
      replace(entry, make(), keepWarm);
      return statusOf(entry);
    },
    rollback(id, keepWarm) {
      refuseBusy(id);
      const entry = entryOf(id);
      const { warm } = entry;
      if (warm === undefined) {
        return fail({
          code: 'NOTHING_WARM',
          message: `of '${shownName(id)}' no earlier version is open`,
          suggestion: 'swap to its files instead',
        });
      }
      delete entry.warm;
      warm.cancel();
      replace(entry, warm.version, keepWarm);
      return statusOf(entry);
    },
    unload(id) {
      refuseBusy(id);
      const entry = entryOf(id);
      entries.delete(id);
      for (const [alias, target] of aliases) if (target === id) aliases.delete(alias);
      dropWarm(entry);
      drain(entry.live);
    },
    setAlias(alias, id) {
      entryOf(id);
      if (entries.has(alias) || opening.has(alias)) nameTaken(alias);
      aliases.set(alias, id);
    },
    removeAlias(alias) {
      if (!aliases.delete(alias)) fail({ code: 'ALIAS_UNKNOWN', message: `there is no alias '${shownName(alias)}'` });
    },
    async close() {
      isClosed = true;
      for (const entry of entries.values()) entry.warm?.cancel();
      entries.clear();
      const results = await Promise.allSettled([...open].map(closeVersion));
      const failed = results.filter((result) => result.status === 'rejected');
      if (failed.length > 0) {
        throw new IngotError(
          { code: 'MODEL_CLOSE_FAILED', message: 'a model could not be closed' },
          { cause: failed[0].reason },
        );
      }
    },
  };
}

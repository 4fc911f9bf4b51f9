// The API over a tiny engine, for tests that have no socket and for tests that put it on one.

import { createRng, joules, seconds, type Clock } from '../../core/index.ts';
import type { Embedding, Tokenizer } from '../../model/index.ts';
import { createEngine, type Engine, type EngineOptions } from '../engine.ts';
import type { Access } from '../access/index.ts';
import { createApi, type Api, type ApiResponse, type ServingApi } from '../http/api.ts';
import type { Coalescing } from '../http/coalesce.ts';
import type { Promises } from '../http/endpoint.ts';
import type { HardwareModel, RequestRecord } from '../telemetry/index.ts';
import type { Usage } from '../ledger/index.ts';
import { createRegistry, type ModelRegistry } from '../registry/index.ts';
import { createTestExecutor, type TestExecutor, type TestExecutorOptions } from './test-executor.ts';
import { createTestTokenizer } from './test-tokenizer.ts';

export const TEST_MODEL = 'ingot-test';
/** 2026-01-01T00:00:00Z. */
const START = 1_767_225_600;

/** Two regions; 100 W at rest, 1 µJ a token and 1 nJ for each token behind it. */
export const testHardware: HardwareModel = {
  wafers: 1,
  stages: [0, 1].map((stage) => ({
    wafer: 0,
    region: { x: 10 * stage, y: 0, width: 10, height: 10 },
    fromLayer: stage,
    toLayer: stage + 1,
  })),
  // 4 µs and 3 µs of the test wafer's 10.
  passage: () => [
    {
      seconds: 4e-6,
      parts: [
        { kind: 'kernel', op: 'q+k+v', seconds: 2e-6 },
        { kind: 'collective', op: 'q+k+v', seconds: 1e-6 },
      ],
    },
    { seconds: 3e-6, parts: [] },
  ],
  state({ seconds: time, tokens, cached, busy }) {
    const rate = time > 0 ? 1 / time : 0;
    const elements = rate * (1e-6 * tokens + 1e-9 * cached);
    return {
      power: { idle: 100, elements, fabric: 0, offWafer: 0 },
      total: 100 + elements,
      rated: 1000,
      hottest: 40,
      coolant: 20,
      clockScale: 1,
      stages: Array.from(busy, (of) => ({ busy: rate * of, linkLoad: 0 })),
    };
  },
};

export interface TestApi {
  readonly api: ServingApi;
  readonly engine: Engine;
  readonly registry: ModelRegistry;
  readonly usage: Usage[];
  readonly tokenizer: Tokenizer;
  readonly executor: TestExecutor;
  readonly failures: unknown[];
  readonly clock: Clock;
}

/** The server's clock moves by `tick` seconds at every look, so that times are the same in every run. */
export function createTestApi(
  executorOptions: TestExecutorOptions = {},
  engineOptions: Partial<EngineOptions> = {},
  {
    chat = true,
    marks = [],
    tick = 0,
    coalescing,
    access,
    onRequest,
    keepBodies = false,
    keptResponses = 100_000,
    promises = {},
    embedding = { pooling: 'last', normalize: true, dimensions: [] },
  }: {
    readonly chat?: boolean | string;
    readonly marks?: readonly string[];
    readonly tick?: number;
    readonly coalescing?: Coalescing;
    readonly access?: Access;
    readonly onRequest?: (record: RequestRecord) => void;
    readonly keepBodies?: boolean;
    readonly keptResponses?: number;
    readonly promises?: Promises;
    readonly embedding?: Embedding;
  } = {},
): TestApi {
  let looks = 0;
  const clock: Clock = { now: () => seconds(START + tick * looks++) };
  const tokenizer = createTestTokenizer({ chat, marks });
  const executor = createTestExecutor({
    vocab: tokenizer.vocabSize,
    maxContext: 256,
    blocks: 128,
    maxStepTokens: 32,
    // Printable text, so that transcripts can be read; the end of an answer is rare but happens.
    edit: (logits) => {
      for (let token = 0; token < 256; token++) if (token < 0x21 || token > 0x7e) logits[token] = -Infinity;
      for (const id of tokenizer.specialIds) if (!tokenizer.eosIds.includes(id)) logits[id] = -Infinity;
    },
    ...executorOptions,
  });
  const engine = createEngine({
    executor,
    clock,
    stepModel: {
      basis: 'test wafer: 10 µs per step and 0.1 µs per token',
      step: ({ items }) => ({
        time: seconds(1e-5 + 1e-7 * items.reduce((sum, item) => sum + item.tokens, 0)),
        energy: joules(0.1),
      }),
    },
    ...engineOptions,
  });
  const failures: unknown[] = [];
  const usage: Usage[] = [];
  const { eosIds: eos } = tokenizer;
  const model = {
    id: TEST_MODEL,
    created: START,
    ownedBy: 'ingot',
    engine,
    tokenizer,
    eos,
    hardware: testHardware,
    ...(embedding === undefined ? {} : { embedding }),
  };
  // What is replaced stays warm for ever: tests have no timers.
  const registry = createRegistry({ clock, after: () => () => undefined }, [{ model, close: () => engine.close() }]);
  const api = createApi({
    registry,
    onUsage: (row) => usage.push(row),
    ...(access === undefined ? {} : { access }),
    clock,
    rng: createRng(1),
    ...(coalescing === undefined ? {} : { coalescing }),
    ...(onRequest === undefined ? {} : { onRequest }),
    keepBodies,
    keptResponses,
    promises,
    onFailure: (error) => failures.push(error),
  });
  return { api, engine, registry, usage, tokenizer, executor, failures, clock };
}

/** A response read to its end; `error` is what cut its stream. */
export interface Transcript {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
  readonly error?: unknown;
}

export async function readResponse({ status, headers, body }: ApiResponse): Promise<Transcript> {
  if (typeof body === 'string') return { status, headers, text: body };
  let text = '';
  try {
    for await (const piece of body) text += piece;
  } catch (error) {
    return { status, headers, text, error };
  }
  return { status, headers, text };
}

export async function call(
  api: Api,
  path: string,
  body?: unknown,
  {
    method = body === undefined ? 'GET' : 'POST',
    signal = new AbortController().signal,
    headers = {},
  }: {
    readonly method?: string;
    readonly signal?: AbortSignal;
    readonly headers?: Readonly<Record<string, string>>;
  } = {},
): Promise<Transcript> {
  const text = typeof body === 'string' ? body : body === undefined ? '' : JSON.stringify(body);
  return readResponse(await api.handle({ method, path, body: text, headers, signal }));
}

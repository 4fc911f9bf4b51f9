// What the endpoints that complete something share.

import { seconds, type Seconds } from '../../core/index.ts';
import {
  ApiError,
  badValue,
  parseScheduling,
  type ChatRequest,
  type ChunkWriter,
  type CompletionRequest,
  type SchedulingBody,
  type ServiceTier,
} from '../../protocol/index.ts';
import type { EventStream } from '../engine-channel.ts';
import type { EngineRequest, TokenEvent } from '../engine-request.ts';
import type { LogitsProcessor } from '../logits-processor.ts';
import { createBias, createLeastLength, createPenalties, inOrder } from '../logits-rules.ts';
import { USUAL_TARGETS } from '../scheduler/index.ts';
import type { LatencyTargets } from '../sequence.ts';
import { nextTurn } from '../next-turn.ts';
import type { AskedOfModel, RequestTrack, SentToModel } from '../telemetry/index.ts';
import { createChunkedWriter, streamAnswer, wholeAnswer, type AnswerPlan, type WholeAnswer } from './answer.ts';
import type { Coalescing } from './coalesce.ts';
import type { PromptParam } from './failure.ts';
import { refuseOversize } from './prompts.ts';
import type { ResponseStore } from './response-store.ts';
import type { PreparedModel } from './served-model.ts';

/** What the API gives an endpoint for one request. */
export interface EndpointContext {
  /** It counts as a request of its tenant, whatever becomes of it. @throws ApiError 429 */
  readonly begin: () => void;
  /** By id, whether a model is there for who asks. */
  readonly sees: (id: string) => boolean;
  /** @throws ApiError 404 */
  readonly findModel: (id: string) => PreparedModel;
  /** Hands a request to the model's engine, in the name of whoever sent it. @throws ApiError 429; of Engine.submit */
  readonly submit: (model: PreparedModel, asked: SentToModel) => EventStream<TokenEvent>;
  /** Who asks; undefined where there are no tenants. */
  readonly tenant: () => string | undefined;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  /** When the request reached the server, and its Unix second. */
  readonly received: Seconds;
  readonly created: number;
  readonly newId: () => string;
  /** For a request without a seed. */
  readonly newSeed: () => number;
  /** Keeps what telemetry tells of the request. */
  readonly track: RequestTrack;
  readonly coalescing: Coalescing | undefined;
  /** Responses to go on with; undefined where none are kept. */
  readonly kept: ResponseStore | undefined;
  /** What is promised to requests that say nothing, and the longest that any may take. */
  readonly promises: Promises;
}

export interface Promises {
  /** Absent: nothing. */
  readonly targets?: Partial<LatencyTargets>;
  /** After a request's arrival; absent: no bound. */
  readonly deadline?: Seconds;
}

/** Serialised JSON, or server-sent events. */
export type EndpointBody = string | AsyncIterable<string>;

/** Characters that a prompt of a model can have at most. */
export const mostCharacters = ({ engine, tokenizer }: PreparedModel): number =>
  engine.maxContext * tokenizer.longestToken;

/** The smaller goes first. */
const PRIORITIES: Readonly<Record<ServiceTier, number>> = { priority: -1, default: 0, auto: 0, flex: 1 };

/** `auto` is served as `default`, and says so. */
export function tierOf(tier: ServiceTier | undefined): Readonly<Record<string, ServiceTier>> {
  if (tier === undefined) return {};
  return tier === 'auto' ? { service_tier: 'default', service_tier_used: 'default' } : { service_tier: tier };
}

const QUEUE_THRESHOLD = { header: 'queue_threshold', least: 50, most: 20_000 } as const;

/**
 * The header by which a client would rather be refused than wait: milliseconds.
 * @throws ApiError 400
 */
function queueThreshold({ headers }: EndpointContext, tier: ServiceTier | undefined): { maxQueueTime?: Seconds } {
  const { header, least, most } = QUEUE_THRESHOLD;
  const given = headers[header];
  if (given === undefined) return {};
  const value = Number(given);
  if (!Number.isInteger(value) || value < least || value > most) {
    throw badValue(header, `a whole number of milliseconds from ${least} to ${most}`, given);
  }
  if (tier !== 'flex' && tier !== 'auto') {
    throw new ApiError({
      status: 400,
      code: 'invalid_value',
      param: header,
      message: `The header '${header}' needs the service tier 'flex' or 'auto'.`,
      suggestion: `Send "service_tier": "auto" with it.`,
    });
  }
  return { maxQueueTime: seconds(value / 1000) };
}

type SharedBody = Omit<CompletionRequest, 'prompts' | 'max_tokens' | 'logprobs' | 'echo' | 'prompt'> & {
  readonly max_tokens?: number | undefined;
};

/**
 * How urgent it is: its tier and level, what it was promised, when it must be over.
 * @throws ApiError 400
 */
export function schedulingOf(
  body: SchedulingBody & { readonly service_tier?: ServiceTier },
  context: EndpointContext,
): Pick<EngineRequest, 'sent' | 'priority' | 'targets' | 'deadline' | 'maxQueueTime'> {
  const { received, promises, headers } = context;
  const { priority, deadline = Infinity, ttft, tpot } = parseScheduling(body, headers);
  const latest = Math.min(deadline, promises.deadline ?? Infinity);
  const isPromised = promises.targets !== undefined || ttft !== undefined || tpot !== undefined;
  const targets = {
    ...USUAL_TARGETS,
    ...promises.targets,
    ...(ttft === undefined ? {} : { ttft }),
    ...(tpot === undefined ? {} : { tpot }),
  };
  return {
    sent: received,
    priority: PRIORITIES[body.service_tier ?? 'default'] + priority,
    ...(isPromised ? { targets } : {}),
    ...(Number.isFinite(latest) ? { deadline: seconds(received + latest) } : {}),
    ...queueThreshold(context, body.service_tier),
  };
}

/**
 * Sampling as the body states it.
 * @param grammar goes after all other rules
 * @throws ApiError 400
 */
export function engineRequest(
  body: SharedBody,
  model: PreparedModel,
  context: EndpointContext,
  grammar?: () => LogitsProcessor,
): Omit<EngineRequest, 'prompts'> {
  const { temperature = 1, top_k, top_p, min_p, n, seed, stop, max_tokens, ignore_eos } = body;
  const processor = processorOf(body, model, grammar);
  return {
    sampling: {
      temperature,
      ...(top_k === undefined || top_k <= 0 ? {} : { topK: top_k }),
      ...(top_p === undefined ? {} : { topP: top_p }),
      ...(min_p === undefined ? {} : { minP: min_p }),
    },
    seed: seed ?? context.newSeed(),
    eos: ignore_eos === true ? [] : model.eos,
    stop: typeof stop === 'string' ? [stop] : (stop ?? []),
    choices: n ?? 1,
    ...(max_tokens === undefined ? {} : { maxTokens: max_tokens }),
    ...(processor === undefined ? {} : { processor }),
    ...schedulingOf(body, context),
  };
}

/** Undefined where nothing is asked, so that nothing is copied either. */
function processorOf(
  body: SharedBody,
  model: PreparedModel,
  grammar: (() => LogitsProcessor) | undefined,
): EngineRequest['processor'] {
  const { frequency_penalty = 0, presence_penalty = 0, repetition_penalty = 1, logit_bias = {}, min_tokens } = body;
  const { vocab } = model.engine;
  const rules: ((prompt: Int32Array) => LogitsProcessor)[] = [];
  if (frequency_penalty !== 0 || presence_penalty !== 0 || repetition_penalty !== 1) {
    const penalties = { frequency: frequency_penalty, presence: presence_penalty, repetition: repetition_penalty };
    rules.push((prompt) => createPenalties(penalties, prompt));
  }
  const biases = Object.entries(logit_bias).map(([token, bias]) => [Number(token), bias] as const);
  for (const [token] of biases) {
    if (token >= vocab) throw badValue('logit_bias', `token ids below ${vocab}`, token);
  }
  if (biases.length > 0) rules.push(() => createBias(biases));
  if (min_tokens > 0) rules.push(() => createLeastLength(min_tokens, model.eos));
  if (grammar !== undefined) rules.push(grammar);
  if (rules.length === 0) return undefined;
  return (prompt) => inOrder(rules.map((make) => make(prompt)));
}

/** What the two older endpoints do alike once the prompts are tokens. */
export async function answer<Logprobs>(
  body: ChatRequest | CompletionRequest,
  request: EngineRequest,
  model: PreparedModel,
  context: EndpointContext,
  endpoint: {
    readonly id: string;
    readonly operation: AskedOfModel['operation'];
    readonly promptParam: PromptParam;
    readonly opening: (choice: number) => string;
    readonly openEach: boolean;
    readonly reader: AnswerPlan<Logprobs>['reader'];
    readonly hidesThoughts?: boolean;
    /** Undefined where nothing is asked of tokens. */
    readonly logprobs: AnswerPlan<Logprobs>['logprobs'] | undefined;
    readonly chunkWriter: (head: AnswerPlan<Logprobs>['head']) => ChunkWriter<Logprobs>;
    readonly whole: (head: AnswerPlan<Logprobs>['head'], answer: WholeAnswer) => object;
  },
): Promise<EndpointBody> {
  const plan: AnswerPlan<Logprobs> = {
    head: {
      id: endpoint.id,
      created: context.created,
      model: model.id,
      includeUsage: body.stream_options?.include_usage === true,
      extra: { system_fingerprint: model.fingerprint, ...tierOf(body.service_tier) },
    },
    choices: request.prompts.length * (request.choices ?? 1),
    promptTokens: promptTokensOf(request),
    basis: model.engine.waferBasis,
    promptParam: endpoint.promptParam,
    opening: endpoint.opening,
    reader: endpoint.reader,
    ...(endpoint.hidesThoughts === undefined ? {} : { hidesThoughts: endpoint.hidesThoughts }),
    ...(endpoint.logprobs === undefined ? {} : { logprobs: endpoint.logprobs }),
    heard: (event) => context.track.heard(event),
    ...(body.stream === true && context.coalescing !== undefined ? { coalescing: context.coalescing } : {}),
  };
  const events = context.submit(model, { operation: endpoint.operation, stream: body.stream === true, request });
  if (body.stream === true) {
    const writer = createChunkedWriter(plan, endpoint.chunkWriter(plan.head), endpoint.openEach);
    return streamAnswer(events, plan.coalescing, writer);
  }
  const whole = await wholeAnswer(events, plan);
  return JSON.stringify({ ...endpoint.whole(plan.head, whole), ...plan.head.extra });
}

export const promptTokensOf = ({ prompts }: EngineRequest): number =>
  prompts.reduce((sum, prompt) => sum + prompt.length, 0);

/** Characters that are encoded at a stretch where many short texts come together: some milliseconds' worth. */
const STRETCH = 4096;

/**
 * Texts as tokens, with what the tokenizer adds around them; token ids as they are.
 * @throws IngotError of PromptEncoder
 */
export async function encodeTexts(
  texts: readonly (string | readonly number[])[],
  model: PreparedModel,
): Promise<EngineRequest['prompts']> {
  const most = mostCharacters(model);
  // All before any, because the first may take long.
  for (const text of texts) if (typeof text === 'string') refuseOversize(text.length, most);
  const prompts: EngineRequest['prompts'][number][] = [];
  let stretch = 0;
  for (const text of texts) {
    if (typeof text !== 'string') {
      prompts.push(text);
      continue;
    }
    stretch += text.length;
    if (stretch > STRETCH) {
      // Each may be too short for a thread of its own, and all together long enough to hold up streams.
      await nextTurn();
      stretch = 0;
    }
    prompts.push((await model.prompts.encode({ kind: 'text', text, addSpecial: true }, most)).tokens);
  }
  return prompts;
}

/** Tokens of a predicted text go to the engine, which drafts from them. */
export async function predictionOf(
  text: string | undefined,
  model: PreparedModel,
): Promise<{ readonly prediction?: readonly number[] | Int32Array }> {
  if (text === undefined) return {};
  const source = { kind: 'text', text, addSpecial: false } as const;
  const { tokens } = await model.prompts.encode(source, mostCharacters(model));
  return { prediction: tokens };
}

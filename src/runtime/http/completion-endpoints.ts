// POST /v1/chat/completions and POST /v1/completions.

import {
  createChatChunkWriter,
  createCompletionChunkWriter,
  parseChatRequest,
  parseCompletionRequest,
  type ChatCompletion,
  type ChatLogprobs,
  type ChatRequest,
  type ChunkWriter,
  type Completion,
  type CompletionLogprobs,
  type CompletionRequest,
} from '../../protocol/index.ts';
import { fail, formatCount, type Seconds } from '../../core/index.ts';
import type { EngineRequest, FinishEvent } from '../engine-request.ts';
import { streamAnswer, wholeAnswer, type AnswerPlan, type WholeAnswer } from './answer.ts';
import { apiErrorOf } from './failure.ts';
import type { ServedModel } from './served-model.ts';
import { chatLogprobs, completionLogprobs } from './token-logprobs.ts';

/** What the API gives an endpoint for one request. */
export interface EndpointContext {
  readonly findModel: (id: string) => ServedModel;
  readonly signal: AbortSignal;
  /** When the request reached the server, and its Unix second. */
  readonly received: Seconds;
  readonly created: number;
  readonly newId: () => string;
  /** For a request without a seed. */
  readonly newSeed: () => number;
  readonly finished: (model: ServedModel, event: FinishEvent) => void;
}

/** Serialised JSON, or server-sent events. */
export type EndpointBody = string | AsyncIterable<string>;

/**
 * Refuses a text that cannot fit, before it is rendered or encoded: either takes time for all of it, in which no stream
 * moves. A token stands for no more characters than the longest one has, so a text of more than that many times the
 * context has too many tokens, or is blanks that a tokenizer joins.
 * @throws IngotError CONTEXT_OVERFLOW
 */
function refuseOversize({ engine, tokenizer }: ServedModel, characters: number): void {
  const most = engine.maxContext * tokenizer.longestToken;
  if (characters <= most) return;
  fail({
    code: 'CONTEXT_OVERFLOW',
    message:
      `the context holds ${formatCount(engine.maxContext)} tokens, at most ${formatCount(most)} characters, ` +
      `but the prompt has ${formatCount(characters)}`,
    expected: `at most ${formatCount(most)} characters`,
    found: `${formatCount(characters)} characters`,
    suggestion: 'Shorten the prompt.',
  });
}

/** Sampling as the body states it. */
function engineRequest(
  body: ChatRequest | CompletionRequest,
  model: ServedModel,
  context: EndpointContext,
): Omit<EngineRequest, 'prompts'> {
  const { temperature = 1, top_k, top_p, min_p, n, seed, stop, max_tokens, ignore_eos } = body;
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
    sent: context.received,
  };
}

/** What the two endpoints do alike once the prompts are tokens. */
async function answer<Logprobs>(
  body: ChatRequest | CompletionRequest,
  request: EngineRequest,
  model: ServedModel,
  context: EndpointContext,
  endpoint: {
    readonly id: string;
    readonly promptParam: 'messages' | 'prompt';
    readonly opening: (choice: number) => string;
    readonly openEach: boolean;
    readonly logprobs: AnswerPlan<Logprobs>['logprobs'];
    readonly chunkWriter: (head: AnswerPlan<Logprobs>['head']) => ChunkWriter<Logprobs>;
    readonly whole: (head: AnswerPlan<Logprobs>['head'], answer: WholeAnswer) => ChatCompletion | Completion;
  },
): Promise<EndpointBody> {
  const events = model.engine.submit(request, context.signal);
  const plan: AnswerPlan<Logprobs> = {
    head: {
      id: endpoint.id,
      created: context.created,
      model: model.id,
      includeUsage: body.stream_options?.include_usage === true,
    },
    choices: request.prompts.length * (request.choices ?? 1),
    promptTokens: request.prompts.reduce((sum, prompt) => sum + prompt.length, 0),
    basis: model.engine.waferBasis,
    promptParam: endpoint.promptParam,
    opening: endpoint.opening,
    ...(request.logprobs === undefined ? {} : { logprobs: endpoint.logprobs }),
    finished: (event) => context.finished(model, event),
  };
  if (body.stream === true) return streamAnswer(events, plan, endpoint.chunkWriter(plan.head), endpoint.openEach);
  return JSON.stringify(endpoint.whole(plan.head, await wholeAnswer(events, plan)));
}

/** @throws ApiError */
export async function chatCompletion(given: unknown, context: EndpointContext): Promise<EndpointBody> {
  const body = parseChatRequest(given);
  const model = context.findModel(body.model);
  const { tokenizer } = model;
  try {
    // Each message takes a token at least, if only for its role.
    const { longestToken } = tokenizer;
    refuseOversize(
      model,
      body.messages.reduce((sum, { content }) => sum + Math.max(longestToken, content.length), 0),
    );
    const text = tokenizer.renderChat(body.messages as readonly { readonly role: string }[], {
      addGenerationPrompt: true,
      now: context.received,
    });
    refuseOversize(model, text.length);
    const request: EngineRequest = {
      ...engineRequest(body, model, context),
      prompts: [tokenizer.encode(text, { addSpecial: false })],
      decoder: () => tokenizer.decoder(),
      ...(body.logprobs === true ? { logprobs: body.top_logprobs ?? 0 } : {}),
    };
    return await answer<ChatLogprobs>(body, request, model, context, {
      id: `chatcmpl-${context.newId()}`,
      promptParam: 'messages',
      opening: () => '',
      openEach: true,
      logprobs: (tokens) => chatLogprobs(tokens, tokenizer),
      chunkWriter: createChatChunkWriter,
      whole: ({ id, created }, { choices, usage, times }) => ({
        id,
        object: 'chat.completion',
        created,
        model: model.id,
        choices: choices.map(({ index, text, tokens, reason }) => ({
          index,
          message: { role: 'assistant', content: text, refusal: null },
          logprobs: request.logprobs === undefined ? null : chatLogprobs(tokens, tokenizer),
          finish_reason: reason,
        })),
        usage,
        time_info: times,
      }),
    });
  } catch (error) {
    throw apiErrorOf(error, 'messages');
  }
}

/** @throws ApiError */
export async function completion(given: unknown, context: EndpointContext): Promise<EndpointBody> {
  const body = parseCompletionRequest(given);
  const model = context.findModel(body.model);
  const { tokenizer } = model;
  try {
    for (const prompt of body.prompts) if (typeof prompt === 'string') refuseOversize(model, prompt.length);
    const request: EngineRequest = {
      ...engineRequest(body, model, context),
      prompts: body.prompts.map((prompt) => (typeof prompt === 'string' ? tokenizer.encode(prompt) : prompt)),
      // The answer goes on from the prompt's last character.
      decoder: () => tokenizer.decoder({ continues: true }),
      ...(body.logprobs === undefined ? {} : { logprobs: body.logprobs }),
    };
    const echoed = (choice: number): string => {
      const prompt = body.prompts[Math.floor(choice / (body.n ?? 1))];
      return typeof prompt === 'string' ? prompt : tokenizer.decode(prompt);
    };
    return await answer<CompletionLogprobs>(body, request, model, context, {
      id: `cmpl-${context.newId()}`,
      promptParam: 'prompt',
      opening: body.echo === true ? echoed : () => '',
      openEach: false,
      logprobs: (tokens, offset) => completionLogprobs(tokens, tokenizer, offset),
      chunkWriter: createCompletionChunkWriter,
      whole: ({ id, created }, { choices, usage, times }) => ({
        id,
        object: 'text_completion',
        created,
        model: model.id,
        choices: choices.map(({ index, text, tokens, reason }) => ({
          index,
          text,
          logprobs: request.logprobs === undefined ? null : completionLogprobs(tokens, tokenizer, 0),
          finish_reason: reason,
        })),
        usage,
        time_info: times,
      }),
    });
  } catch (error) {
    throw apiErrorOf(error, 'prompt');
  }
}

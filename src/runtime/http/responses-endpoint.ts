// /v1/responses: a chat in the words of the newer API, which can be gone on with by its id.

import {
  createResponseWriter,
  parseResponseRequest,
  type ChatLogprobs,
  type ResponseWriter,
} from '../../protocol/index.ts';
import type { TokenReport } from '../engine-request.ts';
import { createAnswerReading, streamAnswer, type AnswerPlan, type AnswerWriter } from './answer.ts';
import { planChat } from './chat-plan.ts';
import { createJoiner } from './coalesce.ts';
import { promptTokensOf, tierOf, type EndpointBody, type EndpointContext } from './endpoint.ts';
import { apiErrorOf } from './failure.ts';
import { chatLogprobs } from './token-logprobs.ts';

/** @throws ApiError */
export async function responses(given: unknown, context: EndpointContext): Promise<EndpointBody> {
  const { kept } = context;
  const { chat, echoed, items, store } = parseResponseRequest(given, kept?.pastOf(context.tenant()));
  const model = context.findModel(chat.model);
  try {
    const { request, reader } = await planChat(chat, model, context);
    const id = `resp_${context.newId()}`;
    const { created } = context;
    const isStream = chat.stream === true;
    const plan: AnswerPlan<unknown> = {
      head: { id, created, model: model.id, includeUsage: false },
      choices: 1,
      promptTokens: promptTokensOf(request),
      basis: model.engine.waferBasis,
      promptParam: 'input',
      opening: () => '',
      reader,
      heard: (event) => context.track.heard(event),
      ...(isStream && context.coalescing !== undefined ? { coalescing: context.coalescing } : {}),
    };
    const writer = createResponseWriter({
      id,
      created,
      model: model.id,
      echoed: { ...echoed, ...tierOf(chat.service_tier ?? 'default') },
      newId: context.newId,
    });
    const logprobs = (tokens: readonly TokenReport[]): ChatLogprobs['content'] =>
      chat.logprobs === true ? chatLogprobs(tokens, model.tokenizer).content : [];
    const events = context.submit(model, { operation: 'chat', stream: isStream, request });
    const written = createWriter(plan, writer, logprobs, () => {
      if (store)
        kept?.keep(context.tenant(), {
          id,
          text: JSON.stringify(writer.response()),
          items: [...items, ...writer.output()],
        });
    });
    if (isStream) return streamAnswer(events, plan.coalescing, written);
    written.begin();
    // Where log probabilities belong is told by the events that parts come of.
    if (chat.logprobs !== true) events.hold(createJoiner());
    for await (const event of events) written.write(event);
    return JSON.stringify(writer.response());
  } catch (error) {
    throw apiErrorOf(error, 'input');
  }
}

function createWriter(
  plan: AnswerPlan<unknown>,
  writer: ResponseWriter,
  logprobs: (tokens: readonly TokenReport[]) => ChatLogprobs['content'],
  onFinish: () => void,
): AnswerWriter {
  const reading = createAnswerReading(plan);
  /** Of tokens that gave no text yet, by which it will begin. */
  let reports: ChatLogprobs['content'] = [];
  return {
    begin: () => writer.begin(),
    write(event) {
      let said = '';
      for (const piece of reading.read(event)) {
        if (piece.kind === 'finish') {
          said += writer.finish(piece.reason, reading.end());
          onFinish();
        } else if (piece.kind === 'parts') {
          if (!piece.isThought) reports = [...reports, ...logprobs(piece.tokens)];
          for (const part of piece.parts) {
            said += writer.part(part, reports);
            reports = [];
          }
        }
      }
      return said;
    },
    end: () => '',
    fail: (error) => writer.fail(apiErrorOf(error, 'input')),
  };
}

/**
 * What such a request has for a prompt, in tokens; nothing is computed.
 * @throws ApiError
 */
export async function inputTokens(given: unknown, context: EndpointContext): Promise<EndpointBody> {
  const { chat } = parseResponseRequest(given, context.kept?.pastOf(context.tenant()));
  try {
    const { request } = await planChat(chat, context.findModel(chat.model), context);
    return JSON.stringify({ object: 'response.input_tokens', input_tokens: promptTokensOf(request) });
  } catch (error) {
    throw apiErrorOf(error, 'input');
  }
}

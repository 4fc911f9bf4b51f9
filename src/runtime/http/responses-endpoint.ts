// POST /v1/responses, stateless: a chat in the words of the newer API.

import {
  createResponseWriter,
  parseResponseRequest,
  type ChatLogprobs,
  type ResponseWriter,
} from '../../protocol/index.ts';
import type { TokenEvent, TokenReport } from '../engine-request.ts';
import { begun, readAnswer, type AnswerPlan } from './answer.ts';
import { planChat } from './chat-plan.ts';
import { coalesced } from './coalesce.ts';
import { promptTokensOf, tierOf, type EndpointBody, type EndpointContext } from './endpoint.ts';
import { apiErrorOf } from './failure.ts';
import { chatLogprobs } from './token-logprobs.ts';

/** @throws ApiError */
export async function responses(given: unknown, context: EndpointContext): Promise<EndpointBody> {
  const { chat, echoed } = parseResponseRequest(given);
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
    if (isStream) return stream(coalesced(await begun(events), plan.coalescing), plan, writer, logprobs);
    for await (const _ of write(events, plan, writer, logprobs));
    return JSON.stringify(writer.response());
  } catch (error) {
    throw apiErrorOf(error, 'input');
  }
}

async function* write(
  events: AsyncIterable<TokenEvent>,
  plan: AnswerPlan<unknown>,
  writer: ResponseWriter,
  logprobs: (tokens: readonly TokenReport[]) => ChatLogprobs['content'],
): AsyncIterable<string> {
  const reading = readAnswer(events, plan);
  yield writer.begin();
  for await (const piece of reading.pieces) {
    if (piece.kind === 'finish') yield writer.finish(piece.reason, reading.end());
    else {
      let reports = logprobs(piece.tokens);
      for (const part of piece.parts) {
        yield writer.part(part, reports);
        reports = [];
      }
    }
  }
}

async function* stream(...written: Parameters<typeof write>): AsyncIterable<string> {
  try {
    yield* write(...written);
  } catch (error) {
    yield written[2].fail(apiErrorOf(error, 'input'));
    throw error;
  }
}

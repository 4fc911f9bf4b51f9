// POST /v1/chat/completions.

import { createChatChunkWriter, parseChatRequest, type ChatLogprobs } from '../../protocol/index.ts';
import { planChat } from './chat-plan.ts';
import { answer, type EndpointBody, type EndpointContext } from './endpoint.ts';
import { apiErrorOf } from './failure.ts';
import { messageOf } from './message-reader.ts';
import { chatLogprobs } from './token-logprobs.ts';

/** @throws ApiError */
export async function chatCompletion(given: unknown, context: EndpointContext): Promise<EndpointBody> {
  const body = parseChatRequest(given);
  const model = context.findModel(body.model);
  const { tokenizer } = model;
  const hidesThoughts = body.reasoning.format === 'hidden';
  try {
    const { request, reader } = await planChat(body, model, context);
    return await answer<ChatLogprobs>(body, request, model, context, {
      id: `chatcmpl-${context.newId()}`,
      operation: 'chat',
      promptParam: 'messages',
      opening: () => '',
      openEach: true,
      reader,
      hidesThoughts,
      logprobs: request.logprobs === undefined ? undefined : (tokens) => chatLogprobs(tokens, tokenizer),
      chunkWriter: createChatChunkWriter,
      whole: ({ id, created }, { choices, usage, times }) => ({
        id,
        object: 'chat.completion',
        created,
        model: model.id,
        choices: choices.map(({ index, parts, tokens, thoughts, reason }) => ({
          index,
          message: messageOf(parts),
          logprobs: request.logprobs === undefined ? null : chatLogprobs(tokens, tokenizer),
          ...(request.logprobs === undefined || thoughts.length === 0 || hidesThoughts
            ? {}
            : { reasoning_logprobs: chatLogprobs(thoughts, tokenizer) }),
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

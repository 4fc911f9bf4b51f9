// From a chat request to a request of the engine, and to the reader of its answers. Chat completions and responses share it.

import { isNestedTooDeep, type ChatMessage, type ChatRequest, type Tool } from '../../protocol/index.ts';
import type { EngineRequest } from '../engine-request.ts';
import { engineRequest, mostCharacters, predictionOf, type EndpointContext } from './endpoint.ts';
import { createMessageReader, type MessageReader } from './message-reader.ts';
import { refuseOversize } from './prompts.ts';
import { createThoughtReader, thoughtState } from './reasoning.ts';
import type { PreparedModel } from './served-model.ts';
import { tellTools } from './tool-format/told.ts';

export interface ChatPlan {
  readonly request: EngineRequest;
  readonly reader: () => MessageReader;
}

/** @throws ApiError, IngotError of templates, tokenizer and grammars */
export async function planChat(body: ChatRequest, model: PreparedModel, context: EndpointContext): Promise<ChatPlan> {
  const { tokenizer, toolFormat } = model;
  const offersTools = body.toolChoice.kind !== 'none';
  const knowsDeveloper = (tokenizer.chatTemplate ?? '').includes('developer');
  const messages = toolFormat.isNative ? body.messages : tellTools(body.messages, offersTools ? body.tools : []);
  const most = mostCharacters(model);
  // Each message takes a token at least, if only for its role.
  const { longestToken } = tokenizer;
  refuseOversize(
    messages.reduce((sum, { content }) => sum + Math.max(longestToken, content.length), 0),
    most,
  );
  const { effort, format, clearThinking } = body.reasoning;
  const { tokens, end } = await model.prompts.encode(
    {
      kind: 'chat',
      messages: messages.map((message) => templateMessage(message, knowsDeveloper)),
      options: {
        addGenerationPrompt: true,
        now: context.received,
        ...(offersTools && toolFormat.isNative ? { tools: body.tools.map(templateTool) } : {}),
        // What templates of reasoning models read; others do not know these names.
        variables: {
          ...(effort === undefined ? {} : { reasoning_effort: effort, enable_thinking: effort !== 'none' }),
          ...(clearThinking === undefined ? {} : { clear_thinking: clearThinking }),
        },
      },
    },
    most,
  );
  const thoughts = thoughtState(tokenizer.chatTemplate ?? '', end);
  const shown = offersTools ? model.marks.tools : model.marks.plain;
  const grammar = model.grammars.processorOf(
    {
      format: body.format,
      tools: body.tools,
      choice: body.toolChoice,
      parallel: body.parallel_tool_calls !== false,
      thoughts,
    },
    toolFormat.format,
    shown,
  );
  return {
    request: {
      ...engineRequest(body, model, context, grammar),
      prompts: [tokens],
      decoder: () => tokenizer.decoder({ shown }),
      ...(body.logprobs === true ? { logprobs: body.top_logprobs ?? 0 } : {}),
      ...(await predictionOf(body.prediction, model)),
    },
    reader: () =>
      createMessageReader(
        format === 'raw' ? undefined : createThoughtReader(thoughts),
        offersTools ? toolFormat.format.createReader(() => toolFormat.format.callId(context.newId())) : undefined,
        format === 'hidden',
      ),
  };
}

/**
 * Templates are written for the message of transformers: arguments as an object, thoughts as `reasoning_content`, and of a
 * developer, which is OpenAI's newer name for the system, few have heard.
 */
function templateMessage(
  { role, tool_calls, reasoning, ...message }: ChatMessage,
  knowsDeveloper: boolean,
): { readonly role: string } {
  return {
    role: role === 'developer' && !knowsDeveloper ? 'system' : role,
    ...message,
    ...(reasoning === undefined ? {} : { reasoning_content: reasoning }),
    ...(tool_calls === undefined
      ? {}
      : {
          tool_calls: tool_calls.map((call) => ({
            ...call,
            function: { ...call.function, arguments: objectOr(call.function.arguments) },
          })),
        }),
  };
}

/** Templates write objects by recursion, so what is nested without bounds stays text. */
function objectOr(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !isNestedTooDeep(value) ? value : text;
  } catch {
    return text;
  }
}

const templateTool = ({ name, description, parameters }: Tool): object => ({
  type: 'function',
  function: {
    name,
    ...(description === undefined ? {} : { description }),
    parameters: parameters ?? { type: 'object', properties: {} },
  },
});

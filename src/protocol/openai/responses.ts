// The Responses API. A request brings its whole conversation, or names a response to go on from.

import { Type } from 'typebox';
import { badValue, createBodyParser, isRecord, refuseOthers, shownName } from './body.ts';
import { reasoningEffort, type ChatRequest } from './chat.ts';
import { ApiError } from './error.ts';
import {
  limits,
  never,
  onlyFalse,
  onlyOneOf,
  sharedFields,
  sharedIgnored,
  StreamOptionsSchema,
  tokenCount,
} from './fields.ts';
import { parseContent, type ChatMessage, type ToolCall } from './messages.ts';
import { parseResponseFormat } from './response-format.ts';
import { MAX_TOOLS, parseTools, parseToolUse } from './tools.ts';

const boolean = Type.Boolean({ description: 'a boolean' });
const { model, stream, temperature, top_p, service_tier, seed, priority, deadline_ms, slo } = sharedFields;

const responseFields = {
  model,
  stream,
  temperature,
  top_p,
  service_tier,
  priority,
  deadline_ms,
  slo,
  /** Not OpenAI's here, but useful to repeat an answer. */
  seed,
  stream_options: Type.Optional(StreamOptionsSchema),
  store: Type.Optional(boolean),
  previous_response_id: Type.Optional(Type.String({ description: 'the id of a response' })),
  input: Type.Union([Type.String(), Type.Array(Type.Unknown(), { minItems: 1, maxItems: limits.messages })], {
    description: `a string, or a list of 1 to ${limits.messages} items`,
  }),
  instructions: Type.Optional(Type.String({ description: 'a string' })),
  max_output_tokens: Type.Optional(tokenCount),
  tools: Type.Optional(
    Type.Array(Type.Unknown(), { maxItems: MAX_TOOLS, description: `a list of at most ${MAX_TOOLS} tools` }),
  ),
  tool_choice: Type.Optional(Type.Unknown()),
  parallel_tool_calls: Type.Optional(boolean),
  text: Type.Optional(Type.Unknown()),
  reasoning: Type.Optional(
    Type.Object(
      {
        effort: Type.Optional(Type.Union([reasoningEffort, Type.Null()])),
        summary: Type.Optional(Type.Union([Type.Literal('auto'), Type.Null()])),
      },
      { additionalProperties: false, description: `an object with effort (none to xhigh), and summary only if 'auto'` },
    ),
  ),
  top_logprobs: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: limits.topLogprobs,
      description: `a whole number from 0 to ${limits.topLogprobs}`,
    }),
  ),
  include: Type.Optional(
    Type.Array(
      Type.Union([Type.Literal('message.output_text.logprobs'), Type.Literal('reasoning.encrypted_content')]),
      {
        description: `a list of 'message.output_text.logprobs' and 'reasoning.encrypted_content'`,
      },
    ),
  ),
  metadata: Type.Optional(Type.Record(Type.String(), Type.String(), { description: 'an object of strings' })),
};

const parseFields = createBodyParser({
  fields: responseFields,
  ignored: sharedIgnored.filter((name) => name !== 'metadata'),
  restricted: {
    background: onlyFalse,
    truncation: onlyOneOf('disabled'),
    conversation: never,
    prompt: never,
    max_tool_calls: never,
    moderation: never,
    context_management: never,
  },
});

/** What was said before, where it is kept; of whoever asks. */
export interface PastItems {
  /** Items of a conversation up to and with this response. */
  conversation(responseId: string): readonly Item[] | undefined;
  item(id: string): Item | undefined;
}

type Item = Readonly<Record<string, unknown>>;

export interface ResponseRequest {
  /** The same, asked as a chat. */
  readonly chat: ChatRequest;
  /** Fields that the response repeats. */
  readonly echoed: Readonly<Record<string, unknown>>;
  /** The conversation that is answered, what came before included; instructions are not part of it. */
  readonly items: readonly Item[];
  /** The response can be gone on with. */
  readonly store: boolean;
}

/**
 * @param past undefined where nothing is kept
 * @throws ApiError 400, 404
 */
export function parseResponseRequest(body: unknown, past: PastItems | undefined): ResponseRequest {
  const raw = parseFields(body);
  const { previous_response_id: previous } = raw;
  if (past === undefined && (raw.store === true || previous !== undefined)) {
    throw new ApiError({
      status: 400,
      code: 'unsupported_parameter',
      param: raw.store === true ? 'store' : 'previous_response_id',
      message: 'This server keeps no responses.',
      suggestion: `Send the whole conversation as 'input', and 'store' as false.`,
    });
  }
  const store = past !== undefined && raw.store !== false;
  const items = [...(previous === undefined ? [] : conversationOf(previous, past)), ...itemsOf(raw.input, past)];
  const tools = parseTools(raw.tools ?? [], true);
  const use = parseToolUse(raw.tool_choice, tools, true);
  const { format: givenFormat, verbosity, ...otherText } = isRecord(raw.text) ? raw.text : {};
  if (raw.text !== undefined && !isRecord(raw.text)) throw badValue('text', 'an object with a format', raw.text);
  refuseOthers(otherText, [], 'text');
  if (verbosity !== undefined && verbosity !== null && verbosity !== 'medium') {
    throw badValue('text.verbosity', `'medium'`, verbosity, 'unsupported_value');
  }
  const format = parseResponseFormat(givenFormat ?? undefined, 'text.format', true);
  const wantsLogprobs =
    raw.include?.includes('message.output_text.logprobs') === true || raw.top_logprobs !== undefined;
  const instructions: ChatMessage[] =
    raw.instructions === undefined ? [] : [{ role: 'system', content: raw.instructions }];
  const { max_output_tokens, temperature: heat, top_p: mass, parallel_tool_calls = true } = raw;
  return {
    chat: {
      model: raw.model,
      messages: [
        ...instructions,
        ...parseInput(items, items.length - (typeof raw.input === 'string' ? 1 : raw.input.length)),
      ],
      min_tokens: 0,
      ...use,
      format,
      parallel_tool_calls,
      reasoning: { effort: raw.reasoning?.effort ?? undefined, format: 'parsed', clearThinking: undefined },
      ...(raw.stream === undefined ? {} : { stream: raw.stream }),
      ...(heat === undefined ? {} : { temperature: heat }),
      ...(mass === undefined ? {} : { top_p: mass }),
      ...(raw.seed === undefined ? {} : { seed: raw.seed }),
      ...(raw.service_tier === undefined ? {} : { service_tier: raw.service_tier }),
      ...(raw.priority === undefined ? {} : { priority: raw.priority }),
      ...(raw.deadline_ms === undefined ? {} : { deadline_ms: raw.deadline_ms }),
      ...(raw.slo === undefined ? {} : { slo: raw.slo }),
      ...(max_output_tokens === undefined ? {} : { max_tokens: max_output_tokens }),
      ...(wantsLogprobs ? { logprobs: true, top_logprobs: raw.top_logprobs ?? 0 } : {}),
    },
    echoed: {
      access_programs: null,
      background: false,
      instructions: raw.instructions ?? null,
      max_output_tokens: max_output_tokens ?? null,
      metadata: raw.metadata ?? {},
      parallel_tool_calls,
      previous_response_id: previous ?? null,
      reasoning: { effort: raw.reasoning?.effort ?? null, summary: null },
      store,
      temperature: heat ?? 1,
      text: { format: givenFormat ?? { type: 'text' } },
      tool_choice: raw.tool_choice ?? 'auto',
      tools: tools.map(({ name, description = null, parameters = null, strict }) => ({
        type: 'function',
        name,
        description,
        parameters,
        strict,
      })),
      top_p: mass ?? 1,
      truncation: 'disabled',
    },
    items,
    store,
  };
}

function conversationOf(id: string, past: PastItems | undefined): readonly Item[] {
  const items = past?.conversation(id);
  if (items !== undefined) return items;
  throw new ApiError({
    status: 400,
    code: 'previous_response_not_found',
    param: 'previous_response_id',
    message: `Previous response with id '${shownName(id)}' not found.`,
    suggestion: 'Responses are kept in memory until newer ones need the room; send the whole conversation instead.',
  });
}

/** What was given, with kept items in the place of references to them. */
function itemsOf(input: string | readonly unknown[], past: PastItems | undefined): Item[] {
  if (typeof input === 'string') return [{ type: 'message', role: 'user', content: input }];
  return input.map((item, i) => {
    const where = `input[${i}]`;
    if (!isRecord(item)) throw badValue(where, 'an object', item);
    if (item['type'] !== 'item_reference') return item;
    refuseOthers(item, ['type', 'id'], where);
    const { id } = item;
    if (typeof id !== 'string') throw badValue(`${where}.id`, 'the id of an item', id);
    const found = past?.item(id);
    if (found !== undefined) return found;
    throw new ApiError({
      status: 404,
      code: 'item_not_found',
      param: `${where}.id`,
      message: `Item with id '${shownName(id)}' not found.`,
      suggestion: `Send the item itself; those of responses are kept in memory, where 'store' is not false, until newer ones need the room.`,
    });
  });
}

/**
 * Calls in a row belong to one message of the assistant, and so do thoughts before it.
 * @param before items that came from elsewhere than the request
 */
function parseInput(items: readonly Item[], before: number): ChatMessage[] {
  if (items.length > limits.messages)
    throw badValue('input', `at most ${limits.messages} items, earlier ones included`, items.length);
  const messages: ChatMessage[] = [];
  let reasoning: string | undefined;
  const assistant = (message: { content?: string; call?: ToolCall }): void => {
    const last = messages.at(-1);
    const thought = reasoning;
    reasoning = undefined;
    const before = message.call !== undefined && last?.role === 'assistant' ? last : undefined;
    if (before !== undefined) messages.pop();
    const calls = [...(before?.tool_calls ?? []), ...(message.call === undefined ? [] : [message.call])];
    messages.push({
      role: 'assistant',
      content: message.content ?? before?.content ?? '',
      ...(calls.length === 0 ? {} : { tool_calls: calls }),
      ...(thought === undefined
        ? before?.reasoning === undefined
          ? {}
          : { reasoning: before.reasoning }
        : { reasoning: thought }),
    });
  };
  items.forEach((item, i) => {
    const where = `input[${i - before}]`;
    const { type = 'message', ...rest } = item;
    const text = (key: string): string => {
      const value = rest[key];
      if (typeof value !== 'string') throw badValue(`${where}.${key}`, 'a string', value);
      return value;
    };
    switch (type) {
      case 'message': {
        refuseOthers(rest, ['role', 'content', 'id', 'status', 'phase'], where);
        const { role } = rest;
        const content = parseContent(rest['content'], `${where}.content`);
        if (role === 'assistant') assistant({ content });
        else if (role === 'user' || role === 'system' || role === 'developer') messages.push({ role, content });
        else throw badValue(`${where}.role`, 'user, assistant, system or developer', role);
        return;
      }
      case 'function_call': {
        refuseOthers(rest, ['call_id', 'name', 'arguments', 'id', 'status'], where);
        const call = { id: text('call_id'), type: 'function' as const };
        assistant({ call: { ...call, function: { name: text('name'), arguments: text('arguments') } } });
        return;
      }
      case 'function_call_output': {
        refuseOthers(rest, ['call_id', 'output', 'id', 'status'], where);
        messages.push({
          role: 'tool',
          tool_call_id: text('call_id'),
          content: parseContent(rest['output'], `${where}.output`),
        });
        return;
      }
      case 'reasoning': {
        refuseOthers(rest, ['summary', 'content', 'encrypted_content', 'id', 'status'], where);
        const { content } = rest;
        reasoning = Array.isArray(content) ? content.map(thoughtText).join('') : undefined;
        return;
      }
      default:
        throw new ApiError({
          status: 400,
          code: 'unsupported_value',
          param: `${where}.type`,
          message: `Items of type '${shownName(String(type))}' are not supported by this server.`,
          suggestion: 'It takes message, function_call, function_call_output, reasoning and item_reference.',
        });
    }
  });
  if (messages.length === 0) throw badValue('input', 'at least one message', items);
  return messages;
}

const thoughtText = (part: unknown): string => (isRecord(part) && typeof part['text'] === 'string' ? part['text'] : '');

import { Type, type Static, type TObject } from 'typebox';
import { badValue, createBodyParser, isRecord, refuseOthers } from './body.ts';
import { ApiError } from './error.ts';
import {
  leastTokensOf,
  limits,
  literals,
  never,
  onlyEmptyList,
  onlyFalse,
  onlyOneOf,
  sharedFields,
  sharedIgnored,
  tokenCount,
  type ServiceTier,
} from './fields.ts';
import { parseContent, parseMessage, type ChatMessage, type ToolCall } from './messages.ts';
import { parseResponseFormat, type ResponseFormat } from './response-format.ts';
import { MAX_TOOLS, parseTools, parseToolUse, type Tool, type ToolChoice } from './tools.ts';
import type { TimeInfo, Usage } from './usage.ts';

const oneOf = <T extends string>(...values: readonly T[]) => literals(values);
const boolean = Type.Boolean({ description: 'a boolean' });
export const reasoningEffort = oneOf('none', 'minimal', 'low', 'medium', 'high', 'xhigh');

const chatFields = {
  ...sharedFields,
  messages: Type.Array(Type.Unknown(), {
    minItems: 1,
    maxItems: limits.messages,
    description: `a list of 1 to ${limits.messages} messages`,
  }),
  max_completion_tokens: Type.Optional(tokenCount),
  logprobs: Type.Optional(boolean),
  top_logprobs: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: limits.topLogprobs,
      description: `a whole number from 0 to ${limits.topLogprobs}`,
    }),
  ),
  tools: Type.Optional(
    Type.Array(Type.Unknown(), { maxItems: MAX_TOOLS, description: `a list of at most ${MAX_TOOLS} tools` }),
  ),
  tool_choice: Type.Optional(Type.Unknown()),
  parallel_tool_calls: Type.Optional(boolean),
  response_format: Type.Optional(Type.Unknown()),
  prediction: Type.Optional(Type.Unknown()),
  /** Models whose template knows it think more or less; `none` asks for no thinking. */
  reasoning_effort: Type.Optional(reasoningEffort),
  /** Cerebras': where thoughts go. */
  reasoning_format: Type.Optional(oneOf('none', 'parsed', 'text_parsed', 'raw', 'hidden')),
  disable_reasoning: Type.Optional(boolean),
  /** For the template: thoughts of earlier answers are left out. */
  clear_thinking: Type.Optional(boolean),
};

const parseFields = createBodyParser({
  fields: chatFields,
  ignored: sharedIgnored,
  restricted: {
    store: onlyFalse,
    modalities: {
      allows: (value) => Array.isArray(value) && value.length === 1 && value[0] === 'text',
      only: `["text"]`,
    },
    verbosity: onlyOneOf('medium'),
    functions: { ...onlyEmptyList, only: `an empty list; 'tools' took its place` },
    function_call: { ...onlyOneOf('none', 'auto'), only: `'none' or 'auto'; 'tool_choice' took its place` },
    audio: never,
    moderation: never,
    web_search_options: never,
  },
});

/** How an answer's thoughts are treated. */
export interface Reasoning {
  readonly effort: Static<typeof reasoningEffort> | undefined;
  /** `parsed`: apart from the content; `raw`: within it; `hidden`: not at all. */
  readonly format: 'parsed' | 'raw' | 'hidden';
  readonly clearThinking: boolean | undefined;
}

type Raw = Static<TObject<typeof chatFields>>;
type Parsed =
  | 'messages'
  | 'max_completion_tokens'
  | 'tools'
  | 'tool_choice'
  | 'response_format'
  | 'prediction'
  | 'reasoning_effort'
  | 'reasoning_format'
  | 'disable_reasoning'
  | 'clear_thinking';

export type ChatRequest = Omit<Raw, Parsed> & {
  readonly messages: readonly ChatMessage[];
  readonly min_tokens: number;
  readonly tools: readonly Tool[];
  readonly toolChoice: ToolChoice;
  readonly format: ResponseFormat;
  readonly reasoning: Reasoning;
  /** Text that much of the answer may repeat. */
  readonly prediction?: string;
};

const conflict = (param: string, message: string, suggestion?: string): ApiError =>
  new ApiError({
    status: 400,
    code: 'invalid_value',
    param,
    message,
    ...(suggestion === undefined ? {} : { suggestion }),
  });

/**
 * Checks a chat completion body. `max_completion_tokens` and its older name come back as `max_tokens`.
 * @throws ApiError 400
 */
export function parseChatRequest(body: unknown): ChatRequest {
  const raw = parseFields(body);
  const {
    messages,
    max_completion_tokens,
    tools: givenTools,
    tool_choice,
    response_format,
    prediction,
    ...others
  } = raw;
  const { reasoning_effort, reasoning_format, disable_reasoning, clear_thinking, ...rest } = others;
  const { max_tokens } = rest;
  if (max_completion_tokens !== undefined && max_tokens !== undefined && max_tokens !== max_completion_tokens) {
    throw conflict(
      'max_tokens',
      `'max_tokens' (${max_tokens}) and 'max_completion_tokens' (${max_completion_tokens}) disagree.`,
      `Send only 'max_completion_tokens'.`,
    );
  }
  if (rest.top_logprobs !== undefined && rest.logprobs !== true) {
    throw conflict('top_logprobs', `'top_logprobs' needs 'logprobs' to be true.`);
  }
  const mostTokens = max_completion_tokens ?? max_tokens;
  const limited = { ...rest, ...(mostTokens === undefined ? {} : { max_tokens: mostTokens }) };
  const { tools, toolChoice } = parseToolUse(tool_choice, parseTools(givenTools ?? []));
  const predicted = parsePrediction(prediction);
  if (predicted !== undefined) {
    const excluded =
      tools.length > 0 ? 'tools' : rest.logprobs === true ? 'logprobs' : (rest.n ?? 1) > 1 ? 'n' : undefined;
    if (excluded !== undefined)
      throw conflict('prediction', `'prediction' cannot be used together with '${excluded}'.`);
  }
  return {
    ...limited,
    min_tokens: leastTokensOf(limited),
    messages: messages.map(parseMessage),
    tools,
    toolChoice,
    format: parseResponseFormat(response_format, 'response_format'),
    reasoning: {
      effort: disable_reasoning === true ? 'none' : reasoning_effort,
      format: reasoning_format === 'raw' || reasoning_format === 'hidden' ? reasoning_format : 'parsed',
      clearThinking: clear_thinking,
    },
    ...(predicted === undefined ? {} : { prediction: predicted }),
  };
}

function parsePrediction(value: unknown): string | undefined {
  if (value === undefined) return undefined;
  if (!isRecord(value)) throw badValue('prediction', 'an object with type and content', value);
  const { type, content, ...rest } = value;
  refuseOthers(rest, [], 'prediction');
  if (type !== 'content') throw badValue('prediction.type', `'content'`, type);
  return parseContent(content, 'prediction.content');
}

export type FinishReason = 'stop' | 'length' | 'tool_calls';

export interface TokenLogprob {
  readonly token: string;
  readonly logprob: number;
  readonly bytes: readonly number[] | null;
}

export interface ChatLogprobs {
  readonly content: readonly (TokenLogprob & { readonly top_logprobs: readonly TokenLogprob[] })[];
  readonly refusal: null;
}

/** What an assistant says, thinks, and calls. */
export interface AssistantMessage {
  readonly role: 'assistant';
  /** Null where there are calls only. */
  readonly content: string | null;
  readonly refusal: null;
  readonly reasoning?: string;
  readonly tool_calls?: readonly ToolCall[];
}

export interface ChatCompletion {
  readonly id: string;
  readonly object: 'chat.completion';
  readonly created: number;
  readonly model: string;
  readonly choices: readonly {
    readonly index: number;
    readonly message: AssistantMessage;
    readonly logprobs: ChatLogprobs | null;
    /** Of the tokens of `reasoning`. */
    readonly reasoning_logprobs?: ChatLogprobs;
    readonly finish_reason: FinishReason;
  }[];
  readonly usage: Usage;
  readonly time_info: TimeInfo;
  readonly system_fingerprint?: string;
  readonly service_tier?: ServiceTier;
  readonly service_tier_used?: ServiceTier;
}

import { Type, type Static, type TObject } from 'typebox';
import { createBodyParser, shown, shownName } from './body.ts';
import { ApiError } from './error.ts';
import {
  limits,
  never,
  onlyEmptyList,
  onlyFalse,
  onlyOneOf,
  sharedFields,
  sharedIgnored,
  sharedRestricted,
  tokenCount,
} from './fields.ts';
import type { TimeInfo, Usage } from './usage.ts';

const chatFields = {
  ...sharedFields,
  messages: Type.Array(Type.Unknown(), {
    minItems: 1,
    maxItems: limits.messages,
    description: `a list of 1 to ${limits.messages} messages`,
  }),
  max_completion_tokens: Type.Optional(tokenCount),
  logprobs: Type.Optional(Type.Boolean({ description: 'a boolean' })),
  top_logprobs: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: limits.topLogprobs,
      description: `a whole number from 0 to ${limits.topLogprobs}`,
    }),
  ),
};

const parseFields = createBodyParser({
  fields: chatFields,
  // Without tools there are no calls to run in parallel.
  ignored: [...sharedIgnored, 'parallel_tool_calls'],
  restricted: {
    ...sharedRestricted,
    store: onlyFalse,
    service_tier: onlyOneOf('auto', 'default'),
    response_format: {
      allows: (value) => (value as { readonly type?: unknown }).type === 'text',
      only: `{"type": "text"}`,
    },
    modalities: {
      allows: (value) => Array.isArray(value) && value.length === 1 && value[0] === 'text',
      only: `["text"]`,
    },
    reasoning_effort: onlyOneOf('none'),
    verbosity: onlyOneOf('medium'),
    tools: onlyEmptyList,
    tool_choice: onlyOneOf('none', 'auto'),
    functions: onlyEmptyList,
    function_call: onlyOneOf('none', 'auto'),
    audio: never,
    prediction: never,
    moderation: never,
    web_search_options: never,
  },
});

const roles = ['system', 'developer', 'user', 'assistant'] as const;

/** A message whose content is plain text; parts are joined. */
export interface ChatMessage {
  readonly role: (typeof roles)[number];
  readonly content: string;
  readonly name?: string;
}

export type ChatRequest = Omit<Static<TObject<typeof chatFields>>, 'messages' | 'max_completion_tokens'> & {
  readonly messages: readonly ChatMessage[];
};

/**
 * Checks a chat completion body. `max_completion_tokens` and its older name come back as `max_tokens`.
 * @throws ApiError 400
 */
export function parseChatRequest(body: unknown): ChatRequest {
  const { messages, max_completion_tokens, ...rest } = parseFields(body);
  if (
    max_completion_tokens !== undefined &&
    rest.max_tokens !== undefined &&
    rest.max_tokens !== max_completion_tokens
  ) {
    throw new ApiError({
      status: 400,
      code: 'invalid_value',
      param: 'max_tokens',
      message: `'max_tokens' (${rest.max_tokens}) and 'max_completion_tokens' (${max_completion_tokens}) disagree.`,
      suggestion: `Send only 'max_completion_tokens'.`,
    });
  }
  if (rest.top_logprobs !== undefined && rest.logprobs !== true) {
    throw new ApiError({
      status: 400,
      code: 'invalid_value',
      param: 'top_logprobs',
      message: `'top_logprobs' needs 'logprobs' to be true.`,
    });
  }
  const maxTokens = max_completion_tokens ?? rest.max_tokens;
  return {
    ...rest,
    ...(maxTokens === undefined ? {} : { max_tokens: maxTokens }),
    messages: messages.map(parseMessage),
  };
}

function parseMessage(value: unknown, index: number): ChatMessage {
  const where = `messages[${index}]`;
  const bad = (param: string, expected: string, found: unknown, code = 'invalid_value'): ApiError =>
    new ApiError({
      status: 400,
      code,
      param,
      message: `Invalid value for '${param}': expected ${expected}, got ${shown(found)}.`,
      expected,
      found: shown(found),
    });
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw bad(where, 'an object with role and content', value);
  }
  const { role, content, name, ...others } = value as Record<string, unknown>;
  if (role === 'tool' || role === 'function') {
    throw bad(`${where}.role`, 'a role without tools: they are not supported yet', role, 'unsupported_value');
  }
  if (!roles.includes(role as ChatMessage['role'])) throw bad(`${where}.role`, roles.join(', '), role);
  if (name !== undefined && name !== null && typeof name !== 'string') throw bad(`${where}.name`, 'a string', name);
  for (const [key, other] of Object.entries(others)) {
    // Clients echo a received assistant message: its empty fields carry nothing.
    if (other === null || (Array.isArray(other) && other.length === 0)) continue;
    const param = `${where}.${shownName(key)}`;
    throw new ApiError({
      status: 400,
      code: 'unsupported_parameter',
      param,
      message: `'${param}' is not supported by this server yet, so it is refused rather than ignored.`,
      suggestion: 'Leave it out.',
    });
  }
  return {
    role: role as ChatMessage['role'],
    content: parseContent(content, `${where}.content`, bad),
    ...(typeof name === 'string' ? { name } : {}),
  };
}

function parseContent(
  content: unknown,
  where: string,
  bad: (param: string, expected: string, found: unknown, code?: string) => ApiError,
): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) throw bad(where, 'a string or a list of text parts', content);
  return content
    .map((part: unknown, i) => {
      const { type, text } = (part ?? {}) as { readonly type?: unknown; readonly text?: unknown };
      if (type !== 'text')
        throw bad(`${where}[${i}].type`, `'text', the only supported kind`, type, 'unsupported_value');
      if (typeof text !== 'string') throw bad(`${where}[${i}].text`, 'a string', text);
      return text;
    })
    .join('');
}

export type FinishReason = 'stop' | 'length';

export interface TokenLogprob {
  readonly token: string;
  readonly logprob: number;
  readonly bytes: readonly number[] | null;
}

export interface ChatLogprobs {
  readonly content: readonly (TokenLogprob & { readonly top_logprobs: readonly TokenLogprob[] })[];
  readonly refusal: null;
}

export interface ChatCompletion {
  readonly id: string;
  readonly object: 'chat.completion';
  readonly created: number;
  readonly model: string;
  readonly choices: readonly {
    readonly index: number;
    readonly message: { readonly role: 'assistant'; readonly content: string; readonly refusal: null };
    readonly logprobs: ChatLogprobs | null;
    readonly finish_reason: FinishReason;
  }[];
  readonly usage: Usage;
  readonly time_info: TimeInfo;
}

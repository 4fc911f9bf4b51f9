// Server-sent events of the two streaming endpoints. What is constant in a stream is serialised once;
// per chunk only the text, and what was asked for, is.

import type { ChatLogprobs, FinishReason } from './chat.ts';
import type { CompletionTokens } from './completions.ts';
import { errorBody, type ApiError } from './error.ts';
import type { TimeInfo, Usage } from './usage.ts';

/** Ends a stream that succeeded. Clients require exactly this. */
export const SSE_DONE = 'data: [DONE]\n\n';

/**
 * Ends a stream that failed; the connection is then cut, because a clean end looks like a whole answer. The status, which the
 * response can no longer have, is where Cerebras puts it.
 */
export const sseError = (error: ApiError): string =>
  `data: ${JSON.stringify({ ...errorBody(error), status_code: error.status })}\n\n`;

/** A piece of an answer: what is said, thought, or called. */
export type AnswerPart =
  | { readonly kind: 'content' | 'reasoning'; readonly text: string }
  | { readonly kind: 'call'; readonly index: number; readonly id: string; readonly name: string }
  | { readonly kind: 'arguments'; readonly index: number; readonly text: string };

export interface StreamHead {
  readonly id: string;
  readonly created: number;
  readonly model: string;
  /** Every chunk then has `usage: null`, and one more chunk without choices carries the usage. */
  readonly includeUsage: boolean;
  /** Further members of every chunk: the fingerprint, the service tier. */
  readonly extra?: Readonly<Record<string, string>>;
}

/** What rides on the last chunk of all. */
export interface StreamEnd {
  readonly usage: Usage;
  readonly times: TimeInfo;
}

export interface ChunkWriter<Logprobs> {
  /** First chunk of a choice. */
  open(choice: number, text?: string): string;
  part(choice: number, part: AnswerPart, logprobs?: Logprobs): string;
  /** Last chunk of a choice; the last of all carries usage and times, unless the usage chunk follows. */
  finish(choice: number, reason: FinishReason, end?: StreamEnd): string;
  usage(end: StreamEnd): string;
}

function frame(object: string, head: StreamHead): { open: string; close: string } {
  const { id, created, model, extra } = head;
  const constant = JSON.stringify({ id, object, created, model, ...extra }).slice(0, -1);
  return { open: `data: ${constant},"choices":[`, close: head.includeUsage ? `],"usage":null` : ']' };
}

const END = '}\n\n';
const endOf = (end?: StreamEnd): string =>
  end === undefined ? '' : `,"usage":${JSON.stringify(end.usage)},"time_info":${JSON.stringify(end.times)}`;
const logprobsOf = (logprobs?: unknown): string => (logprobs === undefined ? 'null' : JSON.stringify(logprobs));

/** Members of a chat chunk's delta. The first fragment of a call names it, later ones bring arguments. */
function deltaOf(part: AnswerPart): string {
  switch (part.kind) {
    case 'content':
      return `"content":${JSON.stringify(part.text)}`;
    case 'reasoning':
      return `"reasoning":${JSON.stringify(part.text)}`;
    case 'call': {
      const { index, id, name } = part;
      return `"tool_calls":${JSON.stringify([{ index, id, type: 'function', function: { name, arguments: '' } }])}`;
    }
    case 'arguments':
      return `"tool_calls":[{"index":${part.index},"function":{"arguments":${JSON.stringify(part.text)}}}]`;
  }
}

/** Chunks of `chat.completion.chunk`. The first of a choice carries the role. */
export function createChatChunkWriter(head: StreamHead): ChunkWriter<ChatLogprobs> {
  const { open, close } = frame('chat.completion.chunk', head);
  const chunk = (choice: number, delta: string, logprobs: string, reason: string): string =>
    `${open}{"index":${choice},"delta":{${delta}},"logprobs":${logprobs},"finish_reason":${reason}}${close}`;
  return {
    open: (choice, text = '') =>
      chunk(choice, `"role":"assistant","content":${JSON.stringify(text)},"refusal":null`, 'null', 'null') + END,
    part: (choice, part, logprobs) => {
      // Those of thoughts have a member of their own, as at Cerebras.
      const isThought = part.kind === 'reasoning' && logprobs !== undefined;
      const of = isThought ? `null,"reasoning_logprobs":${logprobsOf(logprobs)}` : logprobsOf(logprobs);
      return chunk(choice, deltaOf(part), of, 'null') + END;
    },
    finish: (choice, reason, end) => chunk(choice, '', 'null', `"${reason}"`) + endOf(end) + END,
    usage: (end) => `${open}]${endOf(end)}${END}`,
  };
}

/** Chunks of `text_completion`, which has text only. `open` is wanted only where the prompt is echoed. */
export function createCompletionChunkWriter(head: StreamHead): ChunkWriter<CompletionTokens> {
  const { open, close } = frame('text_completion', head);
  const chunk = (choice: number, text: string, { logprobs, ids }: CompletionTokens, reason: string): string => {
    const said = ids === undefined ? `"text":${JSON.stringify(text)}` : `"text":"","tokens":${JSON.stringify(ids)}`;
    return `${open}{"index":${choice},${said},"logprobs":${logprobsOf(logprobs)},"finish_reason":${reason}}${close}`;
  };
  return {
    open: (choice, text = '') => chunk(choice, text, {}, 'null') + END,
    part: (choice, part, tokens = {}) => chunk(choice, part.kind === 'content' ? part.text : '', tokens, 'null') + END,
    finish: (choice, reason, end) => chunk(choice, '', {}, `"${reason}"`) + endOf(end) + END,
    usage: (end) => `${open}]${endOf(end)}${END}`,
  };
}

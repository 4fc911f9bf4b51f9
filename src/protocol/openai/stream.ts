// Server-sent events of the two streaming endpoints. What is constant in a stream is serialised once;
// per chunk only the text, and what was asked for, is.

import type { ChatLogprobs, FinishReason } from './chat.ts';
import type { CompletionLogprobs } from './completions.ts';
import { errorBody, type ApiError } from './error.ts';
import type { TimeInfo, Usage } from './usage.ts';

/** Ends a stream that succeeded. Clients require exactly this. */
export const SSE_DONE = 'data: [DONE]\n\n';

/** Ends a stream that failed; the connection is then cut, because a clean end looks like a whole answer. */
export const sseError = (error: ApiError): string => `data: ${JSON.stringify(errorBody(error))}\n\n`;

export interface StreamHead {
  readonly id: string;
  readonly created: number;
  readonly model: string;
  /** Every chunk then has `usage: null`, and one more chunk without choices carries the usage. */
  readonly includeUsage: boolean;
}

export interface ChunkWriter<Logprobs> {
  /** First chunk of a choice. */
  open(choice: number, text?: string): string;
  text(choice: number, text: string, logprobs?: Logprobs): string;
  /** Last chunk of a choice; the last of all carries the times, unless the usage chunk follows. */
  finish(choice: number, reason: FinishReason, times?: TimeInfo): string;
  usage(usage: Usage, times: TimeInfo): string;
}

function frame(object: string, head: StreamHead): { open: string; close: string } {
  const { id, created, model } = head;
  const constant = JSON.stringify({ id, object, created, model }).slice(0, -1);
  return { open: `data: ${constant},"choices":[`, close: head.includeUsage ? `],"usage":null` : ']' };
}

const END = '}\n\n';
const timesOf = (times?: TimeInfo): string => (times === undefined ? '' : `,"time_info":${JSON.stringify(times)}`);
const logprobsOf = (logprobs?: unknown): string => (logprobs === undefined ? 'null' : JSON.stringify(logprobs));

/** Chunks of `chat.completion.chunk`. The first of a choice carries the role. */
export function createChatChunkWriter(head: StreamHead): ChunkWriter<ChatLogprobs> {
  const { open, close } = frame('chat.completion.chunk', head);
  const chunk = (choice: number, delta: string, logprobs: string, reason: string): string =>
    `${open}{"index":${choice},"delta":{${delta}},"logprobs":${logprobs},"finish_reason":${reason}}${close}`;
  return {
    open: (choice, text = '') =>
      chunk(choice, `"role":"assistant","content":${JSON.stringify(text)},"refusal":null`, 'null', 'null') + END,
    text: (choice, text, logprobs) =>
      chunk(choice, `"content":${JSON.stringify(text)}`, logprobsOf(logprobs), 'null') + END,
    finish: (choice, reason, times) => chunk(choice, '', 'null', `"${reason}"`) + timesOf(times) + END,
    usage: (usage, times) => `${open}],"usage":${JSON.stringify(usage)}${timesOf(times)}${END}`,
  };
}

/** Chunks of `text_completion`. `open` is wanted only where the prompt is echoed. */
export function createCompletionChunkWriter(head: StreamHead): ChunkWriter<CompletionLogprobs> {
  const { open, close } = frame('text_completion', head);
  const chunk = (choice: number, text: string, logprobs: string, reason: string): string =>
    `${open}{"index":${choice},"text":${JSON.stringify(text)},"logprobs":${logprobs},"finish_reason":${reason}}${close}`;
  return {
    open: (choice, text = '') => chunk(choice, text, 'null', 'null') + END,
    text: (choice, text, logprobs) => chunk(choice, text, logprobsOf(logprobs), 'null') + END,
    finish: (choice, reason, times) => chunk(choice, '', 'null', `"${reason}"`) + timesOf(times) + END,
    usage: (usage, times) => `${open}],"usage":${JSON.stringify(usage)}${timesOf(times)}${END}`,
  };
}

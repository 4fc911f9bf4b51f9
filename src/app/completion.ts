// One streamed completion, asked of the API as any client would: through a socket, or of the handlers directly.

import { IngotError, seconds, type Seconds } from '../core/index.ts';
import type { ErrorBody, TimeInfo, Usage } from '../protocol/index.ts';
import { wallClock } from './http/wall-clock.ts';

/** What is asked; the names are those of the OpenAI API. */
export interface CompletionBody {
  readonly model: string;
  readonly max_tokens?: number;
  readonly temperature?: number;
  readonly top_p?: number;
  readonly top_k?: number;
  readonly seed?: number;
  readonly stop?: readonly string[];
}

export interface CompletionAnswer {
  readonly text: string;
  readonly reason: string;
  readonly usage: Usage;
  /** As the server measured, and as the simulated wafer would have taken. */
  readonly times: TimeInfo;
  /** As the client measured: sent to first text, and to the end. */
  readonly clientFirstText?: Seconds;
  readonly clientTotal: Seconds;
}

/** Posts a body to a path under `/v1`, and gives the status and the pieces of the response. */
export type Post = (
  path: string,
  body: string,
  signal: AbortSignal,
) => Promise<{ readonly status: number; readonly pieces: AsyncIterable<string> }>;

interface Chunk {
  readonly choices: readonly {
    readonly text?: string;
    readonly delta?: { readonly content?: string };
    readonly finish_reason: string | null;
  }[];
  readonly usage?: Usage | null;
  readonly time_info?: TimeInfo;
  readonly error?: ErrorBody['error'];
}

/**
 * Ask for a completion and read its stream.
 * @param prompt text to go on from, or a user's message to answer
 * @throws IngotError with the code of the API's error in upper case; ANSWER_INCOMPLETE; Error where the server failed
 */
export async function complete(
  post: Post,
  body: CompletionBody,
  prompt: { readonly text: string } | { readonly message: string },
  onText: (text: string) => void,
  signal: AbortSignal,
): Promise<CompletionAnswer> {
  const [path, asked] =
    'text' in prompt
      ? ['/v1/completions', { prompt: prompt.text }]
      : ['/v1/chat/completions', { messages: [{ role: 'user', content: prompt.message }] }];
  const sent = wallClock.now();
  const request = { ...body, ...asked, stream: true, stream_options: { include_usage: true } };
  const { status, pieces } = await post(path, JSON.stringify(request), signal);
  if (status !== 200) {
    let whole = '';
    for await (const piece of pieces) whole += piece;
    throw errorOf((JSON.parse(whole) as ErrorBody).error);
  }

  let text = '';
  let reason = '';
  let first: Seconds | undefined;
  let last: Chunk | undefined;
  for await (const event of events(pieces)) {
    const chunk = JSON.parse(event) as Chunk;
    if (chunk.error !== undefined) throw errorOf(chunk.error);
    last = chunk;
    for (const choice of chunk.choices) {
      const piece = choice.text ?? choice.delta?.content ?? '';
      reason = choice.finish_reason ?? reason;
      if (piece === '') continue;
      first ??= wallClock.now();
      text += piece;
      onText(piece);
    }
  }
  const { usage, time_info: times } = last ?? {};
  if (usage === undefined || usage === null || times === undefined) {
    throw new IngotError({ code: 'ANSWER_INCOMPLETE', message: 'the stream ended before the answer did' });
  }
  return {
    text,
    reason,
    usage,
    times,
    ...(first === undefined ? {} : { clientFirstText: seconds(first - sent) }),
    clientTotal: seconds(wallClock.now() - sent),
  };
}

/** Payloads of server-sent events, without the mark that ends a stream. */
async function* events(pieces: AsyncIterable<string>): AsyncIterable<string> {
  let rest = '';
  for await (const piece of pieces) {
    const lines = (rest + piece).split('\n\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line.startsWith('data: ') && line !== 'data: [DONE]') yield line.slice(6);
  }
}

/** Failures of a server that come from what it was given to serve, and not from a defect of it. */
const badCheckpoint: ReadonlySet<string | null> = new Set(['chat_template_invalid']);

/** What a client or a checkpoint has wrong is bad input; what the server did wrong is a defect. */
function errorOf({ code, message, param, type }: ErrorBody['error']): Error {
  const name = (code ?? type).toUpperCase();
  if (type === 'server_error' && !badCheckpoint.has(code)) return new Error(`${name}: ${message}`);
  return new IngotError({ code: name, message, ...(param === null ? {} : { where: param }) });
}

/** Through a socket, as other programs do it. @param url without a path */
export const postTo =
  (url: string): Post =>
  async (path, body, signal) => {
    const response = await fetch(`${url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
      signal,
    });
    return { status: response.status, pieces: textOf(response) };
  };

async function* textOf(response: Response): AsyncIterable<string> {
  const decoder = new TextDecoder();
  if (response.body === null) return;
  for await (const bytes of response.body) yield decoder.decode(bytes as Uint8Array, { stream: true });
}

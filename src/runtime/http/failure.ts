// What a failure inside the server looks like to its clients.

import { IngotError } from '../../core/index.ts';
import { ApiError } from '../../protocol/index.ts';

/** Where the client can find its mistake: the field that holds the prompt. */
export type PromptParam = 'messages' | 'prompt' | 'input';

interface WireFailure {
  readonly status: number;
  readonly code: string;
  /** The prompt is at fault. */
  readonly prompt?: true;
}

/** By diagnostic code. What is not here is a defect of the server, and its text stays inside. */
const failures: Readonly<Record<string, WireFailure>> = {
  CONTEXT_OVERFLOW: { status: 400, code: 'context_length_exceeded', prompt: true },
  PROMPT_EMPTY: { status: 400, code: 'invalid_prompt', prompt: true },
  TOKEN_OUT_OF_RANGE: { status: 400, code: 'invalid_prompt', prompt: true },
  TOKENIZER_TEXT_REFUSED: { status: 400, code: 'invalid_prompt', prompt: true },
  CHAT_MESSAGES_REFUSED: { status: 400, code: 'invalid_messages', prompt: true },
  CHAT_TEMPLATE_MISSING: { status: 400, code: 'chat_not_supported', prompt: true },
  CHAT_TEMPLATE_INVALID: { status: 500, code: 'chat_template_invalid' },
  // nginx's number for a client that left; nobody is there to read it, but logs and metrics are.
  REQUEST_CANCELLED: { status: 499, code: 'request_cancelled' },
  QUEUE_TOO_LONG: { status: 429, code: 'queue_exceeded' },
  DEADLINE_EXCEEDED: { status: 504, code: 'deadline_exceeded' },
  PROMPTS_BUSY: { status: 503, code: 'overloaded' },
  ENGINE_BUSY: { status: 503, code: 'overloaded' },
  ENGINE_CLOSED: { status: 503, code: 'server_closing' },
  SERVER_CLOSING: { status: 503, code: 'server_closing' },
  EXECUTOR_FAILED: { status: 500, code: 'executor_failed' },
  GRAMMAR_VOCABULARY: { status: 400, code: 'grammar_not_supported' },
  EMBEDDINGS_UNSUPPORTED: { status: 400, code: 'embeddings_not_supported' },
  HIDDEN_STATE_INVALID: { status: 500, code: 'hidden_state_invalid' },
  LOGITS_INVALID: { status: 500, code: 'logits_invalid' },
};

/** Diagnostics are sentences without capital and full stop. */
export const sentence = (text: string): string =>
  `${text[0].toUpperCase()}${text.slice(1)}${/[.?!]$/.test(text) ? '' : '.'}`;

/**
 * The error that a client gets for whatever was thrown.
 * @param promptParam the request field that holds the prompt
 */
export function apiErrorOf(error: unknown, promptParam: PromptParam = 'prompt'): ApiError {
  if (error instanceof ApiError) return error;
  const diagnostic = error instanceof IngotError ? error.diagnostics[0] : undefined;
  const failure = diagnostic && failures[diagnostic.code];
  if (diagnostic === undefined || failure === undefined) {
    const message = 'The server had an error while processing the request.';
    return new ApiError({ status: 500, code: 'internal_error', message }, { cause: error });
  }
  const { message, found, suggestion } = diagnostic;
  // A template's own words are the only explanation there is.
  const text = diagnostic.code === 'CHAT_MESSAGES_REFUSED' && found !== undefined ? `${message}: ${found}` : message;
  return new ApiError(
    {
      status: failure.status,
      code: failure.code,
      message: sentence(text),
      ...(failure.prompt === true ? { param: promptParam } : {}),
      ...(suggestion === undefined ? {} : { suggestion: sentence(suggestion) }),
    },
    { cause: error },
  );
}

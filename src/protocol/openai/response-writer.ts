// Builds a response item by item, and says each step as an event. A whole response is the same without the saying, so the two
// cannot differ.

import type { ChatLogprobs, FinishReason } from './chat.ts';
import { errorBody, type ApiError } from './error.ts';
import type { AnswerPart, StreamEnd } from './stream.ts';
import type { Usage } from './usage.ts';

type Item = Record<string, unknown>;
type Logprobs = ChatLogprobs['content'];

export interface ResponseHead {
  readonly id: string;
  readonly created: number;
  readonly model: string;
  /** Fields of the request that the response repeats. */
  readonly echoed: Readonly<Record<string, unknown>>;
  readonly newId: () => string;
}

export interface ResponseWriter {
  begin(): string;
  part(part: AnswerPart, logprobs: Logprobs): string;
  finish(reason: FinishReason, end: StreamEnd): string;
  /** In place of the rest; the connection is then cut. */
  fail(error: ApiError): string;
  /** The response as far as it has come. */
  response(): object;
  /** Its items so far. */
  output(): readonly Item[];
}

/** An item that is being written. */
interface Open {
  readonly kind: 'content' | 'reasoning' | 'call';
  readonly item: Item;
  readonly index: number;
  text: string;
  readonly logprobs: Logprobs[number][];
}

const usageOf = (usage: Usage): object => ({
  input_tokens: usage.prompt_tokens,
  input_tokens_details: { cached_tokens: usage.prompt_tokens_details.cached_tokens, cache_write_tokens: 0 },
  output_tokens: usage.completion_tokens,
  output_tokens_details: { reasoning_tokens: usage.completion_tokens_details.reasoning_tokens },
  total_tokens: usage.total_tokens,
});

export function createResponseWriter(head: ResponseHead): ResponseWriter {
  const output: Item[] = [];
  let sequence = 0;
  let open: Open | undefined;
  let state: Item = { status: 'in_progress', error: null, incomplete_details: null };

  const response = (): object => ({
    id: head.id,
    object: 'response',
    created_at: head.created,
    model: head.model,
    ...state,
    output,
    ...head.echoed,
  });
  const event = (type: string, members: object): string =>
    `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: sequence++, ...members })}\n\n`;
  const at = ({ item, index }: Open): object => ({ item_id: item['id'], output_index: index });
  const textPart = (text: string, logprobs: Logprobs): object => ({
    type: 'output_text',
    text,
    annotations: [],
    logprobs,
  });

  const start = (kind: Open['kind'], item: Item): string => {
    const closed = close();
    const added = { ...item, status: 'in_progress' };
    open = { kind, item: added, index: output.push(added) - 1, text: '', logprobs: [] };
    const said = event('response.output_item.added', { output_index: open.index, item: added });
    if (kind !== 'content') return closed + said;
    return (
      closed + said + event('response.content_part.added', { ...at(open), content_index: 0, part: textPart('', []) })
    );
  };

  const close = (status: 'completed' | 'incomplete' = 'completed'): string => {
    if (open === undefined) return '';
    const done = open;
    open = undefined;
    const { kind, item, text, logprobs, index } = done;
    item['status'] = status;
    let said = '';
    if (kind === 'content') {
      const part = textPart(text, logprobs);
      item['content'] = [part];
      said += event('response.output_text.done', { ...at(done), content_index: 0, text, logprobs });
      said += event('response.content_part.done', { ...at(done), content_index: 0, part });
    } else if (kind === 'reasoning') {
      item['content'] = [{ type: 'reasoning_text', text }];
      said += event('response.reasoning_text.done', { ...at(done), content_index: 0, text });
    } else {
      item['arguments'] = text;
      said += event('response.function_call_arguments.done', { ...at(done), name: item['name'], arguments: text });
    }
    return said + event('response.output_item.done', { output_index: index, item });
  };

  const startText = (kind: 'content' | 'reasoning'): string =>
    kind === 'content'
      ? start(kind, { type: 'message', id: `msg_${head.newId()}`, role: 'assistant', content: [] })
      : start(kind, { type: 'reasoning', id: `rs_${head.newId()}`, summary: [], content: [] });

  return {
    response,
    output: () => output,
    begin: () =>
      event('response.created', { response: response() }) + event('response.in_progress', { response: response() }),
    part(part, logprobs) {
      if (part.kind === 'call') {
        const { id, name } = part;
        return start('call', { type: 'function_call', id: `fc_${head.newId()}`, call_id: id, name, arguments: '' });
      }
      const said = part.kind !== 'arguments' && open?.kind !== part.kind ? startText(part.kind) : '';
      if (open === undefined) return said;
      open.text += part.text;
      if (part.kind === 'arguments') {
        return event('response.function_call_arguments.delta', { ...at(open), delta: part.text });
      }
      const place = { ...at(open), content_index: 0, delta: part.text };
      if (part.kind === 'reasoning') return said + event('response.reasoning_text.delta', place);
      open.logprobs.push(...logprobs);
      return said + event('response.output_text.delta', { ...place, logprobs });
    },
    finish(reason, { usage, times }) {
      const isCut = reason === 'length';
      // An answer without text is still a message.
      const said = (output.length === 0 ? startText('content') : '') + close(isCut ? 'incomplete' : 'completed');
      state = {
        status: isCut ? 'incomplete' : 'completed',
        error: null,
        incomplete_details: isCut ? { reason: 'max_output_tokens' } : null,
        usage: usageOf(usage),
        time_info: times,
      };
      return said + event(isCut ? 'response.incomplete' : 'response.completed', { response: response() });
    },
    fail(error) {
      const { message, code, param } = errorBody(error).error;
      return event('error', { code, message, param });
    },
  };
}

// Messages of a chat, as clients send them.

import { badValue, isRecord, refuseOthers, shownName } from './body.ts';
import { ApiError } from './error.ts';

const roles = ['system', 'developer', 'user', 'assistant', 'tool'] as const;

export interface ToolCall {
  readonly id: string;
  readonly type: 'function';
  /** Arguments are JSON text, as the model wrote it. */
  readonly function: { readonly name: string; readonly arguments: string };
}

/** A message whose content is plain text; parts are joined. */
export interface ChatMessage {
  readonly role: (typeof roles)[number];
  readonly content: string;
  readonly name?: string;
  /** Of an assistant. */
  readonly tool_calls?: readonly ToolCall[];
  /** Of an assistant: what it thought before it answered. */
  readonly reasoning?: string;
  /** Of a tool: the call that it answers. */
  readonly tool_call_id?: string;
}

/** @throws ApiError 400 */
export function parseMessage(value: unknown, index: number): ChatMessage {
  const where = `messages[${index}]`;
  if (!isRecord(value)) throw badValue(where, 'an object with role and content', value);
  const {
    role,
    content: given,
    refusal,
    name,
    tool_calls,
    tool_call_id,
    reasoning,
    reasoning_content,
    ...others
  } = value;
  if (!roles.includes(role as ChatMessage['role'])) throw badValue(`${where}.role`, roles.join(', '), role);
  const text = (key: string, given: unknown): string | undefined => {
    if (given === undefined || given === null) return undefined;
    if (typeof given !== 'string') throw badValue(`${where}.${key}`, 'a string', given);
    return given;
  };
  const isAssistant = role === 'assistant';
  // What another model said in the place of an answer is what was said.
  const content = isAssistant ? (given ?? text('refusal', refusal)) : given;
  const calls = isAssistant ? parseToolCalls(tool_calls, `${where}.tool_calls`) : [];
  const thought = isAssistant
    ? (text('reasoning', reasoning) ?? text('reasoning_content', reasoning_content))
    : undefined;
  const answered = role === 'tool' ? text('tool_call_id', tool_call_id) : undefined;
  if (role === 'tool' && answered === undefined) {
    throw badValue(`${where}.tool_call_id`, 'the id of the call that this answers', tool_call_id);
  }
  const unfit = {
    ...(isAssistant ? {} : { tool_calls, reasoning, reasoning_content, refusal }),
    ...(role === 'tool' ? {} : { tool_call_id }),
    ...others,
  };
  for (const [key, other] of Object.entries(unfit)) {
    // Clients echo a received assistant message: its empty fields carry nothing.
    if (other === undefined || other === null || (Array.isArray(other) && other.length === 0)) continue;
    const param = `${where}.${shownName(key)}`;
    throw new ApiError({
      status: 400,
      code: 'unsupported_parameter',
      param,
      message: `'${param}' is not supported by this server, so it is refused rather than ignored.`,
      suggestion: 'Leave it out.',
    });
  }
  const isEmpty = content === undefined || content === null;
  return {
    role: role as ChatMessage['role'],
    content: isEmpty && calls.length > 0 ? '' : parseContent(content, `${where}.content`),
    ...(name === undefined || name === null ? {} : { name: text('name', name) as string }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
    ...(thought === undefined ? {} : { reasoning: thought }),
    ...(answered === undefined ? {} : { tool_call_id: answered }),
  };
}

function parseToolCalls(value: unknown, where: string): ToolCall[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw badValue(where, 'a list of calls', value);
  return value.map((call: unknown, i) => {
    const at = `${where}[${i}]`;
    if (!isRecord(call)) throw badValue(at, 'an object with id, type and function', call);
    const { id, type = 'function', function: called, index: _, ...rest } = call;
    refuseOthers(rest, [], at);
    if (typeof id !== 'string') throw badValue(`${at}.id`, 'a string', id);
    if (type !== 'function') throw badValue(`${at}.type`, `'function'`, type);
    const { name, arguments: given } = isRecord(called) ? called : {};
    if (typeof name !== 'string') throw badValue(`${at}.function.name`, 'a string', name);
    if (typeof given !== 'string') throw badValue(`${at}.function.arguments`, 'JSON text', given);
    return { id, type: 'function' as const, function: { name, arguments: given } };
  });
}

/**
 * Text, or text parts joined.
 * @throws ApiError 400
 */
export function parseContent(content: unknown, where: string): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) throw badValue(where, 'a string or a list of text parts', content);
  return content
    .map((part: unknown, i) => {
      const { type, text, refusal } = (part ?? {}) as Readonly<Partial<Record<'type' | 'text' | 'refusal', unknown>>>;
      if (type === 'refusal' && typeof refusal === 'string') return refusal;
      if (type !== 'text' && type !== 'input_text' && type !== 'output_text') {
        throw badValue(`${where}[${i}].type`, `'text', the only supported kind`, type, 'unsupported_value');
      }
      if (typeof text !== 'string') throw badValue(`${where}[${i}].text`, 'a string', text);
      return text;
    })
    .join('');
}

// From an answer's text to what it is made of: thoughts first, then content and calls.

import type { AnswerPart, AssistantMessage, ToolCall } from '../../protocol/index.ts';
import type { ThoughtReader } from './reasoning.ts';
import type { CallReader } from './tool-format/index.ts';

export interface MessageReader {
  readonly isThinking: boolean;
  push(text: string): AnswerPart[];
  end(): AnswerPart[];
}

/** Text as it is. */
export const plainReader = (): MessageReader => ({
  isThinking: false,
  push: (text) => (text === '' ? [] : [{ kind: 'content', text }]),
  end: () => [],
});

/**
 * @param thoughts absent where thoughts stay within the content
 * @param calls absent where there are no tools
 * @param hide leave thoughts out
 */
export function createMessageReader(
  thoughts: ThoughtReader | undefined,
  calls: CallReader | undefined,
  hide: boolean,
): MessageReader {
  const through = (parts: readonly AnswerPart[]): AnswerPart[] =>
    parts.flatMap((part): readonly AnswerPart[] => {
      if (part.kind === 'reasoning' && hide) return [];
      return part.kind === 'content' && calls !== undefined ? calls.push(part.text) : [part];
    });
  return {
    get isThinking() {
      return thoughts?.isThinking ?? false;
    },
    push: (text) => (text === '' ? [] : through(thoughts?.push(text) ?? [{ kind: 'content', text }])),
    end: () => [...through(thoughts?.end() ?? []), ...(calls?.end() ?? [])],
  };
}

/** A whole message of its parts. */
export function messageOf(parts: readonly AnswerPart[]): AssistantMessage {
  let content = '';
  let reasoning = '';
  const calls: { id: string; name: string; text: string }[] = [];
  for (const part of parts) {
    if (part.kind === 'content') content += part.text;
    else if (part.kind === 'reasoning') reasoning += part.text;
    else if (part.kind === 'call') calls[part.index] = { id: part.id, name: part.name, text: '' };
    else if (part.kind === 'arguments') calls[part.index].text += part.text;
  }
  const toolCalls: ToolCall[] = calls.map(({ id, name, text }) => ({
    id,
    type: 'function',
    function: { name, arguments: text },
  }));
  return {
    role: 'assistant',
    content: content === '' && calls.length > 0 ? null : content,
    refusal: null,
    ...(reasoning === '' ? {} : { reasoning }),
    ...(calls.length === 0 ? {} : { tool_calls: toolCalls }),
  };
}

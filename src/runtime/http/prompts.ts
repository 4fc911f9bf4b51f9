// From what a client sent to tokens. Pure here; a server may do long ones on threads (prompt-pool.node.ts).

import { fail, formatCount } from '../../core/index.ts';
import type { ChatMessage as TemplateMessage, RenderOptions, Tokenizer } from '../../model/index.ts';

/** What is to become tokens. */
export type PromptSource =
  | { readonly kind: 'text'; readonly text: string; readonly addSpecial: boolean }
  | { readonly kind: 'chat'; readonly messages: readonly TemplateMessage[]; readonly options: RenderOptions };

export interface EncodedPrompt {
  readonly tokens: readonly number[] | Int32Array;
  /** The last characters of the text. */
  readonly end: string;
}

/** Makes prompts of one model. */
export interface PromptEncoder {
  /**
   * @param mostCharacters longest text that could fit
   * @throws IngotError CONTEXT_OVERFLOW, TOKENIZER_TEXT_REFUSED, CHAT_*
   */
  encode(source: PromptSource, mostCharacters: number): Promise<EncodedPrompt>;
}

/** Enough of the end of a prompt to see marks in it. */
const END_LENGTH = 64;

/** At once, and on whatever thread this is. */
export function encodePrompt(tokenizer: Tokenizer, source: PromptSource, mostCharacters: number): EncodedPrompt {
  const text = source.kind === 'text' ? source.text : tokenizer.renderChat(source.messages, source.options);
  refuseOversize(text.length, mostCharacters);
  const addSpecial = source.kind === 'text' && source.addSpecial;
  return { tokens: tokenizer.encode(text, { addSpecial }), end: text.slice(-END_LENGTH) };
}

/**
 * Refuses a text that cannot fit, before it is rendered or encoded. A token stands for no more characters than the longest
 * one has, so a text of more than that many times the context has too many tokens, or is blanks that a tokenizer joins.
 * @throws IngotError CONTEXT_OVERFLOW
 */
export function refuseOversize(characters: number, most: number): void {
  if (characters <= most) return;
  fail({
    code: 'CONTEXT_OVERFLOW',
    message: `the context holds at most ${formatCount(most)} characters, but the prompt has ${formatCount(characters)}`,
    expected: `at most ${formatCount(most)} characters`,
    found: `${formatCount(characters)} characters`,
    suggestion: 'Shorten the prompt.',
  });
}

export const createPromptEncoder = (tokenizer: Tokenizer): PromptEncoder => ({
  // A function that throws becomes a promise that rejects.
  encode: async (source, mostCharacters) => encodePrompt(tokenizer, source, mostCharacters),
});

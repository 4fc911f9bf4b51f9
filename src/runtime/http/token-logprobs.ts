// Log probabilities in the two forms that the API has.

import type { TokenDecoder, Tokenizer } from '../../model/index.ts';
import type { ChatLogprobs, CompletionLogprobs, TokenLogprob } from '../../protocol/index.ts';
import type { TokenReport } from '../engine-request.ts';

/** Chat: a list of tokens with their bytes. */
export function chatLogprobs(tokens: readonly TokenReport[], tokenizer: Tokenizer): ChatLogprobs {
  const entry = (token: number, logprob: number): TokenLogprob => ({
    token: tokenizer.tokenText(token),
    logprob,
    bytes: [...tokenizer.tokenBytes(token)],
  });
  return {
    content: tokens.map(({ token, logprob = 0, top = [] }) => ({
      ...entry(token, logprob),
      top_logprobs: top.map((other) => entry(other.token, other.logprob)),
    })),
    refusal: null,
  };
}

/**
 * Completions: parallel lists, of a choice's tokens as they come.
 * @param decoder makes the choice's text, from its beginning
 */
export function createCompletionLogprobs(
  tokenizer: Tokenizer,
  decoder: TokenDecoder,
): (tokens: readonly TokenReport[]) => CompletionLogprobs {
  let at = 0;
  const begin = (token: number): number => {
    const begins = at;
    // A part of a character is no text yet, so what completes it begins where it does.
    at += decoder.push(token).length;
    return begins;
  };
  return (tokens) => ({
    tokens: tokens.map(({ token }) => tokenName(token, tokenizer)),
    // Before the first token of a prompt there is nothing that it could follow.
    token_logprobs: tokens.map(({ logprob = null }) => logprob),
    top_logprobs: tokens.map(({ top }) =>
      top === undefined
        ? null
        : Object.fromEntries(top.map((other) => [tokenName(other.token, tokenizer), other.logprob])),
    ),
    text_offset: tokens.map(({ token }) => begin(token)),
  });
}

/** Keys must differ, so a token that is only part of a character is named by its bytes, as OpenAI does. */
function tokenName(token: number, tokenizer: Tokenizer): string {
  const text = tokenizer.tokenText(token);
  if (!text.includes('�')) return text;
  return `bytes:${[...tokenizer.tokenBytes(token)].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`;
}

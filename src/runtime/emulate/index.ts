// An emulated model is a shape, a tokenizer and filler.

import type { Tokenizer } from '../../model/index.ts';
import { createFiller, type Filler } from './filler.ts';
import { PAGE } from './page.ts';

export { MEAN_SENTENCES } from './filler.ts';
export { pageWords } from './page.ts';

/** Filler in a tokenizer's tokens. */
export function fillerOf(tokenizer: Tokenizer): Filler {
  const endsSentence = (token: number): boolean => /[.!?]\s*$/.test(tokenizer.tokenText(token));
  const endsParagraph = (token: number): boolean => tokenizer.tokenText(token).endsWith('\n');
  return createFiller(tokenizer.encode(PAGE, { addSpecial: false }), endsSentence, endsParagraph, tokenizer.eosIds[0]);
}

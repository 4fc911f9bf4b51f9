// A tokenizer for models of which only the shape is known: given words, every short run of letters, and bytes for the
// rest. It needs no file, and English text comes to about as many tokens as a real vocabulary makes of it.

import { BYTE_CHARACTERS } from './token-bytes.ts';
import { createTokenizer, type Tokenizer } from './tokenizer.ts';

const SPECIAL = ['<|end|>', '<|system|>', '<|user|>', '<|assistant|>', '<|tool|>'];

const CHAT_TEMPLATE =
  '{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}' +
  '{% if add_generation_prompt %}<|assistant|>{% endif %}';

const LETTERS = [...'abcdefghijklmnopqrstuvwxyz'];
const DIGITS = [...'0123456789'];
const BYTES = 256;

/** All texts of `length` characters of an alphabet. */
const runs = (alphabet: readonly string[], length: number): string[] =>
  length === 0 ? [''] : runs(alphabet, length - 1).flatMap((start) => alphabet.map((letter) => start + letter));

/** Tokens beside bytes and special ones, the most useful first. */
const piecesOf = (words: readonly string[]): string[] => [
  ...new Set([
    ...words.flatMap((word) => [word, ` ${word}`]),
    ...[2, 3].flatMap((length) => runs(DIGITS, length)),
    ...LETTERS.map((letter) => ` ${letter}`),
    ...runs(LETTERS, 2).flatMap((run) => [run, ` ${run}`]),
    ...runs(LETTERS, 3).map((run) => ` ${run}`),
    ...runs(LETTERS, 3),
  ]),
];

/**
 * @param words of plain ASCII, that are one token each, with and without a space before them
 * @param vocab most tokens; the least useful are left out
 */
export function createWordTokenizer(words: readonly string[], vocab: number): Tokenizer {
  const pieces = piecesOf(words).slice(0, Math.max(0, vocab - BYTES - SPECIAL.length));
  const ids = new Map(pieces.map((piece, i) => [piece, BYTES + i]));
  const firstSpecial = BYTES + pieces.length;
  for (const [i, content] of SPECIAL.entries()) ids.set(content, firstSpecial + i);
  const longest = Math.max(...[...ids.keys()].map((piece) => piece.length));
  const utf8 = new TextEncoder();

  /** The longest piece at each place, or the bytes of its character. */
  function encode(text: string): number[] {
    const found: number[] = [];
    for (let at = 0; at < text.length; ) {
      let length = Math.min(longest, text.length - at);
      while (length > 0 && !ids.has(text.slice(at, at + length))) length--;
      if (length === 0) {
        const character = String.fromCodePoint(text.codePointAt(at) ?? 0);
        found.push(...utf8.encode(character));
        at += character.length;
      } else {
        found.push(ids.get(text.slice(at, at + length)) as number);
        at += length;
      }
    }
    return found;
  }

  const spelled = (piece: string): string => [...utf8.encode(piece)].map((byte) => BYTE_CHARACTERS[byte]).join('');
  const vocabulary = [...BYTE_CHARACTERS, ...pieces.map(spelled)];
  return createTokenizer({
    tokenizer: {
      model: { type: 'BPE', vocab: Object.fromEntries(vocabulary.map((token, id) => [token, id])), merges: [] },
      added_tokens: SPECIAL.map((content, i) => ({ id: firstSpecial + i, content, special: true })),
      decoder: { type: 'ByteLevel' },
    },
    config: { eos_token: SPECIAL[0], chat_template: CHAT_TEMPLATE },
    where: 'built-in vocabulary',
    encoder: encode,
  });
}

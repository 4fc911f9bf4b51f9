// What each token contributes to the text, as bytes. Tokens of byte-level vocabularies may end within a
// character, so text exists only for sequences; bytes exist for every token.

import { fail } from '../../core/index.ts';
import { isJsonObject, type JsonObject } from '../format/json.ts';

export interface ByteRule {
  /** Bytes of a vocabulary entry. */
  bytesOf(token: string, added: boolean): Uint8Array;
  /** Spaces removed from the start of a text, which the encoder had put there. */
  readonly leadingSpaces: number;
}

const utf8 = new TextEncoder();

/**
 * GPT-2's printable stand-ins for bytes: printable Latin-1 stands for itself, and the others are 256, 257, …
 * in order (https://github.com/openai/gpt-2, src/encoder.py, bytes_to_unicode).
 */
export const BYTE_CHARACTERS: readonly string[] = (() => {
  const isPrintable = (b: number): boolean => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, b) => String.fromCharCode(isPrintable(b) ? b : next++));
})();
const byteOfCharacter = new Map(BYTE_CHARACTERS.map((character, byte) => [character, byte]));

function byteLevelBytes(token: string): Uint8Array {
  const bytes = new Uint8Array(token.length);
  for (let i = 0; i < token.length; i++) {
    const byte = byteOfCharacter.get(token[i]);
    if (byte === undefined) return utf8.encode(token);
    bytes[i] = byte;
  }
  return bytes;
}

const byteToken = /^<0x([0-9A-Fa-f]{2})>$/;

/**
 * The rule that the `decoder` of a tokenizer.json states. Decoders whose output for a token depends on later
 * tokens (WordPiece, CTC) do not occur in language models that Ingot runs, and cannot be streamed: refused.
 * @throws IngotError TOKENIZER_UNSUPPORTED
 */
export function resolveByteRule(decoder: unknown, where: string): ByteRule {
  const steps = isJsonObject(decoder) && decoder['type'] === 'Sequence' ? decoder['decoders'] : [decoder];
  let byteLevel = false;
  let byteFallback = false;
  let leadingSpaces = 0;
  const replacements: [string, string][] = [];
  for (const step of Array.isArray(steps) ? (steps as unknown[]) : [steps]) {
    const {
      type,
      pattern,
      content,
      start,
      stop,
      replacement,
      prepend_scheme: scheme,
    }: JsonObject = isJsonObject(step) ? step : {};
    const text = isJsonObject(pattern) ? pattern['String'] : undefined;
    if (type === 'ByteLevel') byteLevel = true;
    else if (type === 'ByteFallback') byteFallback = true;
    else if (type === 'Metaspace') {
      replacements.push([typeof replacement === 'string' ? replacement : '▁', ' ']);
      if (scheme !== 'never') leadingSpaces = 1;
    } else if (type === 'Replace' && typeof text === 'string' && text !== '' && typeof content === 'string') {
      replacements.push([text, content]);
    } else if (type === 'Strip' && content === ' ' && typeof start === 'number' && stop === 0) leadingSpaces = start;
    else if (type !== 'Fuse') {
      fail({
        code: 'TOKENIZER_UNSUPPORTED',
        message: 'the tokenizer has a decoder that Ingot does not know',
        where: `${where}, key decoder`,
        expected: 'ByteLevel, Metaspace, or a Sequence of Replace, ByteFallback, Fuse and Strip',
        found: JSON.stringify(step)?.slice(0, 120),
      });
    }
  }
  return {
    leadingSpaces,
    bytesOf(token, added) {
      if (byteLevel) return added ? utf8.encode(token) : byteLevelBytes(token);
      const hex = byteFallback ? byteToken.exec(token)?.[1] : undefined;
      if (hex !== undefined) return Uint8Array.of(parseInt(hex, 16));
      return utf8.encode(replacements.reduce((text, [from, to]) => text.replaceAll(from, to), token));
    },
  };
}

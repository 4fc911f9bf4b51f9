// The tokenizer that a GGUF file carries, as the parts of a tokenizer.json. Keys:
// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md ("Tokenizer"); where that is silent, llama.cpp
// (src/llama-vocab.cpp) is what the ids must equal. As there, texts are not brought to a normal form.

import { fail, formatCount } from '../../core/index.ts';
import { BYTE_CHARACTERS, createTokenizer, MAX_VOCAB, type Tokenizer } from '../tokenizer/index.ts';
import { encodePieces, type ScoredPieces } from '../tokenizer/sentencepiece.ts';
import { preTokenizers } from './gguf-pre-tokenizer.ts';
import type { GgufValue, NumberArray } from './gguf.ts';
import type { JsonObject } from './json.ts';

/** Kinds of token, `tokenizer.ggml.token_type`; 1 is a plain one, 5 an unused one. */
const UNKNOWN = 2;
const CONTROL = 3;
const USER_DEFINED = 4;

const PREFIX = 'tokenizer.ggml.';
/** Keys beside ids of tokens (`…_token_id`) that are read below, or say nothing that text depends on. */
const knownKeys: ReadonlySet<string> = new Set([
  'model',
  'pre',
  'tokens',
  'token_type',
  'token_type_count',
  'scores',
  'merges',
  'add_bos_token',
  'add_eos_token',
  'add_space_prefix',
  'remove_extra_whitespaces',
]);

export interface GgufTokenizer {
  readonly tokenizer: Tokenizer;
  /** Tokens that end a text or a turn. */
  readonly eosIds: readonly number[];
}

/** @throws IngotError GGUF_TOKENIZER_INVALID, GGUF_TOKENIZER_UNSUPPORTED, TOKENIZER_INVALID */
export function ggufTokenizer(metadata: ReadonlyMap<string, GgufValue>, where: string): GgufTokenizer {
  const vocabulary = readVocabulary(metadata, where);
  const { tokens, id } = vocabulary;
  const special = (key: string): string | undefined => {
    const found = id(`${key}_token_id`);
    return found === undefined ? undefined : tokens[found];
  };
  const chatTemplate = readChatTemplate(metadata);
  const config: JsonObject = {
    ...present('bos_token', special('bos')),
    ...present('eos_token', special('eos')),
    ...present('unk_token', special('unknown')),
    ...present('pad_token', special('padding')),
    ...present('chat_template', chatTemplate),
  };
  const { tokenizer, encoder } =
    vocabulary.model === 'gpt2' ? byteLevel(vocabulary, metadata, where) : sentencePiece(vocabulary, metadata, where);
  const ends = ['eos', 'eot', 'eom'].flatMap((key) => id(`${key}_token_id`) ?? []);
  return {
    tokenizer: createTokenizer({ tokenizer, config, where, encoder }),
    eosIds: [...new Set(ends)],
  };
}

const present = (key: string, value: unknown): JsonObject => (value === undefined ? {} : { [key]: value });

interface Vocabulary {
  readonly model: 'gpt2' | 'llama';
  readonly tokens: readonly string[];
  readonly ids: ReadonlyMap<string, number>;
  /** Kind by id. */
  readonly kinds: ArrayLike<number>;
  /** The id that a key states. */
  id(key: string): number | undefined;
  flag(key: string, fallback: boolean): boolean;
}

function invalid(where: string, key: string, message: string, expected: string, found: string): never {
  return fail({
    code: 'GGUF_TOKENIZER_INVALID',
    message,
    where: `${where}: ${PREFIX}${key}`,
    expected,
    found: found.slice(0, 80),
    suggestion: 'convert the model again, or fetch another release of it',
  });
}

function unsupported(where: string, key: string, message: string, expected: string, found: unknown): never {
  return fail({
    code: 'GGUF_TOKENIZER_UNSUPPORTED',
    message,
    where: `${where}: ${PREFIX}${key}`.slice(0, 200),
    expected,
    found: JSON.stringify(found)?.slice(0, 80),
    suggestion: 'use the release of the model in Hugging Face format',
  });
}

function readVocabulary(metadata: ReadonlyMap<string, GgufValue>, where: string): Vocabulary {
  const get = (key: string): GgufValue | undefined => metadata.get(PREFIX + key);
  const model = get('model');
  if (model !== 'gpt2' && model !== 'llama') {
    unsupported(where, 'model', 'the file has no tokenizer of a kind that Ingot knows', "'gpt2' or 'llama'", model);
  }
  for (const key of metadata.keys()) {
    if (!key.startsWith(PREFIX) || key.endsWith('_token_id') || knownKeys.has(key.slice(PREFIX.length))) continue;
    unsupported(
      where,
      key.slice(PREFIX.length),
      'the tokenizer has a key that Ingot does not know',
      'no such key',
      '…',
    );
  }
  const tokens = get('tokens');
  if (!isTexts(tokens) || tokens.length === 0 || tokens.length > MAX_VOCAB) {
    invalid(
      where,
      'tokens',
      'the vocabulary is not a list of texts',
      `1 to ${formatCount(MAX_VOCAB)} texts`,
      kindOf(tokens),
    );
  }
  const ids = new Map<string, number>();
  for (const [id, token] of tokens.entries()) {
    // Empty texts pad a vocabulary; no text becomes one of them.
    if (token === '') continue;
    if (ids.has(token))
      invalid(where, 'tokens', 'two tokens have the same text', 'every text once', JSON.stringify(token));
    ids.set(token, id);
  }
  const kinds = get('token_type') ?? new Uint8Array(tokens.length).fill(1);
  if (!isNumbers(kinds) || kinds.length !== tokens.length) {
    invalid(where, 'token_type', 'there is not one kind for each token', formatCount(tokens.length), kindOf(kinds));
  }
  const flag = (key: string, fallback: boolean): boolean => {
    const value = get(key) ?? fallback;
    return typeof value === 'boolean'
      ? value
      : invalid(where, key, 'the value is not true or false', 'a bool', kindOf(value));
  };
  if (flag('remove_extra_whitespaces', false))
    unsupported(where, 'remove_extra_whitespaces', 'the tokenizer drops spaces', 'false', true);
  return {
    model,
    tokens,
    ids,
    kinds,
    flag,
    id(key) {
      const value = get(key);
      if (value === undefined) return undefined;
      const isId = typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < tokens.length;
      return isId
        ? value
        : invalid(where, key, 'the vocabulary has no such token', `an id below ${tokens.length}`, String(value));
    },
  };
}

const isTexts = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string');
const isNumbers = (value: GgufValue | undefined): value is NumberArray =>
  ArrayBuffer.isView(value) && typeof value[0] !== 'bigint';
const kindOf = (value: GgufValue | undefined): string =>
  value === undefined ? 'nothing' : typeof value === 'object' ? `a list of ${formatCount(value.length)}` : typeof value;

/** The default template, and others by name. */
function readChatTemplate(metadata: ReadonlyMap<string, GgufValue>): unknown {
  const key = 'tokenizer.chat_template';
  const named = [...metadata].filter(([name]) => name.startsWith(`${key}.`));
  const main = metadata.get(key);
  if (named.length === 0) return main;
  return { default: main, ...Object.fromEntries(named.map(([name, text]) => [name.slice(key.length + 1), text])) };
}

interface Parts {
  readonly tokenizer: JsonObject;
  readonly encoder?: (text: string, addSpecial: boolean) => number[];
}

/** Tokens that are found in a text before it is cut. Those in which nobody writes are special. */
function addedTokens({ tokens, kinds }: Vocabulary): { id: number; content: string; special: boolean }[] {
  return tokens.flatMap((content, id) => {
    const special = kinds[id] === CONTROL || kinds[id] === UNKNOWN;
    return content !== '' && (special || kinds[id] === USER_DEFINED)
      ? [{ id, content, special, single_word: false, lstrip: false, rstrip: false, normalized: false }]
      : [];
  });
}

/** Bytes that occur in UTF-8. */
const isUsed = (byte: number): boolean => byte !== 0xc0 && byte !== 0xc1 && byte < 0xf5;

/** Byte-level BPE (gpt-2, llama 3, qwen). */
function byteLevel(vocabulary: Vocabulary, metadata: ReadonlyMap<string, GgufValue>, where: string): Parts {
  const { tokens, ids, flag, id } = vocabulary;
  const pre = metadata.get(`${PREFIX}pre`) ?? 'default';
  const rule = preTokenizers.get(String(pre));
  if (rule === undefined) {
    const known = [...preTokenizers.keys()].join(', ');
    return unsupported(where, 'pre', 'the tokenizer cuts texts in a way that Ingot does not know', known, pre);
  }
  const absent = BYTE_CHARACTERS.findIndex((character, byte) => isUsed(byte) && !ids.has(character));
  if (absent >= 0)
    invalid(where, 'tokens', 'a byte has no token, so texts with it have none', 'all bytes', `byte ${absent}`);
  const listed = metadata.get(`${PREFIX}merges`);
  if (!isTexts(listed)) invalid(where, 'merges', 'the merges are not a list of texts', 'texts', kindOf(listed));
  const merges = listed.map((merge) => {
    // A token may be a space itself only in front.
    const space = merge.indexOf(' ', 1);
    const pair = [merge.slice(0, space), merge.slice(space + 1)];
    if (space > 0 && ids.has(pair.join(''))) return pair;
    return invalid(where, 'merges', 'a merge does not make a token', 'two parts of a token', JSON.stringify(merge));
  });
  const around = (key: 'bos' | 'eos', fallback: boolean): JsonObject[] => {
    if (!flag(`add_${key}_token`, fallback)) return [];
    const added = id(`${key}_token_id`);
    if (added === undefined)
      invalid(where, `${key}_token_id`, 'a token is to be added and not named', 'an id', 'nothing');
    return [{ SpecialToken: { id: tokens[added], type_id: 0 } }];
  };
  const first = around('bos', rule.addBos && id('bos_token_id') !== undefined);
  const last = around('eos', false);
  const split = (pattern: string): JsonObject => ({
    type: 'Split',
    pattern: { Regex: pattern },
    behavior: 'Isolated',
    invert: false,
  });
  const bytes = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false };
  return {
    tokenizer: {
      added_tokens: addedTokens(vocabulary),
      normalizer: null,
      pre_tokenizer: { type: 'Sequence', pretokenizers: [...rule.patterns.map(split), bytes] },
      post_processor:
        first.length + last.length === 0
          ? null
          : { type: 'TemplateProcessing', single: [...first, { Sequence: { id: 'A', type_id: 0 } }, ...last] },
      decoder: bytes,
      model: { type: 'BPE', vocab: Object.fromEntries(ids), merges, ignore_merges: rule.wholeTokens },
    },
  };
}

/** SentencePiece's BPE by score (llama 2, mistral). */
function sentencePiece(vocabulary: Vocabulary, metadata: ReadonlyMap<string, GgufValue>, where: string): Parts {
  const { tokens, ids, flag, id } = vocabulary;
  const scores = metadata.get(`${PREFIX}scores`);
  if (!isNumbers(scores) || scores.length !== tokens.length) {
    return invalid(
      where,
      'scores',
      'there is not one score for each token',
      formatCount(tokens.length),
      kindOf(scores),
    );
  }
  if (scores.some(Number.isNaN)) invalid(where, 'scores', 'a score is not a number', 'numbers', 'NaN');
  const byteToken = (byte: number): string => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
  const byteIds = Array.from({ length: 256 }, (_, byte) => ids.get(byteToken(byte)) ?? -1);
  const absent = byteIds.findIndex((found, byte) => found < 0 && isUsed(byte));
  if (absent >= 0)
    invalid(where, 'tokens', 'a byte has no token, so texts with it have none', 'all bytes', byteToken(absent));
  const spacePrefix = flag('add_space_prefix', true);
  const bosId = flag('add_bos_token', true) ? id('bos_token_id') : undefined;
  const eosId = flag('add_eos_token', false) ? id('eos_token_id') : undefined;
  const added = addedTokens(vocabulary);
  const cut = cutter(added);
  const pieces: ScoredPieces = { ids, scores, byteIds };
  const steps = [
    { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
    { type: 'ByteFallback' },
    { type: 'Fuse' },
  ];
  return {
    tokenizer: {
      added_tokens: added,
      decoder: {
        type: 'Sequence',
        decoders: spacePrefix ? [...steps, { type: 'Strip', content: ' ', start: 1, stop: 0 }] : steps,
      },
      model: { type: 'BPE', vocab: Object.fromEntries(ids) },
    },
    encoder(text, addSpecial) {
      const result: number[] = addSpecial && bosId !== undefined ? [bosId] : [];
      // A text gets its space at the start and after each token that was found whole.
      let prefix = spacePrefix ? ' ' : '';
      for (const part of cut(text.toWellFormed())) {
        if (typeof part === 'number') {
          result.push(part);
          prefix = spacePrefix ? ' ' : '';
        } else {
          for (const piece of encodePieces((prefix + part).replaceAll(' ', '▁'), pieces)) result.push(piece);
          prefix = '';
        }
      }
      if (addSpecial && eosId !== undefined) result.push(eosId);
      return result;
    },
  };
}

/** Cuts a text at added tokens, the longest that fits at each place: ids, and the texts between. */
function cutter(added: readonly { id: number; content: string }[]): (text: string) => (number | string)[] {
  const byFirst = new Map<string, { id: number; content: string }[]>();
  for (const token of added.toSorted((a, b) => b.content.length - a.content.length)) {
    const list = byFirst.get(token.content[0]);
    if (list === undefined) byFirst.set(token.content[0], [token]);
    else list.push(token);
  }
  return (text) => {
    const parts: (number | string)[] = [];
    let start = 0;
    for (let at = 0; at < text.length; ) {
      const found = byFirst.get(text[at])?.find(({ content }) => text.startsWith(content, at));
      if (found === undefined) {
        at++;
        continue;
      }
      if (at > start) parts.push(text.slice(start, at));
      parts.push(found.id);
      at += found.content.length;
      start = at;
    }
    if (start < text.length) parts.push(text.slice(start));
    return parts;
  };
}

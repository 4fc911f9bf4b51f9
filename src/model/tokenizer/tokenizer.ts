// Text to token ids by the public library; ids to text by our own rule, because a stream needs the text of a
// growing sequence without decoding it again from the start.

import { Tokenizer as Library } from '@huggingface/tokenizers';

import { fail, formatCount, IngotError } from '../../core/index.ts';
import { isJsonObject, type JsonObject } from '../format/json.ts';
import { createChatTemplate, type ChatMessage, type RenderOptions } from './chat-template.ts';
import { resolveByteRule } from './token-bytes.ts';

/** Sixteen times the largest vocabulary in use (262,144); an id sizes an array. */
export const MAX_VOCAB = 4_194_304;

export interface EncodeOptions {
  /** Add the tokens that the tokenizer puts around a text, such as BOS. Default true. A rendered chat has its own. */
  readonly addSpecial?: boolean;
}

export interface DecodeOptions {
  /** Leave out special tokens. Default true. */
  readonly skipSpecial?: boolean;
  /** Special tokens that are text all the same, because the reader looks for them. */
  readonly shown?: ReadonlySet<number>;
  /** The ids go on after other text, so a space at the start is part of the text. Default false. */
  readonly continues?: boolean;
}

/** Text of a growing sequence; the pieces joined are the `decode` of all ids. */
export interface TokenDecoder {
  /** Text that the token completes; '' while a character is not whole. */
  push(id: number): string;
  /** What is still held back: U+FFFD for a character that never became whole. Then the decoder starts anew. */
  flush(): string;
}

export interface Tokenizer {
  /** Largest id + 1. The model may have more rows than that, as padding. */
  readonly vocabSize: number;
  /** Characters of the longest token, at least as many as it can stand for in a text. */
  readonly longestToken: number;
  readonly bosId: number | undefined;
  /** Ids that tokenizer_config.json names as end of sequence; the checkpoint may name more. */
  readonly eosIds: readonly number[];
  readonly specialIds: ReadonlySet<number>;
  /** Special tokens within the text are taken as such, as in other servers. */
  encode(text: string, options?: EncodeOptions): number[];
  decode(ids: Iterable<number>, options?: DecodeOptions): string;
  decoder(options?: DecodeOptions): TokenDecoder;
  /** Text of one token by itself; U+FFFD where it holds a part of a character. '' for an id without a token. */
  tokenText(id: number): string;
  /** Bytes of one token, for `logprobs`. Not to be changed. */
  tokenBytes(id: number): Uint8Array;
  readonly hasChatTemplate: boolean;
  /** Text of all chat templates; it tells which marks the model writes. */
  readonly chatTemplate: string | undefined;
  /** @throws IngotError CHAT_TEMPLATE_MISSING, CHAT_TEMPLATE_INVALID, CHAT_MESSAGES_REFUSED */
  renderChat(messages: readonly ChatMessage[], options: RenderOptions): string;
}

export interface TokenizerFiles {
  /** tokenizer.json */
  readonly tokenizer: JsonObject;
  /** tokenizer_config.json, or {} */
  readonly config: JsonObject;
  /** chat_template.jinja, which goes before the template in tokenizer_config.json */
  readonly chatTemplate?: string;
  /** What the files are called in messages. */
  readonly where: string;
  /** What the file with the chat template is called; default the same. */
  readonly chatTemplateWhere?: string;
  /** Text to ids where the public library lacks the model; then `tokenizer` says only what tokens stand for. */
  readonly encoder?: (text: string, addSpecial: boolean) => number[];
}

/**
 * A tokenizer from the contents of a checkpoint's files. `clean_up_tokenization_spaces` is not applied: it drops
 * spaces that the model wrote, and servers that stream cannot take them back.
 * @throws IngotError TOKENIZER_INVALID, TOKENIZER_UNSUPPORTED
 */
export function createTokenizer(files: TokenizerFiles): Tokenizer {
  const { tokenizer, config, chatTemplate, where, chatTemplateWhere = where } = files;
  const vocabulary = readVocabulary(tokenizer, where);
  const rule = resolveByteRule(tokenizer['decoder'], where);
  const toIds = files.encoder ?? libraryEncoder(openLibrary(tokenizer, config, where));
  const vocabSize = vocabulary.tokens.length;
  const bytes: (Uint8Array | undefined)[] = Array.from({ length: vocabSize });
  const nothing = new Uint8Array(0);

  const tokenBytes = (id: number): Uint8Array => {
    const token = vocabulary.tokens[id];
    if (token === undefined) return nothing;
    return (bytes[id] ??= rule.bytesOf(token, vocabulary.added.has(id)));
  };
  /** Takes the encoder's space from the first bytes of a text. */
  const createTrim = (options: DecodeOptions): ((piece: Uint8Array) => Uint8Array) => {
    let spaces = options.continues === true ? 0 : rule.leadingSpaces;
    return (piece) => {
      if (spaces === 0 || piece.length === 0) return piece;
      let start = 0;
      while (start < spaces && piece[start] === 0x20) start++;
      // Only the first token can have it, though it may be all of that token.
      spaces = 0;
      return piece.subarray(start);
    };
  };
  /** Text of tokens that are whole characters, which is most of them; '' for others. */
  const texts: (string | undefined)[] = Array.from({ length: vocabSize });
  const wholeText = (id: number): string => (texts[id] ??= strict(tokenBytes(id)));
  const isSkipped = (id: number, options: DecodeOptions): boolean =>
    options.skipSpecial !== false && vocabulary.special.has(id) && options.shown?.has(id) !== true;

  /** Tokens that are put around a text; where there are no others, the text was dropped. */
  const framings = new Map<boolean, number>();
  const framing = (addSpecial: boolean): number => {
    let count = framings.get(addSpecial);
    if (count === undefined) framings.set(addSpecial, (count = addSpecial ? toIds('', true).length : 0));
    return count;
  };

  const idOf = (key: string): number | undefined => {
    const value = specialText(config[key]);
    return value === undefined ? undefined : vocabulary.ids.get(value);
  };
  const bosId = idOf('bos_token');
  const eosId = idOf('eos_token');
  const source = chatTemplate ?? config['chat_template'] ?? undefined;
  const chat =
    source === undefined ? undefined : createChatTemplate(source, specialVariables(config), chatTemplateWhere);

  return {
    vocabSize,
    longestToken: vocabulary.tokens.reduce((longest, token = '') => Math.max(longest, token.length), 0),
    bosId,
    eosIds: eosId === undefined ? [] : [eosId],
    specialIds: vocabulary.special,
    encode(text, { addSpecial = true } = {}) {
      const ids = toIds(text, addSpecial);
      const isLost = text !== '' && ids.length <= framing(addSpecial);
      if (!isLost && ids.every((id) => vocabulary.tokens[id] !== undefined)) return ids;
      return fail({
        code: 'TOKENIZER_TEXT_REFUSED',
        message: 'the text has characters for which the vocabulary has no token',
        where,
        suggestion: 'use a model whose tokenizer covers them',
      });
    },
    decode(ids, options = {}) {
      const trim = createTrim(options);
      const pieces: Uint8Array[] = [];
      for (const id of ids) if (!isSkipped(id, options)) pieces.push(trim(tokenBytes(id)));
      return lossy().decode(concatenate(pieces));
    },
    decoder(options = {}) {
      let trim = createTrim(options);
      const text = lossy();
      /** Nothing is to be trimmed, and no part of a character is held back. */
      let isPlain = false;
      return {
        push(id) {
          if (isSkipped(id, options)) return '';
          const whole = wholeText(id);
          if (isPlain && whole !== '') return whole;
          const piece = trim(tokenBytes(id));
          // Whole characters complete or end whatever was before them; without any bytes all stays as it is.
          if (piece.length > 0) isPlain = whole !== '';
          return text.decode(piece, { stream: true });
        },
        flush() {
          trim = createTrim(options);
          isPlain = false;
          return text.decode();
        },
      };
    },
    tokenText: (id) => lossy().decode(tokenBytes(id)),
    tokenBytes,
    hasChatTemplate: chat !== undefined,
    chatTemplate: chat?.source,
    renderChat(messages, options) {
      if (chat !== undefined) return chat.render(messages, options);
      return fail({
        code: 'CHAT_TEMPLATE_MISSING',
        message: 'the checkpoint has no chat template',
        where: chatTemplateWhere,
        suggestion: 'use /v1/completions with a prompt, or an instruct release of the model',
      });
    },
  };
}

/** Invalid sequences become U+FFFD (Encoding Standard), and a byte order mark is text like any other. */
/** '' where the bytes are not whole characters. */
function strict(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { ignoreBOM: true, fatal: true }).decode(bytes);
  } catch {
    return '';
  }
}

const lossy = (): TextDecoder => new TextDecoder('utf-8', { ignoreBOM: true });

function concatenate(pieces: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

interface Vocabulary {
  /** Token by id; undefined where the vocabulary has a gap. */
  readonly tokens: readonly (string | undefined)[];
  readonly ids: ReadonlyMap<string, number>;
  readonly added: ReadonlySet<number>;
  readonly special: ReadonlySet<number>;
}

function readVocabulary(tokenizer: JsonObject, where: string): Vocabulary {
  const model = tokenizer['model'];
  const refuse = (message: string, found: unknown): never =>
    fail({
      code: 'TOKENIZER_INVALID',
      message,
      where,
      found: (JSON.stringify(found) ?? 'nothing').slice(0, 120),
      suggestion: 'fetch the tokenizer of the model again',
    });
  if (!isJsonObject(model)) return refuse('the tokenizer has no model', model);
  const { vocab } = model;
  // BPE: {token: id}; Unigram: [[token, score]], the id being the position.
  const entries: readonly (readonly [unknown, unknown])[] = Array.isArray(vocab)
    ? (vocab as unknown[]).map((item, id) => [Array.isArray(item) ? (item[0] as unknown) : undefined, id] as const)
    : isJsonObject(vocab)
      ? Object.entries(vocab)
      : refuse('the tokenizer has no vocabulary', vocab);
  const addedTokens = tokenizer['added_tokens'] ?? [];
  if (!Array.isArray(addedTokens)) return refuse('added_tokens is not a list', addedTokens);

  const tokens: (string | undefined)[] = [];
  const ids = new Map<string, number>();
  const put = (token: unknown, id: unknown): number => {
    if (typeof token !== 'string') return refuse('a token is not a text', token);
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= MAX_VOCAB) {
      return refuse(`the id of a token is not a whole number below ${formatCount(MAX_VOCAB)}`, [token, id]);
    }
    while (tokens.length <= id) tokens.push(undefined);
    tokens[id] = token;
    ids.set(token, id);
    return id;
  };
  for (const [token, id] of entries) put(token, id);
  if (entries.length === 0) return refuse('the vocabulary of the tokenizer is empty', vocab);
  const added = new Set<number>();
  const special = new Set<number>();
  for (const token of addedTokens as unknown[]) {
    if (!isJsonObject(token)) return refuse('an added token is not an object', token);
    const id = put(token['content'], token['id']);
    added.add(id);
    if (token['special'] === true) special.add(id);
  }
  return { tokens, ids, added, special };
}

function openLibrary(tokenizer: JsonObject, config: JsonObject, where: string): Library {
  const type = (tokenizer['model'] as JsonObject)['type'];
  if (type !== undefined && type !== 'BPE' && type !== 'Unigram') {
    fail({
      code: 'TOKENIZER_UNSUPPORTED',
      message: 'the tokenizer is of a kind that Ingot does not know',
      where: `${where}, key model.type`,
      expected: 'BPE or Unigram',
      found: String(type).slice(0, 40),
    });
  }
  if (type !== 'Unigram') checkMerges(tokenizer['model'] as JsonObject, where);
  // The library asks for these keys, and only for their presence.
  const optional = { added_tokens: [], normalizer: null, pre_tokenizer: null, post_processor: null };
  try {
    return new Library({ ...optional, ...tokenizer }, config);
  } catch (error) {
    throw new IngotError(
      {
        code: 'TOKENIZER_INVALID',
        message: 'the tokenizer cannot be built from its file',
        where,
        found: (error instanceof Error ? error.message : String(error)).slice(0, 200),
        suggestion: 'fetch the tokenizer of the model again',
      },
      { cause: error },
    );
  }
}

/** The library takes any list, and drops text that its merges do not make. */
function checkMerges({ type, merges }: JsonObject, where: string): void {
  if (type === undefined && merges === undefined) return;
  const isPair = (merge: unknown): boolean => {
    const parts = typeof merge === 'string' ? merge.split(' ') : merge;
    return Array.isArray(parts) && parts.length === 2 && parts.every((part) => typeof part === 'string' && part !== '');
  };
  const list: readonly unknown[] | undefined = Array.isArray(merges) ? merges : undefined;
  const bad = list?.findIndex((merge) => !isPair(merge) || typeof merge !== typeof list[0]) ?? -1;
  if (list !== undefined && bad < 0) return;
  fail({
    code: 'TOKENIZER_INVALID',
    message:
      list === undefined ? 'the merges of the tokenizer are not a list' : `merge ${bad} of the tokenizer is damaged`,
    where: `${where}, key model.merges`,
    expected: 'two tokens each, all as "a b" or all as ["a", "b"]',
    found: (JSON.stringify(list === undefined ? merges : list[bad]) ?? 'nothing').slice(0, 120),
    suggestion: 'fetch the tokenizer of the model again',
  });
}

const libraryEncoder =
  (library: Library) =>
  (text: string, addSpecial: boolean): number[] =>
    library.encode(text, { add_special_tokens: addSpecial }).ids;

/** A special token stands in tokenizer_config.json as text, or as an object with `content`. */
const specialText = (value: unknown): string | undefined => {
  const text = isJsonObject(value) ? value['content'] : value;
  return typeof text === 'string' ? text : undefined;
};

/** What templates read as `bos_token`, `eos_token` and so on. */
function specialVariables(config: JsonObject): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const key of Object.keys(config).filter((key) => /^[a-z]+_token$/.test(key))) {
    const text = specialText(config[key]);
    if (text !== undefined) variables[key] = text;
  }
  return variables;
}

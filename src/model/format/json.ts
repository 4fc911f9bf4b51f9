// JSON of untrusted files. JSON.parse alone keeps the last of two equal keys without a word, and its error
// texts differ between versions of Node; the scan below finds the first fault by itself.

import { fail } from '../../core/index.ts';

/** Deeper than any file of a checkpoint; bounds the stack of the scan. */
export const MAX_JSON_DEPTH = 64;

export interface JsonFault {
  readonly kind: 'syntax' | 'duplicate key' | 'depth';
  /** Index into the text, in UTF-16 units. */
  readonly offset: number;
  readonly key?: string;
}

export type JsonObject = Readonly<Record<string, unknown>>;

export const isJsonObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const isSpace = (c: number): boolean => c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09;
const isDigit = (c: number): boolean => c >= 0x30 && c <= 0x39;
const ESCAPE = /^(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/;
const WORDS = ['true', 'false', 'null'];

/** First place where `text` is not JSON (RFC 8259), repeats a key within an object, or nests too deep. */
export function firstJsonFault(text: string): JsonFault | undefined {
  // Loops over characters, not patterns: a pattern that runs over megabytes exhausts the stack of the matcher.
  let at = 0;
  const space = (): void => {
    while (isSpace(text.charCodeAt(at))) at++;
  };
  const syntax = (): JsonFault => ({ kind: 'syntax', offset: at });
  const skip = (pattern: RegExp | string, limit: number): boolean => {
    const next = text.slice(at, at + limit);
    const length = typeof pattern === 'string' ? pattern.length : (pattern.exec(next)?.[0].length ?? 0);
    if (length === 0 || (typeof pattern === 'string' && next !== pattern)) return false;
    at += length;
    return true;
  };
  const string = (): boolean => {
    at++;
    for (;;) {
      const c = text.charCodeAt(at);
      if (!(c >= 0x20)) return false;
      at++;
      if (c === QUOTE) return true;
      if (c === BACKSLASH && !skip(ESCAPE, 5)) return false;
    }
  };
  const digits = (): boolean => {
    const start = at;
    while (isDigit(text.charCodeAt(at))) at++;
    return at > start;
  };
  const number = (): boolean => {
    if (text[at] === '-') at++;
    if (text[at] === '0') at++;
    else if (!digits()) return false;
    if (text[at] === '.') {
      at++;
      if (!digits()) return false;
    }
    if (text[at] === 'e' || text[at] === 'E') {
      at++;
      if (text[at] === '+' || text[at] === '-') at++;
      return digits();
    }
    return true;
  };

  const value = (depth: number): JsonFault | undefined => {
    space();
    const open = text[at];
    if (open === '{' || open === '[') {
      if (depth === MAX_JSON_DEPTH) return { kind: 'depth', offset: at };
      at++;
      return open === '{' ? members(depth + 1) : elements(depth + 1);
    }
    if (open === '"') return string() ? undefined : syntax();
    return WORDS.some((word) => skip(word, word.length)) || number() ? undefined : syntax();
  };
  /** After an item: a comma goes on, `close` ends, anything else is a fault. */
  const goesOn = (close: string): boolean | undefined => {
    space();
    const next = text[at];
    if (next !== ',' && next !== close) return undefined;
    at++;
    return next === ',';
  };
  const isEmpty = (close: string): boolean => {
    space();
    if (text[at] !== close) return false;
    at++;
    return true;
  };
  const elements = (depth: number): JsonFault | undefined => {
    if (isEmpty(']')) return undefined;
    for (;;) {
      const fault = value(depth);
      if (fault !== undefined) return fault;
      const more = goesOn(']');
      if (more !== true) return more === false ? undefined : syntax();
    }
  };
  const members = (depth: number): JsonFault | undefined => {
    if (isEmpty('}')) return undefined;
    const keys = new Set<string>();
    for (;;) {
      space();
      const start = at;
      if (text[at] !== '"' || !string()) return syntax();
      const key = JSON.parse(text.slice(start, at)) as string;
      if (keys.has(key)) return { kind: 'duplicate key', offset: start, key };
      keys.add(key);
      space();
      if (text[at] !== ':') return syntax();
      at++;
      const fault = value(depth);
      if (fault !== undefined) return fault;
      const more = goesOn('}');
      if (more !== true) return more === false ? undefined : syntax();
    }
  };

  const fault = value(0);
  if (fault !== undefined) return fault;
  space();
  return at === text.length ? undefined : syntax();
}

export interface JsonOptions {
  readonly code?: string;
  readonly large?: boolean;
}

const MALFORMED = 'CHECKPOINT_JSON_MALFORMED';

/**
 * The object that `text` holds.
 * @param where what the text is, for messages
 * @param options.code code of the diagnostic; `CHECKPOINT_JSON_MALFORMED` if absent
 * @param options.large skip the search for repeated keys (tokenizer.json has megabytes of them)
 * @throws IngotError
 */
export function parseJsonObject(text: string, where: string, options: JsonOptions = {}): JsonObject {
  const parsed = parseJson(text, where, options);
  const { code = MALFORMED } = options;
  if (!isJsonObject(parsed)) fail({ code, message: 'the file is JSON, but not an object', where, expected: '{ … }' });
  return parsed;
}

/** The same for files that hold something else, such as a list. */
export function parseJson(text: string, where: string, options: JsonOptions = {}): unknown {
  const { code = MALFORMED, large = false } = options;
  let parsed: unknown;
  let failed = false;
  if (large) {
    try {
      parsed = JSON.parse(text);
    } catch {
      failed = true;
    }
  }
  if (!large || failed) {
    const fault = firstJsonFault(text);
    if (fault !== undefined) {
      fail({
        code,
        message: describe(fault),
        where: `${where}, ${position(text, fault.offset)}`,
        expected: fault.kind === 'depth' ? `at most ${MAX_JSON_DEPTH} levels` : 'one JSON object, every key once',
        found: fault.kind === 'syntax' ? snippet(text, fault.offset) : undefined,
        suggestion: 'fetch the file again, or undo the last edit to it',
      });
    }
    parsed = JSON.parse(text);
  }
  return parsed;
}

const describe = (fault: JsonFault): string =>
  fault.kind === 'syntax'
    ? 'the text is not valid JSON'
    : fault.kind === 'depth'
      ? 'the JSON is nested too deep'
      : `the key ${JSON.stringify(fault.key?.slice(0, 100))} stands twice in one object`;

function position(text: string, offset: number): string {
  const before = text.slice(0, offset);
  const line = before.split('\n').length;
  return `line ${line}, column ${offset - before.lastIndexOf('\n')}`;
}

const snippet = (text: string, offset: number): string =>
  offset >= text.length ? 'the end of the text' : JSON.stringify(text.slice(offset, offset + 24));

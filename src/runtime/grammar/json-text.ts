// Texts of JSON (RFC 8259) as expressions. Everything that needs no end has a bound: blanks, digits, exponents; so a model
// that likes blanks cannot fill its answer with them. Numbers have few enough digits that readers of doubles get what was written.

import { byteSet, choice, EMPTY, literal, optional, repeat, rule, sequence, type Expression } from './expression.ts';

/** A range of code points, both ends included. */
export type CodeRange = readonly [low: number, high: number];

/** Code points beyond it are not characters. Surrogates are not either: they occur in pairs in UTF-16 only. */
export const LAST_CODE = 0x10ffff;
const SURROGATES: CodeRange = [0xd800, 0xdfff];
const LAST_ASCII = 0x7f;

export interface JsonTextOptions {
  /** Characters beyond ASCII may be written as they are; otherwise only as \uXXXX. */
  readonly allBytes: boolean;
}

/** Deepest indentation of a value on a line of its own. */
const MAX_INDENT = 20;
const MAX_WHOLE_DIGITS = 15;
const MAX_FRACTION_DIGITS = 15;
const MAX_EXPONENT_DIGITS = 2;

export interface JsonText {
  readonly blank: Expression;
  readonly anyCharacter: Expression;
  readonly anyValue: Expression;
  readonly anyObject: Expression;
  readonly anyString: Expression;
  readonly anyNumber: Expression;
  readonly anyInteger: Expression;
  /** One character of a string out of these code points, in any way that JSON can write it and this grammar allows. */
  character(ranges: readonly CodeRange[]): Expression;
  /** A value as `JSON.stringify` writes it. */
  value(value: unknown): Expression;
}

const digit = byteSet([0x30, 0x39]);
const nonzero = byteSet([0x31, 0x39]);
const quote = literal('"');

export function createJsonText({ allBytes }: JsonTextOptions): JsonText {
  const blank = rule(
    'blank',
    choice(EMPTY, literal(' '), sequence(literal('\n'), repeat(literal(' '), 0, MAX_INDENT))),
  );
  const character = (ranges: readonly CodeRange[]): Expression => choice(...writings(ranges, allBytes));
  const anyCharacter = rule('character', character([[0, LAST_CODE]]));
  const anyString = rule('string', sequence(quote, repeat(anyCharacter, 0), quote));
  const whole = choice(literal('0'), sequence(nonzero, repeat(digit, 0, MAX_WHOLE_DIGITS - 1)));
  const anyInteger = rule('integer', sequence(optional(literal('-')), whole));
  const exponent = sequence(
    byteSet([0x45, 0x45], [0x65, 0x65]),
    optional(byteSet([0x2b, 0x2b], [0x2d, 0x2d])),
    repeat(digit, 1, MAX_EXPONENT_DIGITS),
  );
  const anyNumber = rule(
    'number',
    sequence(anyInteger, optional(sequence(literal('.'), repeat(digit, 1, MAX_FRACTION_DIGITS))), optional(exponent)),
  );

  const anyValue = rule('value');
  const list = (open: string, item: Expression, close: string): Expression =>
    sequence(
      literal(open),
      blank,
      optional(sequence(item, repeat(sequence(literal(','), blank, item), 0), blank)),
      literal(close),
    );
  const member = sequence(anyString, literal(':'), blank, anyValue);
  const anyObject = rule('object', list('{', member, '}'));
  anyValue.rule.expression = choice(
    anyObject,
    rule('array', list('[', anyValue, ']')),
    anyString,
    anyNumber,
    literal('true'),
    literal('false'),
    literal('null'),
  );

  return {
    blank,
    anyCharacter,
    anyValue,
    anyObject,
    anyString,
    anyNumber,
    anyInteger,
    character,
    value: (value) => literal(allBytes ? JSON.stringify(value) : escapeBeyondAscii(JSON.stringify(value))),
  };
}

const fourDigits = (unit: number): string => unit.toString(16).padStart(4, '0');
const escapeBeyondAscii = (json: string): string =>
  json.replace(/[^\0-\x7e]/g, (unit) => `\\u${fourDigits(unit.charCodeAt(0))}`);

const SHORT_ESCAPES: Readonly<Record<number, string>> = {
  0x08: '\\b',
  0x09: '\\t',
  0x0a: '\\n',
  0x0c: '\\f',
  0x0d: '\\r',
  0x22: '\\"',
  0x5c: '\\\\',
};

/** Each way to write a character of the ranges: as it is where JSON allows that, else escaped. */
function writings(ranges: readonly CodeRange[], allBytes: boolean): Expression[] {
  const ways: Expression[] = [];
  const plain: CodeRange[] = [];
  for (const [low, high] of ranges) {
    for (let code = low; code <= Math.min(high, LAST_ASCII); code++) {
      const short = SHORT_ESCAPES[code];
      if (short !== undefined) ways.push(literal(short));
      else if (code < 0x20 || code === LAST_ASCII) ways.push(literal(`\\u${fourDigits(code)}`));
      else plain.push([code, code]);
    }
    if (high <= LAST_ASCII) continue;
    const beyond: CodeRange = [Math.max(low, LAST_ASCII + 1), high];
    for (const part of withoutSurrogates(beyond)) {
      if (allBytes) ways.push(...utf8Ranges(part));
      else ways.push(...escapedRange([part[0], Math.min(part[1], 0xffff)]));
    }
  }
  if (plain.length > 0) ways.push(byteSet(...plain));
  return ways;
}

const withoutSurrogates = ([low, high]: CodeRange): CodeRange[] =>
  (
    [
      [low, Math.min(high, SURROGATES[0] - 1)],
      [Math.max(low, SURROGATES[1] + 1), high],
    ] as const
  ).filter(([first, last]) => first <= last);

/** \uXXXX of a range within the first 65,536 code points. */
function escapedRange([low, high]: CodeRange): Expression[] {
  if (low > high) return [];
  return digitRanges(fourDigits(low), fourDigits(high)).map((ranges) =>
    sequence(literal('\\u'), ...ranges.map(([from, to]) => hexSet(from, to))),
  );
}

function hexSet(from: number, to: number): Expression {
  const bytes = Array.from({ length: to - from + 1 }, (_, i) => (from + i).toString(16).charCodeAt(0));
  return byteSet(...bytes.map((byte) => [byte, byte] as const));
}

/** Hexadecimal numbers of four digits from low to high as products of digit ranges. */
function digitRanges(low: string, high: string): CodeRange[][] {
  const of = (text: string, i: number): number => parseInt(text[i], 16);
  const split = (i: number, tightLow: boolean, tightHigh: boolean): CodeRange[][] => {
    if (i === low.length) return [[]];
    const from = tightLow ? of(low, i) : 0;
    const to = tightHigh ? of(high, i) : 15;
    if (!tightLow && !tightHigh) return [Array.from({ length: low.length - i }, () => [0, 15] as const)];
    const result: CodeRange[][] = [];
    const put = (first: number, last: number, lowStays: boolean, highStays: boolean): void => {
      if (first > last) return;
      for (const rest of split(i + 1, lowStays, highStays)) result.push([[first, last], ...rest]);
    };
    if (from === to) put(from, to, tightLow, tightHigh);
    else {
      if (tightLow) put(from, from, true, false);
      put(tightLow ? from + 1 : from, tightHigh ? to - 1 : to, false, false);
      if (tightHigh) put(to, to, false, true);
    }
    return result;
  };
  return split(0, true, true);
}

/** UTF-8 of a range of code points, as sequences of byte ranges (RFC 3629). */
function utf8Ranges([low, high]: CodeRange): Expression[] {
  const ways: Expression[] = [];
  const LENGTHS = [
    { last: 0x7ff, bytes: 2 },
    { last: 0xffff, bytes: 3 },
    { last: LAST_CODE, bytes: 4 },
  ];
  let from = low;
  for (const { last, bytes } of LENGTHS) {
    const to = Math.min(high, last);
    if (from <= to) ways.push(...utf8OfLength(from, to, bytes - 1));
    from = Math.max(from, last + 1);
  }
  return ways;
}

const LEAD = [0, 0xc0, 0xe0, 0xf0];
const CONTINUATION = 0x80;
const SIX_BITS = 0x3f;

/** @param more continuation bytes */
function utf8OfLength(low: number, high: number, more: number): Expression[] {
  const split = (first: number, last: number, left: number, lead: number): ByteRanges[] => {
    if (left === 0) return [[[lead | first, lead | last]]];
    const shift = 6 * left;
    const size = 1 << shift;
    const [firstTop, lastTop] = [first >> shift, last >> shift];
    const below = (from: number, to: number): ByteRanges[] => split(from, to, left - 1, CONTINUATION);
    const full = Array.from({ length: left }, () => [CONTINUATION, CONTINUATION | SIX_BITS] as const);
    const isWhole = first % size === 0 && last % size === size - 1;
    if (isWhole) return [[[lead | firstTop, lead | lastTop], ...full]];
    if (firstTop === lastTop) {
      return below(first % size, last % size).map((rest) => [[lead | firstTop, lead | firstTop] as const, ...rest]);
    }
    const middle = (firstTop + 1) * size;
    const end = lastTop * size;
    return [
      ...split(first, middle - 1, left, lead),
      ...(middle < end ? split(middle, end - 1, left, lead) : []),
      ...split(end, last, left, lead),
    ];
  };
  return split(low, high, more, LEAD[more]).map((ranges) => sequence(...ranges.map((range) => byteSet(range))));
}

type ByteRanges = (readonly [number, number])[];

import { Ajv2020 } from 'ajv/dist/2020.js';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { IngotError } from '../../core/index.ts';
import { createTestTokenizer } from '../testing/test-tokenizer.ts';
import { compileGrammar, type Grammar } from './automaton.ts';
import { randomText, schemas } from './grammar.laws.ts';
import { createGrammarVocabulary } from './vocabulary.ts';
import { schemaExpression } from './json-schema.ts';
import { stringFormats } from './string-format.ts';

const tokenizer = createTestTokenizer();
const vocabulary = createGrammarVocabulary(tokenizer);
const eos = tokenizer.eosIds[0];
const utf8 = new TextDecoder('utf-8', { fatal: true });

const ajv = new Ajv2020({ strict: false, validateSchema: false });
for (const [name, source] of Object.entries(stringFormats)) ajv.addFormat(name, new RegExp(source, 'u'));

const grammarOf = (schema: unknown): Grammar =>
  compileGrammar(schemaExpression(schema, { allBytes: true, where: 'schema' }));
const accepts = (grammar: Grammar, text: string): boolean => {
  let state: typeof grammar.start | null = grammar.start;
  for (const byte of new TextEncoder().encode(text)) state = state && grammar.step(state, byte);
  return state?.accepting === true;
};
const texts = (grammar: Grammar, count: number, patience = 30): string[] =>
  Array.from({ length: count }, (_, seed) =>
    utf8.decode(randomText(grammar, vocabulary, { vocab: tokenizer.vocabSize, eos, seed, patience })),
  );
const problemsOf = (schema: unknown): string[] => {
  try {
    grammarOf(schema);
    return [];
  } catch (error) {
    if (!(error instanceof IngotError)) throw error;
    return error.diagnostics.map(({ code, where, message }) => `${code} ${where ?? ''}: ${message}`);
  }
};

describe('schemas as grammars', () => {
  it('every text of random tokens under a random schema parses and validates, and none is stuck', () => {
    fc.assert(
      fc.property(schemas, fc.integer({ min: 0, max: 1000 }), (schema, seed) => {
        const validate = ajv.compile(schema);
        const grammar = grammarOf(schema);
        const bytes = randomText(grammar, vocabulary, { vocab: tokenizer.vocabSize, eos, seed, patience: 40 });
        const value: unknown = JSON.parse(utf8.decode(bytes));
        expect(validate(value), `${JSON.stringify(schema)} ${utf8.decode(bytes)}`).toBe(true);
      }),
      { numRuns: 100 },
    );
  });
});

describe('what a grammar takes', () => {
  it.each([
    [{ type: 'integer', minimum: -12, maximum: 105 }, (n: number) => n >= -12 && n <= 105],
    [{ type: 'integer', exclusiveMinimum: 7, maximum: 23 }, (n: number) => n > 7 && n <= 23],
    [{ type: 'integer', maximum: -30 }, (n: number) => n <= -30],
    [{ type: 'integer', minimum: 99, exclusiveMaximum: 100.5 }, (n: number) => n >= 99 && n < 100.5],
    [{ type: 'number', minimum: 0.5 }, (n: number) => n >= 0.5],
  ])('are exactly the whole numbers of %j', (schema, isWithin) => {
    const grammar = grammarOf(schema);
    for (let n = -200; n <= 200; n++) expect([n, accepts(grammar, String(n))]).toEqual([n, isWithin(n)]);
  });

  it('keeps to fractions, exclusive or not', () => {
    const grammar = grammarOf({ type: 'number', exclusiveMinimum: -0.25, maximum: 1.5 });
    const fits = (text: string): boolean => accepts(grammar, text);
    expect(['-0.2', '-0.249', '0', '0.0', '1', '1.5', '1.50', '1.499'].filter((text) => !fits(text))).toEqual([]);
    expect(['-0.25', '-0.250', '-0', '-1', '1.51', '1.5001', '2', '01', '.5', '1.'].filter(fits)).toEqual([]);
  });

  it('takes strings that JSON.parse and the pattern take, and no others', () => {
    for (const pattern of ['^[a-c]{2,3}$', 'b', '^(?:ab|c)+$', '^[^a]?$', 'a.c', '^\\w\\d$']) {
      const grammar = grammarOf({ type: 'string', pattern });
      const regex = new RegExp(pattern, 'u');
      fc.assert(
        fc.property(
          fc.string({ unit: fc.constantFrom('a', 'b', 'c', '1', 'é', '🦙', '"', '\n'), maxLength: 5 }),
          (text) => {
            expect(accepts(grammar, JSON.stringify(text)), `${pattern} ${text}`).toBe(regex.test(text));
          },
        ),
        { numRuns: 60 },
      );
    }
    const any = grammarOf({ type: 'string' });
    for (const bytes of [
      [0x22, 0x0a, 0x22],
      [0x22, 0xc0, 0x80, 0x22],
      [0x22, 0xed, 0xa0, 0x80, 0x22],
      [0x22, 0xff, 0x22],
    ]) {
      let state: typeof any.start | null = any.start;
      for (const byte of bytes) state = state && any.step(state, byte);
      expect(state).toBeNull();
    }
  });

  it.each([
    // What zod 4 writes for email(), datetime() and ulid().
    [
      'email',
      "^(?:[A-Za-z0-9_'+\\-]+\\.)*[A-Za-z0-9_'+\\-]*[A-Za-z0-9_+-]@(?:[A-Za-z0-9][A-Za-z0-9\\-]*\\.)+[A-Za-z]{2,}$",
    ],
    [
      'date-time',
      '^(?:\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:02)-(?:0[1-9]|1\\d)))T(?:(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d+)?(?:Z))$',
    ],
    ['ulid', '^[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}$'],
    ['ipv4', '^1'],
    ['uri', 'ingot'],
  ])('holds to the format %s and a pattern at once', (format, pattern) => {
    const regex = new RegExp(pattern, 'u');
    const own = Object.hasOwn(stringFormats, format) ? new RegExp(stringFormats[format], 'u') : /^/;
    const grammar = grammarOf({ type: 'string', format, pattern });
    for (const text of texts(grammar, 20)) {
      const value = JSON.parse(text) as string;
      expect([regex.test(value), own.test(value)], value).toEqual([true, true]);
    }
  });

  it('refuses patterns that would hold up all others, soon, however many a schema has', () => {
    const letters = Array.from({ length: 2000 }, (_, i) => String.fromCharCode(0x100 + 2 * i)).join('|');
    // Alternatives that must all be cut by one another, sets of places that double with each character, and sheer size.
    for (const [pattern, format] of [
      [`^(?:${letters}|@|\\.)*$`, 'email'],
      ['^(a|b)*a(a|b){24}$', 'email'],
      ['^(a{1000}){49}$', undefined],
    ]) {
      const strings = Array.from({ length: 500 }, () => ({ type: 'string', pattern, ...(format && { format }) }));
      expect(() => grammarOf({ anyOf: strings })).toThrow('more work than a request may make');
    }
  });

  it('takes what both of two patterns take, and no others', () => {
    for (const [format, pattern] of [
      ['ipv4', '^1.*\\.7$'],
      ['date', '-(?:02|12)-'],
      ['hostname', '^[a-z.]+$'],
    ]) {
      const grammar = grammarOf({ type: 'string', format, pattern });
      const regexes = [stringFormats[format], pattern].map((source) => new RegExp(source, 'u'));
      for (const text of [
        '10.2.3.7',
        '10.2.3.8',
        '2.2.3.7',
        '2026-02-28',
        '2026-02-30',
        '2026-03-01',
        'a.bc',
        'a-b',
        '',
      ]) {
        expect(accepts(grammar, JSON.stringify(text)), `${pattern} ${text}`).toBe(regexes.every((r) => r.test(text)));
      }
    }
  });

  it('writes tuples, and maps whose names are listed, as zod has them', () => {
    const tuple = { type: 'array', prefixItems: [{ type: 'integer' }, { type: 'boolean' }] };
    const map = { type: 'object', propertyNames: { type: 'string', enum: ['a', 'b'] } };
    const value = { type: 'integer', minimum: 0, maximum: 9 };
    for (const schema of [
      { ...tuple, items: false, minItems: 2, maxItems: 2 },
      { ...tuple, minItems: 4 },
      { ...tuple, items: { type: 'null' }, maxItems: 5 },
      { ...tuple, maxItems: 1 },
      { ...map, additionalProperties: value, required: ['a', 'b'] },
      { ...map, additionalProperties: value },
      { ...map, properties: { a: { type: 'null' }, c: {} }, additionalProperties: false },
    ]) {
      const validate = ajv.compile(schema);
      for (const text of texts(grammarOf(schema), 10)) expect(validate(JSON.parse(text)), `${text}`).toBe(true);
    }
    const pair = grammarOf({ ...tuple, items: false, minItems: 2 });
    expect(['[1,true]', '[ 1, true ]', '[1]', '[]', '[1,true,1]'].map((text) => accepts(pair, text))).toEqual([
      true, true, false, false, false,
    ]); // prettier-ignore
    const open = grammarOf({ ...tuple, items: { type: 'null' } });
    expect(['[]', '[1]', '[1,true,null,null]', '[1,true,2]'].map((text) => accepts(open, text))).toEqual([
      true, true, true, false,
    ]); // prettier-ignore
    const partial = grammarOf({ ...map, additionalProperties: value });
    expect(['{}', '{"b":1}', '{"a":1,"b":2}', '{"c":1}'].map((text) => accepts(partial, text))).toEqual([
      true, true, true, false,
    ]); // prettier-ignore
    expect(problemsOf({ type: 'object', propertyNames: { pattern: '^a' } })).toHaveLength(1);
    expect(problemsOf({ ...map, required: ['c'] })).toEqual([expect.stringContaining('GRAMMAR_UNSATISFIABLE')]);
  });

  it('draws bounds in that lie beyond what is exact, as those that zod puts around whole numbers', () => {
    const safe = { minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER };
    const integer = grammarOf({ type: 'integer', ...safe });
    for (const text of ['0', '-999999999999999', '999999999999999']) expect(accepts(integer, text)).toBe(true);
    for (const text of ['9999999999999999', '1.5', '-']) expect(accepts(integer, text)).toBe(false);
    const positive = grammarOf({ type: 'integer', exclusiveMinimum: 0, maximum: Number.MAX_SAFE_INTEGER });
    expect(['0', '1', '999999999999999', '-1'].map((text) => accepts(positive, text))).toEqual([
      false,
      true,
      true,
      false,
    ]);
    expect(accepts(grammarOf({ type: 'number', maximum: 3.4e38 }), '12.5')).toBe(true);
    expect(problemsOf({ type: 'integer', minimum: Number.MAX_SAFE_INTEGER })).toHaveLength(1);
  });

  it('counts lengths in code points, along with a pattern too', () => {
    const two = grammarOf({ type: 'string', minLength: 2, maxLength: 2 });
    expect(['"🦙🦙"', '"a\\n"', '"éé"'].every((text) => accepts(two, text))).toBe(true);
    expect(['"🦙"', '"aaa"', '""'].some((text) => accepts(two, text))).toBe(false);
    const both = grammarOf({ type: 'string', pattern: '^a', maxLength: 3, minLength: 2 });
    expect(['"a"', '"ab"', '"abc"', '"abcd"', '"bc"'].map((text) => accepts(both, text))).toEqual([
      false,
      true,
      true,
      false,
      false,
    ]);
  });

  it('takes members in order, what is required, and other names only where they may be', () => {
    const properties = { a: { type: 'integer' }, ab: { type: 'boolean' } };
    const closed = grammarOf({ type: 'object', properties, required: ['ab'], additionalProperties: false });
    expect(accepts(closed, '{"a": 1, "ab": true}')).toBe(true);
    expect(accepts(closed, '{\n  "ab":true\n}')).toBe(true);
    expect(
      ['{"a": 1}', '{"ab": true, "a": 1}', '{"ab": true, "c": 1}', '{}'].some((text) => accepts(closed, text)),
    ).toBe(false);
    const open = grammarOf({ type: 'object', properties, additionalProperties: { type: 'null' } });
    expect(accepts(open, '{"b": null, "abc": null, "": null}')).toBe(true);
    expect(accepts(open, '{"a": null}')).toBe(false);
    expect(accepts(grammarOf({ type: 'object' }), '{"x": [1, {"y": null}]}')).toBe(true);
  });

  it('recurses by reference', () => {
    const tree = grammarOf({
      $ref: '#/$defs/node',
      $defs: {
        node: {
          type: 'object',
          properties: { value: { type: 'integer' }, next: { anyOf: [{ $ref: '#/$defs/node' }, { type: 'null' }] } },
          required: ['value', 'next'],
          additionalProperties: false,
        },
      },
    });
    let text = 'null';
    for (let depth = 0; depth < 200; depth++) text = `{"value": ${depth}, "next": ${text}}`;
    expect(accepts(tree, text)).toBe(true);
    expect(accepts(tree, text.replace('"value": 7', '"value": "x"'))).toBe(false);
  });

  it('is not made larger by alternatives that begin alike, however deep', () => {
    // Two readings at each level: followed one by one they would be 2^300.
    const grammar = grammarOf({
      anyOf: [
        { type: 'array', items: { $ref: '#' } },
        { type: 'array', items: { $ref: '#' }, maxItems: 1 },
        { type: 'integer' },
      ],
    });
    expect(accepts(grammar, `${'['.repeat(300)}1${']'.repeat(300)}`)).toBe(true);
  });

  it('writes formats that their standards allow', () => {
    for (const text of texts(grammarOf({ type: 'string', format: 'date-time' }), 50)) {
      expect(Number.isNaN(Date.parse(JSON.parse(text) as string)), text).toBe(false);
    }
  });

  it('without tokens for all bytes keeps to ASCII, and still means every character', () => {
    const ascii = compileGrammar(
      schemaExpression({ type: 'string', pattern: '^[é-ü日]$' }, { allBytes: false, where: 's' }),
    );
    for (const text of texts(ascii, 30)) {
      expect(text).toMatch(/^[ -~]*$/);
      expect(JSON.parse(text)).toMatch(/^[é-ü日]$/u);
    }
  });
});

describe('schemas that are refused', () => {
  it('are told every keyword that cannot be held to, with its place', () => {
    expect(
      problemsOf({
        type: 'object',
        properties: {
          a: { type: 'array', uniqueItems: true, items: { not: {} } },
          b: { type: 'string', format: 'iban' },
          c: { type: 'string', pattern: '(?=a)' },
          d: { type: 'integer', minLength: 3 },
          e: { $ref: '#/$defs/none' },
        },
        patternProperties: {},
      }),
    ).toEqual([
      'SCHEMA_UNSUPPORTED schema.patternProperties: the keyword "patternProperties" is not supported',
      'SCHEMA_UNSUPPORTED schema.properties.a.uniqueItems: the keyword "uniqueItems" is not supported',
      'SCHEMA_UNSUPPORTED schema.properties.a.items.not: the keyword "not" is not supported',
      'SCHEMA_UNSUPPORTED schema.properties.b.format: the format "iban" is not supported',
      'SCHEMA_UNSUPPORTED schema.properties.c.pattern: a pattern with looking ahead, or flags within is not supported',
      'SCHEMA_UNSUPPORTED schema.properties.d.minLength: "minLength" with type integer is not supported',
      'SCHEMA_INVALID schema.properties.e.$ref: the reference leads nowhere',
    ]);
  });

  it.each([
    [{ type: 'object', properties: { a: { $ref: '#' } }, required: ['a'] }, 'GRAMMAR_UNSATISFIABLE'],
    [{ enum: [1], type: 'string' }, 'GRAMMAR_UNSATISFIABLE'],
    [{ type: 'integer', minimum: 5, maximum: 4 }, 'GRAMMAR_UNSATISFIABLE'],
    [{ anyOf: [{ $ref: '#' }, { type: 'null' }] }, 'GRAMMAR_LEFT_RECURSIVE'],
    [{ type: 'string', maxLength: 1e9 }, 'GRAMMAR_TOO_LARGE'],
    [{ type: 'array', items: {}, minItems: 1e9 }, 'GRAMMAR_TOO_LARGE'],
    [{ oneOf: [{ type: 'integer' }, { type: 'number' }] }, 'SCHEMA_UNSUPPORTED'],
    [{ type: 'strin' }, 'SCHEMA_INVALID'],
    [7, 'SCHEMA_INVALID'],
    [{ type: 'number', minimum: 1 / 3 }, 'SCHEMA_UNSUPPORTED'],
  ])('%j by %s', (schema, code) => expect(problemsOf(schema)[0]).toMatch(code));

  it('too deep or too many', () => {
    let deep: object = {};
    for (let i = 0; i < 100; i++) deep = { type: 'array', items: deep };
    expect(problemsOf(deep)[0]).toMatch('too large');
    expect(problemsOf({ enum: Array.from({ length: 5_001 }, (_, i) => i) })[0]).toMatch('too long');
  });

  it('oneOf whose alternatives exclude each other is taken', () => {
    const of = (kind: string): object => ({
      type: 'object',
      properties: { kind: { const: kind }, x: { type: 'integer' } },
      required: ['kind'],
    });
    expect(problemsOf({ oneOf: [of('a'), of('b'), { type: 'null' }] })).toEqual([]);
    expect(problemsOf({ oneOf: [of('a'), of('a')] })).not.toEqual([]);
  });
});

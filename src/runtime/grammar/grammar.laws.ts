// Random schemas of what is supported, and random texts of a grammar, token by token.

import * as fc from 'fast-check';
import { createRng, type Rng } from '../../core/index.ts';
import { adjustable } from '../adjustable-logits.ts';
import type { Grammar } from './automaton.ts';
import { createGrammarProcessor } from './grammar-processor.ts';
import type { GrammarVocabulary } from './vocabulary.ts';

const name = fc.constantFrom('a', 'b', 'name', 'né', 'a"b', 'x\\y', '日本', 'aa');
const scalar = fc.oneof(
  fc.constantFrom(null, true, false, 0, -1.5, 7, 'red', 'grün', '', 'a"\n\\', '🦙'),
  fc.integer({ min: -1000, max: 1000 }),
);

const bounded = (low: string, high: string, from: fc.Arbitrary<number>): fc.Arbitrary<object> =>
  fc.record({ low: fc.option(from), high: fc.option(from) }).map(({ low: a, high: b }) => ({
    ...(a === null ? {} : { [low]: b === null ? a : Math.min(a, b) }),
    ...(b === null ? {} : { [high]: a === null ? b : Math.max(a, b) }),
  }));

const patterns = fc.constantFrom(
  '^[a-z]+$', 'ab', '^a', 'z$', '^(?:x|yz){1,3}$', '^\\d{3}-\\d{4}$', '[^\\w]', '^.{2,4}$', '\\s', '^[à-ü🦙-🦜]*$', 'a|b|c', '^$', '^"\\\\$',
); // prettier-ignore
const formats = fc.constantFrom('date', 'time', 'date-time', 'uuid', 'email', 'ipv4', 'hostname', 'duration', 'ipv6');

/** Schemas that some value satisfies. References lead to the root, which is an object that can do without them. */
const { schema } = fc.letrec<{ schema: object }>((tie) => ({
  schema: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom<object>(
      { type: 'boolean' },
      { type: 'null' },
      { type: ['string', 'null'] },
      { type: 'integer' },
      {},
    ),
    bounded('minLength', 'maxLength', fc.integer({ min: 0, max: 12 })).map((b) => ({ type: 'string', ...b })),
    patterns.map((pattern) => ({ type: 'string', pattern })),
    formats.map((format) => ({ type: 'string', format })),
    bounded('minimum', 'maximum', fc.integer({ min: -2000, max: 2000 })).map((b) => ({ type: 'integer', ...b })),
    bounded(
      'minimum',
      'maximum',
      fc.integer({ min: -2000, max: 2000 }).map((n) => n / 8),
    ).map((b) => ({
      type: 'number',
      ...b,
    })),
    fc
      .integer({ min: -50, max: 50 })
      .map((n) => ({ type: 'number', exclusiveMinimum: n / 4, exclusiveMaximum: n / 4 + 1 })),
    fc.uniqueArray(scalar, { minLength: 1, maxLength: 5 }).map((values) => ({ enum: values })),
    scalar.map((value) => ({ const: value })),
    fc.constant({ $ref: '#' }),
    fc
      .tuple(tie('schema'), bounded('minItems', 'maxItems', fc.integer({ min: 0, max: 3 })))
      .map(([items, b]) => ({ type: 'array', items, ...b }))
      .filter((s) => !('$ref' in s.items) || !('minItems' in s)),
    fc.array(tie('schema'), { minLength: 1, maxLength: 3 }).map((anyOf) => ({ anyOf: [...anyOf, { type: 'null' }] })),
    objects(tie('schema')),
  ),
}));

function objects(member: fc.Arbitrary<object>): fc.Arbitrary<object> {
  return fc
    .record({
      properties: fc.dictionary(name, member, { maxKeys: 4 }),
      optional: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
      additional: fc.oneof(fc.constantFrom<unknown>(undefined, true, false), member),
    })
    .map(({ properties, optional, additional }) => ({
      type: 'object',
      properties,
      // Whatever refers to the root is optional, so that the smallest object ends.
      required: Object.keys(properties).filter((_, i) => !optional[i] && !JSON.stringify(properties).includes('$ref')),
      ...(additional === undefined ? {} : { additionalProperties: additional }),
    }));
}

export const schemas: fc.Arbitrary<object> = objects(schema);

/**
 * Random tokens of a grammar until it ends; after `patience` tokens the shortest way out is taken.
 * @param onTokens hears how many tokens each draw had to choose from
 */
export function randomText(
  grammar: Grammar,
  vocabulary: GrammarVocabulary,
  {
    vocab,
    eos,
    seed,
    patience,
  }: { readonly vocab: number; readonly eos: number; readonly seed: number; readonly patience: number },
  onTokens: (count: number) => void = () => {},
): Uint8Array {
  const rng = createRng(seed);
  const alike = new Float32Array(vocab);
  const processor = createGrammarProcessor(grammar, vocabulary, [eos]);
  const bytes: number[] = [];
  let state = grammar.start;
  for (let tokens = 0; ; tokens++) {
    const logits = adjustable(alike, vocab);
    processor.adjust(logits, []);
    const possible = [...alike.keys()].filter((token) => logits.get(token) > -Infinity);
    onTokens(possible.length);
    if (possible.length === 0) throw new Error(`no token may follow ${JSON.stringify(Buffer.from(bytes).toString())}`);
    const token = tokens < patience ? pick(possible, rng, vocabulary) : nearest(possible);
    const isComplete = processor.accept(token);
    if (token === eos) return Uint8Array.from(bytes);
    for (const byte of vocabulary.bytesOf(token)) state = grammar.step(state, byte) ?? state;
    bytes.push(...vocabulary.bytesOf(token));
    if (isComplete) return Uint8Array.from(bytes);
  }

  function nearest(possible: readonly number[]): number {
    if (possible.includes(eos)) return eos;
    const distance = (token: number): number => {
      let at = state;
      for (const byte of vocabulary.bytesOf(token)) at = grammar.step(at, byte) ?? at;
      return at.distance;
    };
    return possible.reduce((best, token) => (distance(token) < distance(best) ? token : best));
  }
}

/** One byte that ends something is as likely as all other tokens together, or strings would never end. */
function pick(possible: readonly number[], rng: Rng, vocabulary: GrammarVocabulary): number {
  const closing = possible.filter((token) => '"}],'.includes(String.fromCharCode(vocabulary.bytesOf(token)[0] ?? 0)));
  const from = closing.length > 0 && rng.uniform() < 0.3 ? closing : possible;
  return from[Math.floor(rng.uniform() * from.length)];
}

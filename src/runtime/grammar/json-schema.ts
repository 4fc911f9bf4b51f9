// JSON Schema (draft 2020-12, the part that a grammar can hold to) as an expression: every text of it validates. It need not give
// all that validates: members come in the schema's order, and where more are allowed than it names, only the named are written.
// What cannot be held to is refused by name.

import { IngotError, type Diagnostic } from '../../core/index.ts';
import { byteSet, choice, EMPTY, literal, repeat, rule, sequence, type Expression, type Graph } from './expression.ts';
import { createJsonText, LAST_CODE, type CodeRange, type JsonText } from './json-text.ts';
import { drawnIn, isBoundable, isWidest, numberBetween, type Bound } from './number-range.ts';
import {
  createPatternWork,
  patternExpression,
  PatternRefused,
  type LengthBounds,
  type PatternWork,
} from './pattern.ts';
import { areDisjoint } from './schema-disjoint.ts';
import { isObject, isTyped, TYPES, type JsonType, type Schema } from './schema-type.ts';
import { DEFINED_FORMATS, stringFormats } from './string-format.ts';

/** Bounds on schemas, which come from clients. */
export const schemaLimits = {
  /** Nested schemas, references not followed. */
  depth: 64,
  /** Schemas within the schema. */
  schemas: 5_000,
  /** Values of all enums together. */
  values: 5_000,
  /** Problems that one refusal names. */
  problems: 20,
} as const;

/** Say something to people, nothing to a validator. */
const ANNOTATIONS = new Set([
  '$schema', '$id', '$comment', '$defs', 'definitions', 'title', 'description', 'default', 'examples', 'example',
  'deprecated', 'readOnly', 'writeOnly', 'strict', 'contentEncoding', 'contentMediaType', 'contentSchema',
]); // prettier-ignore

/** Keywords that say something about values of one type. */
const KEYWORDS: Readonly<Record<JsonType, readonly string[]>> = {
  object: ['properties', 'required', 'additionalProperties', 'propertyNames'],
  array: ['prefixItems', 'items', 'minItems', 'maxItems'],
  string: ['minLength', 'maxLength', 'pattern', 'format'],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
  integer: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
  boolean: [],
  null: [],
};
/** Keywords that stand alone: what else is said beside them would have to hold too. */
const ALONE = ['$ref', 'anyOf', 'oneOf', 'allOf', 'enum', 'const'] as const;

export interface SchemaOptions {
  readonly allBytes: boolean;
  /** What the schema is called in problems, e.g. `response_format.json_schema.schema`. */
  readonly where: string;
  /** What patterns may still take, where several schemas are of one request. */
  readonly work?: PatternWork;
}

/** @throws IngotError SCHEMA_UNSUPPORTED or SCHEMA_INVALID with every problem found */
export function schemaExpression(root: unknown, options: SchemaOptions): Expression {
  const json = createJsonText(options);
  const { work = createPatternWork() } = options;
  const problems: Diagnostic[] = [];
  const rules = new Map<unknown, Expression & { readonly kind: 'rule' }>();
  let schemas = 0;
  let values = 0;

  const problem = (
    code: 'SCHEMA_UNSUPPORTED' | 'SCHEMA_INVALID',
    where: string,
    message: string,
    expected?: string,
  ): Expression => {
    if (problems.length < schemaLimits.problems) {
      problems.push({ code, message, where, expected });
    }
    return EMPTY;
  };
  const unsupported = (where: string, what: string, expected?: string): Expression =>
    problem('SCHEMA_UNSUPPORTED', where, `${what} is not supported`, expected);

  const compile = (schema: unknown, where: string, depth: number): Expression => {
    if (++schemas > schemaLimits.schemas || depth > schemaLimits.depth) {
      if (problems.length > 0) return EMPTY;
      return problem(
        'SCHEMA_INVALID',
        where,
        'the schema is too large',
        `at most ${schemaLimits.schemas} schemas within it, ${schemaLimits.depth} deep`,
      );
    }
    if (schema === true) return json.anyValue;
    if (schema === false) return choice();
    if (!isObject(schema)) return problem('SCHEMA_INVALID', where, 'a schema is an object or a boolean');

    const alone = ALONE.filter((keyword) => schema[keyword] !== undefined);
    const beside = Object.keys(schema).filter((key) => !ANNOTATIONS.has(key) && !alone.includes(key as never));
    if (alone.length > 0) {
      const extra = [...alone.slice(1), ...beside.filter((key) => key !== 'type')];
      if (extra.length > 0) return unsupported(where, `${quoted(extra)} beside ${quoted([alone[0]])}`);
      return compileAlone(alone[0], schema, where, depth);
    }
    return compileTyped(schema, beside, where, depth);
  };

  const compileAlone = (keyword: (typeof ALONE)[number], schema: Schema, where: string, depth: number): Expression => {
    const at = `${where}.${keyword}`;
    const value = schema[keyword];
    if (keyword === 'const') return literalsOf([value], schema, at);
    if (keyword === 'enum') {
      if (!Array.isArray(value) || value.length === 0)
        return problem('SCHEMA_INVALID', at, 'an enum is a list of values');
      return literalsOf(value, schema, at);
    }
    if (schema['type'] !== undefined && keyword !== 'anyOf' && keyword !== 'oneOf') {
      return unsupported(where, `"type" beside ${quoted([keyword])}`);
    }
    if (keyword === '$ref') return reference(value, at, depth);
    if (!Array.isArray(value) || value.length === 0)
      return problem('SCHEMA_INVALID', at, `${keyword} is a list of schemas`);
    if (keyword === 'allOf' && value.length > 1) return unsupported(at, 'allOf of several schemas');
    const type = schema['type'];
    const parts = value.map((part: unknown) =>
      type !== undefined && isObject(part) && part['type'] === undefined ? { ...part, type } : part,
    );
    if (type !== undefined && !parts.every((part) => isTyped(part, type))) {
      return unsupported(where, `"type" beside ${quoted([keyword])} whose alternatives have others`);
    }
    if (keyword === 'oneOf' && !pairs(parts).every(([a, b]) => areDisjoint(a, b, resolve))) {
      return unsupported(
        at,
        'oneOf whose alternatives may hold at once',
        'alternatives that differ by type, or by a required property with another const; or anyOf',
      );
    }
    return choice(...parts.map((part, i) => compile(part, `${at}[${i}]`, depth + 1)));
  };

  const literalsOf = (list: readonly unknown[], schema: Schema, where: string): Expression => {
    values += list.length;
    if (values > schemaLimits.values) {
      return problem(
        'SCHEMA_INVALID',
        where,
        'the enums are too long',
        `at most ${schemaLimits.values} values together`,
      );
    }
    const fitting =
      schema['type'] === undefined ? list : list.filter((value) => isTyped({ const: value }, schema['type']));
    return choice(...fitting.map((value) => json.value(value)));
  };

  const resolve = (ref: unknown): unknown => {
    if (typeof ref !== 'string' || !ref.startsWith('#')) return undefined;
    let at: unknown = root;
    for (const step of ref.slice(1).split('/').slice(1)) {
      const key = decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~');
      at = typeof at === 'object' && at !== null && Object.hasOwn(at, key) ? (at as Schema)[key] : undefined;
    }
    return at;
  };

  const reference = (ref: unknown, where: string, depth: number): Expression => {
    const target = resolve(ref);
    if (target === undefined) {
      return problem(
        'SCHEMA_INVALID',
        where,
        'the reference leads nowhere',
        '"#", or "#/$defs/…" of something in the same schema',
      );
    }
    const known = rules.get(target);
    if (known !== undefined) return known;
    const made = rule(String(ref));
    // Known before it is compiled, because it may refer to itself.
    rules.set(target, made);
    made.rule.expression = compile(target, String(ref), depth + 1);
    return made;
  };

  const compileTyped = (schema: Schema, keywords: readonly string[], where: string, depth: number): Expression => {
    const types = typesOf(schema, keywords, where);
    if (types === undefined) return EMPTY;
    const known = new Set(['type', ...types.flatMap((type) => KEYWORDS[type])]);
    const others = keywords.filter((keyword) => !known.has(keyword));
    for (const keyword of others) {
      const isForOthers = Object.values(KEYWORDS).some((list) => list.includes(keyword));
      unsupported(
        `${where}.${keyword}`,
        isForOthers ? `"${keyword}" with type ${types.join(', ')}` : `the keyword "${keyword}"`,
      );
    }
    if (types.length === TYPES.length - 1 && keywords.length === 0) return json.anyValue;
    const compilers: Readonly<Record<JsonType, () => Expression>> = {
      object: () => objectOf(schema, where, depth),
      array: () => arrayOf(schema, where, depth),
      string: () => stringOf(schema, where),
      number: () => numberOf(schema, where, false),
      integer: () => numberOf(schema, where, true),
      boolean: () => choice(literal('true'), literal('false')),
      null: () => literal('null'),
    };
    return choice(...types.map((type) => compilers[type]()));
  };

  /** Types as stated, else those that the keywords speak of, else all. */
  const typesOf = (schema: Schema, keywords: readonly string[], where: string): readonly JsonType[] | undefined => {
    const { type } = schema;
    if (type === undefined) {
      const implied = TYPES.filter(
        (name) => name !== 'integer' && KEYWORDS[name].some((key) => keywords.includes(key)),
      );
      return implied.length > 0 ? implied : TYPES.filter((name) => name !== 'integer');
    }
    const list: readonly unknown[] = Array.isArray(type) ? type : [type];
    if (list.length > 0 && list.every((name) => TYPES.includes(name as JsonType)))
      return [...new Set(list)] as JsonType[];
    problem('SCHEMA_INVALID', `${where}.type`, 'an unknown type', `one or a list of ${TYPES.join(', ')}`);
    return undefined;
  };

  const count = (schema: Schema, keyword: string, fallback: number, where: string): number => {
    const value = schema[keyword];
    if (value === undefined) return fallback;
    if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
    problem('SCHEMA_INVALID', `${where}.${keyword}`, `"${keyword}" is a whole number from 0`);
    return fallback;
  };

  const stringOf = (schema: Schema, where: string): Expression => {
    const length: LengthBounds = {
      min: count(schema, 'minLength', 0, where),
      max: count(schema, 'maxLength', Infinity, where),
    };
    const { pattern, format } = schema;
    if (pattern === undefined && format === undefined) {
      if (length.min === 0 && length.max === Infinity) return json.anyString;
      if (length.max < length.min) return choice();
      return inQuotes(repeat(json.anyCharacter, length.min, length.max));
    }
    const known =
      typeof format === 'string' && Object.hasOwn(stringFormats, format) ? stringFormats[format] : undefined;
    // A format that JSON Schema does not define says nothing to a validator; a pattern beside it says what its author means.
    if (format !== undefined && known === undefined && (pattern === undefined || DEFINED_FORMATS.has(format))) {
      return unsupported(
        `${where}.format`,
        `the format ${JSON.stringify(format)?.slice(0, 40)}`,
        Object.keys(stringFormats).join(', '),
      );
    }
    if (pattern !== undefined && typeof pattern !== 'string')
      return problem('SCHEMA_INVALID', `${where}.pattern`, 'a pattern is a text');
    const sources = [known, pattern].filter((source) => source !== undefined);
    try {
      return inQuotes(patternExpression(sources, length, json, work));
    } catch (error) {
      if (error instanceof PatternRefused) return unsupported(`${where}.pattern`, `a pattern with ${error.message}`);
      throw error;
    }
  };

  const numberOf = (schema: Schema, where: string, isInteger: boolean): Expression => {
    const bound = (
      inclusive: string,
      exclusive: string,
      tighter: (a: number, b: number) => boolean,
    ): Bound | undefined => {
      let best: Bound | undefined;
      for (const [keyword, isExclusive] of [
        [inclusive, false],
        [exclusive, true],
      ] as const) {
        const value = schema[keyword];
        if (value === undefined) continue;
        if (typeof value !== 'number') problem('SCHEMA_INVALID', `${where}.${keyword}`, `"${keyword}" is a number`);
        else if (best === undefined || tighter(value, best.value) || (isExclusive && value === best.value)) {
          best = { value, exclusive: isExclusive };
        }
      }
      return best;
    };
    const min = drawnIn(
      bound('minimum', 'exclusiveMinimum', (a, b) => a > b),
      'min',
    );
    const max = drawnIn(
      bound('maximum', 'exclusiveMaximum', (a, b) => a < b),
      'max',
    );
    const bounds = { min, max };
    if (isInteger && isWidest(bounds)) return json.anyInteger;
    if (min === undefined && max === undefined) return json.anyNumber;
    for (const edge of [min, max]) {
      if (edge === undefined || isBoundable(edge.value)) continue;
      return unsupported(where, `the bound ${edge.value}`, 'a decimal number of at most 15 digits');
    }
    return numberBetween(bounds, isInteger);
  };

  const arrayOf = (schema: Schema, where: string, depth: number): Expression => {
    const min = count(schema, 'minItems', 0, where);
    const max = count(schema, 'maxItems', Infinity, where);
    if (max < min) return choice();
    if (schema['prefixItems'] !== undefined) return tupleOf(schema, where, depth, min, max);
    const item = rule(
      `${where}.items`,
      schema['items'] === undefined ? json.anyValue : compile(schema['items'], `${where}.items`, depth + 1),
    );
    const items =
      max === 0
        ? EMPTY
        : sequence(item, repeat(sequence(literal(','), json.blank, item), Math.max(0, min - 1), max - 1), json.blank);
    return sequence(literal('['), json.blank, min === 0 ? choice(EMPTY, items) : items, literal(']'));
  };

  /** Items with schemas of their own, and then others only where there is a schema for them or there must be more. */
  const tupleOf = (schema: Schema, where: string, depth: number, min: number, max: number): Expression => {
    const { prefixItems, items } = schema;
    if (!Array.isArray(prefixItems)) {
      return problem('SCHEMA_INVALID', `${where}.prefixItems`, 'prefixItems is a list of schemas');
    }
    const comma = sequence(literal(','), json.blank);
    const first = prefixItems
      .slice(0, max)
      .map((item: unknown, i) => compile(item, `${where}.prefixItems.${i}`, depth + 1));
    const count = first.length;
    const nodes: Graph['nodes'][number][] = first.map((part, i) => ({
      edges: [{ part: i === 0 ? part : sequence(comma, part), to: i + 1 }],
      isEnd: i >= min,
    }));
    const hasOthers = max > count && items !== false && (isObject(items) || min > count);
    const other = hasOthers ? sequence(comma, compile(items ?? true, `${where}.items`, depth + 1)) : EMPTY;
    nodes.push({
      edges: hasOthers ? [{ part: repeat(other, Math.max(1, min - count), max - count), to: count + 1 }] : [],
      isEnd: count >= min,
    });
    if (hasOthers) nodes.push({ edges: [], isEnd: true });
    return sequence(literal('['), json.blank, { kind: 'graph', graph: { nodes } }, json.blank, literal(']'));
  };

  const objectOf = (schema: Schema, where: string, depth: number): Expression => {
    const { properties = {}, required = [], additionalProperties, propertyNames } = schema;
    if (!isObject(properties))
      return problem('SCHEMA_INVALID', `${where}.properties`, 'properties is an object of schemas');
    if (!Array.isArray(required) || !required.every((name) => typeof name === 'string')) {
      return problem('SCHEMA_INVALID', `${where}.required`, 'required is a list of names');
    }
    const only = propertyNames === undefined ? undefined : namesOf(propertyNames);
    if (only === 'unknown') return unsupported(`${where}.propertyNames`, 'another rule for names than an enum');
    const names = Object.keys(properties).filter((name) => only === undefined || only.includes(name));
    const additional = additionalSchema(additionalProperties, names.length === 0 || only !== undefined);
    const isOwn = (name: string): boolean => Object.hasOwn(properties, name);
    if (additionalProperties === false && !required.every(isOwn)) return choice();
    if (only !== undefined && !required.every((name) => only.includes(name))) return choice();
    const other =
      additional === undefined ? undefined : compile(additional, `${where}.additionalProperties`, depth + 1);
    const unnamed = only === undefined ? required : other === undefined ? [] : only;
    const members = [
      ...names.map((name) => ({
        name,
        value: compile(properties[name], `${where}.properties.${name.slice(0, 60)}`, depth + 1),
        isRequired: required.includes(name),
      })),
      ...unnamed
        .filter((name) => !isOwn(name))
        .map((name) => ({ name, value: other ?? json.anyValue, isRequired: required.includes(name) })),
    ];
    return objectGraph(members, only === undefined ? other : undefined, json);
  };

  const expression = rule('schema');
  rules.set(root, expression);
  expression.rule.expression = compile(root, options.where, 0);
  if (problems.length > 0) throw new IngotError(problems);
  return expression;
}

/** What else an object may hold. Objects that name their properties hold no others unless a schema for them is given. */
function additionalSchema(given: unknown, isOpen: boolean): unknown {
  if (given === false) return undefined;
  if (isObject(given)) return given;
  return isOpen ? true : undefined;
}

/** The only names that members may have; undefined where any will do, as they are texts whether it is said or not. */
function namesOf(rules: unknown): readonly string[] | undefined | 'unknown' {
  if (rules === true) return undefined;
  if (!isObject(rules)) return 'unknown';
  const { type = 'string', enum: names, ...others } = rules;
  if (type !== 'string' || Object.keys(others).some((key) => !ANNOTATIONS.has(key))) return 'unknown';
  if (names === undefined) return undefined;
  if (!Array.isArray(names)) return 'unknown';
  return [...new Set(names.filter((name): name is string => typeof name === 'string'))];
}

interface Member {
  readonly name: string;
  readonly value: Expression;
  readonly isRequired: boolean;
}

/** Members in order; `other` is the value of any further ones. */
function objectGraph(members: readonly Member[], other: Expression | undefined, json: JsonText): Expression {
  const { blank } = json;
  const comma = sequence(literal(','), blank);
  const nodes: { edges: { part: Expression; to: number }[]; isEnd: boolean }[] = [];
  // Node 2i: before member i, none written yet; node 2i + 1: some written.
  members.forEach(({ name, value, isRequired }, i) => {
    const member = rule(name, sequence(json.value(name), literal(':'), blank, value));
    const after = 2 * (i + 1);
    nodes.push({
      edges: [{ part: member, to: after + 1 }, ...(isRequired ? [] : [{ part: EMPTY, to: after }])],
      isEnd: false,
    });
    nodes.push({
      edges: [
        { part: sequence(comma, member), to: after + 1 },
        ...(isRequired ? [] : [{ part: EMPTY, to: after + 1 }]),
      ],
      isEnd: false,
    });
  });
  const last = nodes.length;
  const further =
    other === undefined
      ? undefined
      : rule(
          'further',
          sequence(
            keyExcept(
              members.map(({ name }) => name),
              json,
            ),
            literal(':'),
            blank,
            other,
          ),
        );
  nodes.push({ edges: further === undefined ? [] : [{ part: further, to: last + 1 }], isEnd: true });
  nodes.push({
    edges: [
      { part: blank, to: last + 2 },
      ...(further === undefined ? [] : [{ part: sequence(comma, further), to: last + 1 }]),
    ],
    isEnd: false,
  });
  nodes.push({ edges: [], isEnd: true });
  return sequence(literal('{'), blank, { kind: 'graph', graph: { nodes } satisfies Graph }, literal('}'));
}

const quote = byteSet([0x22, 0x22]);
const inQuotes = (content: Expression): Expression => sequence(quote, content, quote);

/** A string that is none of these: it leaves their common beginnings somewhere, or ends on the way. */
function keyExcept(names: readonly string[], json: JsonText): Expression {
  if (names.length === 0) return json.anyString;
  interface Node {
    readonly children: Map<number, number>;
    isName: boolean;
  }
  const trie: Node[] = [{ children: new Map(), isName: false }];
  for (const name of names) {
    let at = 0;
    for (const character of name) {
      const code = character.codePointAt(0) as number;
      let next = trie[at].children.get(code);
      if (next === undefined) {
        next = trie.push({ children: new Map(), isName: false }) - 1;
        trie[at].children.set(code, next);
      }
      at = next;
    }
    trie[at].isName = true;
  }
  const free = trie.length;
  const nodes = trie.map(({ children, isName }) => {
    const codes = [...children.keys()].sort((a, b) => a - b);
    const gaps: CodeRange[] = [];
    let from = 0;
    for (const code of codes) {
      if (code > from) gaps.push([from, code - 1]);
      from = code + 1;
    }
    gaps.push([from, LAST_CODE]);
    return {
      edges: [
        ...[...children].map(([code, to]) => ({ part: json.character([[code, code]]), to })),
        { part: json.character(gaps), to: free },
      ],
      isEnd: !isName,
    };
  });
  return inQuotes({
    kind: 'graph',
    graph: { nodes: [...nodes, { edges: [{ part: json.anyCharacter, to: free }], isEnd: true }] },
  });
}

const quoted = (names: readonly string[]): string => names.map((name) => `"${name.slice(0, 60)}"`).join(', ');

const pairs = <T>(list: readonly T[]): (readonly [T, T])[] =>
  list.flatMap((a, i) => list.slice(i + 1).map((b) => [a, b] as const));

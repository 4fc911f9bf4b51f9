// Request bodies: what is understood, what is harmless, what is refused. Nothing is dropped in silence that
// would change the answer.

import { Type, type Static, type TObject, type TProperties } from 'typebox';
import { Compile } from 'typebox/compile';
import { nearest } from '../../core/index.ts';
import { ApiError } from './error.ts';

/** A known field that is not implemented: only values that ask for nothing are accepted. */
export interface Restriction {
  readonly allows: (value: unknown) => boolean;
  /** What may be sent, for people; absent where the field may only be left out. */
  readonly only?: string;
}

export interface BodySpec<Fields extends TProperties> {
  /** Understood fields. `description` says what is expected, as `a number from 0 to 2`. */
  readonly fields: Fields;
  /** Accepted without effect, because the answer does not depend on them. */
  readonly ignored: readonly string[];
  readonly restricted: Readonly<Record<string, Restriction>>;
}

/** Longest value in an error message. */
const SHOWN_LENGTH = 60;

/** A value as it appears in an error message, short; however large or deep it is, only its beginning is read. */
export function shown(value: unknown): string {
  const text = beginning(value, SHOWN_LENGTH + 1);
  return text.length > SHOWN_LENGTH ? `${text.slice(0, SHOWN_LENGTH - 3)}...` : text;
}

/**
 * Lists and objects within each other in a field. A schema may be 64 deep, with two or three of them to a level; what goes
 * through values by recursion (templates, keys of caches) holds many times as many.
 */
const MAX_NESTING = 512;

/** Whether lists and objects lie deeper within each other than recursion should follow; does not recurse itself. */
export function isNestedTooDeep(value: unknown): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_NESTING) return true;
    level = level.flatMap((each) => Object.values(each as object).filter((e) => typeof e === 'object' && e !== null));
  }
  return false;
}

/** Longest name of a field or model that is told back. */
const NAME_LENGTH = 100;

/** A name that the client chose, as it appears in an error. */
export const shownName = (name: string): string =>
  name.length > NAME_LENGTH ? `${name.slice(0, NAME_LENGTH - 3)}...` : name;

/** JSON of a value, complete where it is shorter than `length`. Each level within takes a character, so depth is bounded. */
function beginning(value: unknown, length: number): string {
  if (length <= 0) return '';
  if (typeof value === 'string') return JSON.stringify(value.slice(0, length));
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? String(value);
  let text = Array.isArray(value) ? '[' : '{';
  for (const key in value) {
    if (text.length >= length) return text;
    if (text.length > 1) text += ',';
    if (!Array.isArray(value)) text += `${beginning(key, length)}:`;
    text += beginning((value as Readonly<Record<string, unknown>>)[key], length - text.length);
  }
  return text + (Array.isArray(value) ? ']' : '}');
}

/** A field within the body that has the wrong form. */
export const badValue = (param: string, expected: string, found: unknown, code = 'invalid_value'): ApiError =>
  new ApiError({
    status: 400,
    code,
    param,
    message: `Invalid value for '${param}': expected ${expected}, got ${shown(found)}.`,
    expected,
    found: shown(found),
  });

/**
 * Refuses keys that are not understood; `null` means absent.
 * @throws ApiError 400
 */
export function refuseOthers(value: Readonly<Record<string, unknown>>, known: readonly string[], where: string): void {
  for (const key of Object.keys(value)) {
    if (!known.includes(key) && value[key] !== null)
      throw unknownParameter(
        `${where}.${key}`,
        known.map((name) => `${where}.${name}`),
      );
  }
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * Makes the function that checks a body and keeps its understood fields. `null` means absent, as OpenAI
 * clients send it.
 * @throws ApiError 400 from the function, naming the field
 */
export function createBodyParser<Fields extends TProperties>(
  spec: BodySpec<Fields>,
): (body: unknown) => Static<TObject<Fields>> {
  const validator = Compile(Type.Object(spec.fields));
  const ignored = new Set(spec.ignored);
  const known = [...Object.keys(spec.fields), ...spec.ignored, ...Object.keys(spec.restricted)];

  const describe = (name: string): string =>
    (spec.fields[name] as { readonly description?: string }).description ?? 'a valid value';

  return (body) => {
    if (!isRecord(body)) {
      throw new ApiError({
        status: 400,
        code: 'invalid_type',
        message: `The request body must be a JSON object, got ${shown(body)}.`,
        expected: 'a JSON object',
        found: shown(body),
      });
    }
    const kept: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(body)) {
      if (value === null || ignored.has(name)) {
        if (!known.includes(name)) throw unknownParameter(name, known);
        continue;
      }
      if (Object.hasOwn(spec.fields, name)) kept[name] = value;
      else if (Object.hasOwn(spec.restricted, name)) refuseUnlessAllowed(name, value, spec.restricted[name]);
      else throw unknownParameter(name, known);
    }
    for (const [name, value] of Object.entries(kept)) {
      if (typeof value === 'object' && isNestedTooDeep(value))
        throw badValue(name, `at most ${MAX_NESTING} lists and objects within each other`, value);
    }
    if (validator.Check(kept)) return kept as Static<TObject<Fields>>;
    throw invalid(kept, validator.Errors(kept), describe);
  };
}

function unknownParameter(name: string, known: readonly string[]): ApiError {
  const near = nearest(name, known);
  return new ApiError({
    status: 400,
    code: 'unknown_parameter',
    param: shownName(name),
    message: `Unknown parameter: '${shownName(name)}'.`,
    ...(near === undefined ? {} : { suggestion: `Did you mean '${near}'?` }),
  });
}

function refuseUnlessAllowed(name: string, value: unknown, restriction: Restriction): void {
  if (restriction.allows(value)) return;
  throw new ApiError({
    status: 400,
    code: 'unsupported_parameter',
    param: name,
    message: `'${name}' is not supported by this server yet, so it is refused rather than ignored.`,
    found: shown(value),
    suggestion: restriction.only === undefined ? 'Leave it out.' : `Leave it out, or send ${restriction.only}.`,
  });
}

interface SchemaError {
  readonly keyword: string;
  readonly instancePath: string;
  readonly params: object;
}

/** The first missing field, else the first field of the wrong form; alternatives of a union count as one. */
function invalid(
  body: Record<string, unknown>,
  errors: readonly SchemaError[],
  describe: (name: string) => string,
): ApiError {
  const missing = errors.find((error) => error.keyword === 'required' && error.instancePath === '');
  if (missing !== undefined) {
    const [name] = (missing.params as { requiredProperties: readonly string[] }).requiredProperties;
    return new ApiError({
      status: 400,
      code: 'missing_required_parameter',
      param: name,
      message: `Missing required parameter: '${name}'.`,
      expected: describe(name),
    });
  }
  const name = errors[0].instancePath.split('/')[1];
  const expected = describe(name);
  return new ApiError({
    status: 400,
    code: 'invalid_value',
    param: name,
    message: `Invalid value for '${name}': expected ${expected}, got ${shown(body[name])}.`,
    expected,
    found: shown(body[name]),
  });
}

// Whether two schemas certainly have no value in common, as `oneOf` needs to be held to by a grammar that takes either.

import { areTypesDisjoint, isObject, statedTypes, type Schema } from './schema-type.ts';

/** References followed within one question; those of a cycle prove nothing. */
const MAX_FOLLOWED = 20;

/** @param resolve what a reference leads to */
export function areDisjoint(a: unknown, b: unknown, resolve: (ref: unknown) => unknown, followed = 0): boolean {
  if (followed > MAX_FOLLOWED) return false;
  const again = (x: unknown, y: unknown): boolean => areDisjoint(x, y, resolve, followed + 1);
  if (a === false || b === false) return true;
  if (!isObject(a) || !isObject(b)) return false;
  if (a['$ref'] !== undefined) return again(resolve(a['$ref']), b);
  if (b['$ref'] !== undefined) return again(a, resolve(b['$ref']));
  for (const keyword of ['anyOf', 'oneOf']) {
    if (Array.isArray(a[keyword])) return a[keyword].every((part) => again(part, b));
    if (Array.isArray(b[keyword])) return b[keyword].every((part) => again(a, part));
  }
  const [values, others] = [valuesOf(a), valuesOf(b)];
  if (values !== undefined && others !== undefined) {
    const texts = new Set(others.map((value) => JSON.stringify(value)));
    // Objects with their members in another order are equal, so only simple values count as different.
    return (
      [...values, ...others].every((value) => !isComposite(value)) && !values.some((v) => texts.has(JSON.stringify(v)))
    );
  }
  const [types, otherTypes] = [statedTypes(a), statedTypes(b)];
  if (types !== undefined && otherTypes !== undefined && areTypesDisjoint(types, otherTypes)) return true;
  return isOnlyObject(types) && isOnlyObject(otherTypes) && objectsDiffer(a, b, again);
}

const isComposite = (value: unknown): boolean => typeof value === 'object' && value !== null;
const isOnlyObject = (types: readonly string[] | undefined): boolean =>
  types?.every((type) => type === 'object') === true;

function valuesOf(schema: Schema): readonly unknown[] | undefined {
  if (Object.hasOwn(schema, 'const')) return [schema['const']];
  return Array.isArray(schema['enum']) ? schema['enum'] : undefined;
}

/** One must have a member that the other cannot have, or not with such a value. */
function objectsDiffer(a: Schema, b: Schema, disjoint: (x: unknown, y: unknown) => boolean): boolean {
  const differs = (one: Schema, other: Schema): boolean => {
    const required = Array.isArray(one['required']) ? (one['required'] as unknown[]) : [];
    return required.some((name) => {
      if (typeof name !== 'string') return false;
      const [mine, theirs] = [memberOf(one, name), memberOf(other, name)];
      if (theirs === undefined) return other['additionalProperties'] === false;
      return mine !== undefined && disjoint(mine, theirs);
    });
  };
  return differs(a, b) || differs(b, a);
}

function memberOf(schema: Schema, name: string): unknown {
  const { properties } = schema;
  return isObject(properties) && Object.hasOwn(properties, name) ? properties[name] : undefined;
}

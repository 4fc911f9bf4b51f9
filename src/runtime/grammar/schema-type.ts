// Types of JSON Schema, and what is certain about the type of values that a schema allows.

export type Schema = Readonly<Record<string, unknown>>;

export const TYPES = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null'] as const;
export type JsonType = (typeof TYPES)[number];

export const isObject = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The narrowest type of a value. */
export function typeOfValue(value: unknown): JsonType {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (Number.isInteger(value)) return 'integer';
  return typeof value as JsonType;
}

/** The narrowest types that the schema states; undefined where it states none. */
export function statedTypes(schema: Schema): readonly JsonType[] | undefined {
  if (schema['const'] !== undefined || Object.hasOwn(schema, 'const')) return [typeOfValue(schema['const'])];
  const values = schema['enum'];
  if (Array.isArray(values)) return [...new Set(values.map(typeOfValue))];
  const { type } = schema;
  if (type === undefined) return undefined;
  return (Array.isArray(type) ? type : [type]) as JsonType[];
}

const contains = (type: JsonType, narrower: JsonType): boolean =>
  type === narrower || (type === 'number' && narrower === 'integer');

/** Every value of the schema is of one of the types. */
export function isTyped(schema: unknown, types: unknown): boolean {
  const stated = isObject(schema) ? statedTypes(schema) : undefined;
  const allowed = (Array.isArray(types) ? types : [types]) as JsonType[];
  return stated?.every((type) => allowed.some((other) => contains(other, type))) === true;
}

/** No value is of a type of both lists. */
export const areTypesDisjoint = (a: readonly JsonType[], b: readonly JsonType[]): boolean =>
  a.every((type) => b.every((other) => !contains(type, other) && !contains(other, type)));

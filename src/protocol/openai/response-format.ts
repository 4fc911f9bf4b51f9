// What form an answer must have.

import { badValue, isRecord, refuseOthers } from './body.ts';

export type ResponseFormat =
  | { readonly kind: 'text' | 'json_object' }
  | {
      readonly kind: 'json_schema';
      readonly schema: unknown;
      /** Where the schema stands in the request, for problems within it. */
      readonly where: string;
    };

/**
 * @param where the field, e.g. `response_format`
 * @param flat the form of the Responses API, without `json_schema` in between
 * @throws ApiError 400
 */
export function parseResponseFormat(value: unknown, where: string, flat = false): ResponseFormat {
  if (value === undefined) return { kind: 'text' };
  if (!isRecord(value)) throw badValue(where, 'an object with a type', value);
  const { type, ...rest } = value;
  // As llama.cpp, Together and others have it: an object, and which.
  if (type === 'json_object' && isRecord(rest['schema'])) {
    const { schema, ...others } = rest;
    refuseOthers(others, [], where);
    if (Object.keys(schema).length > 0) return { kind: 'json_schema', schema, where: `${where}.schema` };
    return { kind: type };
  }
  if (type === 'text' || type === 'json_object') {
    refuseOthers(rest, [], where);
    return { kind: type };
  }
  if (type !== 'json_schema') throw badValue(`${where}.type`, `'text', 'json_object' or 'json_schema'`, type);
  const at = flat ? where : `${where}.json_schema`;
  if (!flat) refuseOthers(rest, ['json_schema'], where);
  const definition = flat ? rest : rest['json_schema'];
  if (!isRecord(definition)) throw badValue(at, 'an object with name and schema', definition);
  // The name is for people, and a schema is held to whether strict or not.
  refuseOthers(definition, ['name', 'description', 'schema', 'strict'], at);
  const { schema } = definition;
  if (!isRecord(schema)) throw badValue(`${at}.schema`, 'a JSON Schema', schema);
  return { kind: 'json_schema', schema, where: `${at}.schema` };
}

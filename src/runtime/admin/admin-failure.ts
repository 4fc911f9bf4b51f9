// Operators are told what is wrong with their files, which clients are not.

import { IngotError } from '../../core/index.ts';
import { ApiError } from '../../protocol/index.ts';
import { apiErrorOf, sentence } from '../http/failure.ts';

const statuses: Readonly<Record<string, number>> = {
  MODEL_NOT_SERVED: 404,
  ALIAS_UNKNOWN: 404,
  KEY_UNKNOWN: 404,
  TENANT_UNKNOWN: 404,
  MODEL_NAME_TAKEN: 409,
  MODEL_BUSY: 409,
  NOTHING_WARM: 409,
  SERVER_CLOSING: 503,
  DATABASE_FAILED: 500,
};

/** Any diagnostic is an answer here; what has none is a defect. */
export function adminErrorOf(error: unknown): ApiError {
  if (error instanceof ApiError || !(error instanceof IngotError)) return apiErrorOf(error);
  const { code, message, where, expected, found, suggestion } = error.diagnostics[0];
  const told = [
    // A path is left as it is.
    where === undefined ? sentence(message) : `${where}: ${message}.`,
    ...(expected === undefined ? [] : [`Expected: ${expected}.`]),
    ...(found === undefined ? [] : [`Found: ${found}.`]),
  ].join(' ');
  return new ApiError(
    {
      status: statuses[code] ?? 400,
      code: code.toLowerCase(),
      message: told,
      ...(suggestion === undefined ? {} : { suggestion: sentence(suggestion) }),
    },
    { cause: error },
  );
}

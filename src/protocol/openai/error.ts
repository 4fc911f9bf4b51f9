// Failures as OpenAI clients expect them: a status that picks the client's error class, and a body whose
// four keys are always present.

import { IngotError, type Seconds } from '../../core/index.ts';

export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string | null;
  };
}

export interface ApiFailure {
  readonly status: number;
  /** Lower snake case, as on the wire, e.g. `context_length_exceeded`. */
  readonly code: string;
  readonly message: string;
  /** The request field at fault. */
  readonly param?: string;
  readonly expected?: string;
  readonly found?: string;
  readonly suggestion?: string;
  /** When to try again; Infinity where that is of no use. */
  readonly retryAfter?: Seconds;
}

/** A failure that reaches the client. Its diagnostic code is the wire code in upper case. */
export class ApiError extends IngotError {
  readonly status: number;
  readonly wireCode: string;
  readonly param: string | null;
  readonly retryAfter: Seconds | undefined;

  constructor(failure: ApiFailure, options?: { cause?: unknown }) {
    const { status, code, param, retryAfter, ...rest } = failure;
    super({ code: code.toUpperCase(), ...(param === undefined ? {} : { where: param }), ...rest }, options);
    this.name = 'ApiError';
    this.status = status;
    this.wireCode = code;
    this.param = param ?? null;
    this.retryAfter = retryAfter;
  }
}

/** `type` follows from the status, so that the two cannot disagree. */
export function errorType(status: number): string {
  if (status >= 500) return 'server_error';
  if (status === 429) return 'rate_limit_error';
  return 'invalid_request_error';
}

/** The body that travels: message, with what to do about it, type, param and code. */
export function errorBody(error: ApiError): ErrorBody {
  const { message, suggestion } = error.diagnostics[0];
  return {
    error: {
      message: suggestion === undefined ? message : `${message} ${suggestion}`,
      type: errorType(error.status),
      param: error.param,
      code: error.wireCode,
    },
  };
}

// Which handler answers a request: by path, of which the last parts may vary, and by method.

import { ApiError } from '../../protocol/index.ts';

/** Handlers by method, e.g. `GET`. */
export type Route<Handler> = Readonly<Record<string, Handler>>;

/** Handlers by path; `{name}` stands for what varies. */
export type Routes<Handler> = Readonly<Record<string, Route<Handler>>>;

export interface Match {
  /** The path as it is in the table, for metrics; `unknown` where there is none. */
  readonly name: string;
  /** What the varying parts stand for, decoded. */
  readonly parts: readonly string[];
}

const UNKNOWN: Match = { name: 'unknown', parts: [] };

/** Prepares a table; paths without variable parts come before others, then those that are first in it. */
export function createRouter(routes: Routes<unknown>): (path: string) => Match {
  const patterns = Object.keys(routes)
    .filter((name) => name.includes('{'))
    .map((name) => ({
      name,
      pattern: new RegExp(`^${name.replaceAll(/\{\w+\}/g, '(.+)')}$`),
    }));
  return (path) => {
    if (Object.hasOwn(routes, path)) return { name: path, parts: [] };
    for (const { name, pattern } of patterns) {
      const found = pattern.exec(path);
      if (found === null) continue;
      try {
        return { name, parts: found.slice(1).map(decodeURIComponent) };
      } catch {
        return UNKNOWN;
      }
    }
    return UNKNOWN;
  };
}

/** @throws ApiError 404, 405 */
export function handlerOf<Handler>(
  { method, path }: { readonly method: string; readonly path: string },
  route: Route<Handler> | undefined,
  suggestion: string,
): Handler {
  if (route === undefined) {
    throw new ApiError({
      status: 404,
      code: 'unknown_url',
      message: `Unknown request URL: ${method} ${path.slice(0, 200)}.`,
      suggestion,
    });
  }
  const name = method === 'HEAD' ? 'GET' : method;
  if (Object.hasOwn(route, name)) return route[name];
  throw new ApiError({
    status: 405,
    code: 'method_not_allowed',
    message: `Not allowed: ${method} ${path.slice(0, 200)}.`,
    suggestion: `Use ${Object.keys(route).join(' or ')}.`,
  });
}

/** @throws ApiError 400 */
export function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch (cause) {
    throw new ApiError(
      {
        status: 400,
        code: 'invalid_json',
        message:
          body === '' ? 'The request has no body.' : `The request body is not valid JSON: ${(cause as Error).message}.`,
        suggestion: 'Send a JSON object.',
      },
      { cause },
    );
  }
}

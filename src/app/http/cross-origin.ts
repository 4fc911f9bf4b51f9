// What lets pages of other origins use the API from a browser (CORS, fetch.spec.whatwg.org): headers on every answer, and an
// answer to the question that browsers ask first.

/** Every page. */
export const ANY_ORIGIN = '*';

/** How long browsers need not ask again: what Chrome takes at most. */
const ASK_AGAIN_SECONDS = 7_200;

/** Headers that clients read; those of bodies need no leave. */
const READ_BY_CLIENTS = [
  'x-request-id', 'openai-processing-ms', 'retry-after', 'retry-after-ms', 'x-should-retry',
  ...['requests', 'tokens', 'requests-minute', 'tokens-minute'].flatMap((what) =>
    ['limit', 'remaining', 'reset'].map((which) => `x-ratelimit-${which}-${what}`),
  ),
].join(', '); // prettier-ignore

export interface CrossOriginHeaders {
  readonly headers: Readonly<Record<string, string>>;
  /** The browser asks whether it may send a request; these headers are the answer. */
  readonly isQuestion: boolean;
}

/**
 * @param allowed origins such as `https://app.example`, or ANY_ORIGIN
 * @param headers with lower-case names
 * @returns undefined where no page asks, or one that may not
 */
export function crossOrigin(
  allowed: readonly string[],
  method: string,
  headers: Readonly<Record<string, string | readonly string[] | undefined>>,
): CrossOriginHeaders | undefined {
  const { origin } = headers;
  const isAny = allowed.includes(ANY_ORIGIN);
  if (typeof origin !== 'string' || !(isAny || allowed.includes(origin))) return undefined;
  const own = {
    'access-control-allow-origin': isAny ? ANY_ORIGIN : origin,
    ...(isAny ? {} : { vary: 'origin' }),
  };
  const asked = headers['access-control-request-method'];
  if (method !== 'OPTIONS' || typeof asked !== 'string') {
    return { isQuestion: false, headers: { ...own, 'access-control-expose-headers': READ_BY_CLIENTS } };
  }
  const names = headers['access-control-request-headers'];
  return {
    isQuestion: true,
    headers: {
      ...own,
      'access-control-allow-methods': 'GET, POST, DELETE',
      // Clients have dozens of their own, and none means anything to the server that its key does not allow.
      ...(typeof names === 'string' ? { 'access-control-allow-headers': names } : {}),
      'access-control-max-age': String(ASK_AGAIN_SECONDS),
    },
  };
}

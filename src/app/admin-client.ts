// Asks the admin API of a server, and says in a person's words why it did not answer.

import { readFileSync } from 'node:fs';

import { fail, type Diagnostic, IngotError } from '../core/index.ts';
import type { ErrorBody } from '../protocol/index.ts';

export interface AdminRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** With its query. */
  readonly path: string;
  readonly body?: object;
}

export interface AdminClient {
  /** @returns the answer's JSON @throws IngotError ADMIN_UNREACHABLE, ADMIN_NOT_TRUSTED, ADMIN_SLOW, ADMIN_KEY_WRONG, ADMIN_ANSWER_INVALID; what the server refuses with */
  ask(request: AdminRequest): Promise<unknown>;
}

/** Where `ingot serve` says that its admin API is, in the example of its help. */
export const DEFAULT_ADMIN_URL = 'http://127.0.0.1:8001';
export const ADMIN_KEY_VARIABLE = 'INGOT_ADMIN_KEY';

/**
 * @param url of the admin API, without `/admin`
 * @param keyFile else the key is in the environment
 * @throws IngotError ADMIN_KEY_MISSING, ADMIN_URL_INVALID
 */
export function createAdminClient(
  url: string,
  keyFile: string | undefined,
  environment: NodeJS.ProcessEnv,
): AdminClient {
  const base = parseUrl(url);
  const key = keyFile === undefined ? environment[ADMIN_KEY_VARIABLE] : readKey(keyFile);
  if (key === undefined || key === '') {
    fail({
      code: 'ADMIN_KEY_MISSING',
      message: 'the admin API wants the key of its operator',
      expected: `--admin-key-file FILE, or the key in the variable ${ADMIN_KEY_VARIABLE}`,
      suggestion: 'the server took it from --admin-key-file, or showed it once when it started',
    });
  }
  return {
    async ask({ method, path, body }) {
      const answer = await reach(new URL(path, base), {
        method,
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const value = await json(answer, base);
      if (answer.ok) return value;
      const { error } = value as Partial<ErrorBody>;
      if (error === undefined || error.code === 'unknown_url') return notAdmin(base);
      const refused: Diagnostic =
        answer.status === 401
          ? {
              code: 'ADMIN_KEY_WRONG',
              message: 'this is not the admin key of that server',
              where: base.origin,
              suggestion: 'take the key that this server was started with, or showed when it started',
            }
          : {
              code: (error.code ?? 'ADMIN_REFUSED').toUpperCase(),
              message: error.message,
              where: base.origin,
            };
      throw new IngotError(refused);
    },
  };
}

async function reach(url: URL, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (cause) {
    const reason = cause instanceof Error && cause.cause instanceof Error ? cause.cause : undefined;
    const found = (reason as NodeJS.ErrnoException | undefined)?.code ?? 'no answer';
    throw new IngotError({ ...whyNot(found), where: url.origin, found }, { cause });
  }
}

/** @param found Node's code for what went wrong */
function whyNot(found: string): Diagnostic {
  if (found === 'UND_ERR_HEADERS_TIMEOUT') {
    return {
      code: 'ADMIN_SLOW',
      message: 'the server has not answered for minutes, and may still be at it',
      suggestion: 'see what it serves with: ingot admin models',
    };
  }
  if (/CERT|SIGNATURE/.test(found)) {
    return {
      code: 'ADMIN_NOT_TRUSTED',
      message: 'the certificate of the admin API is not one that is trusted here',
      suggestion: 'name the file with its authority, or itself where it signed itself, in NODE_EXTRA_CA_CERTS',
    };
  }
  return {
    code: 'ADMIN_UNREACHABLE',
    message: 'nobody answers at the address of the admin API',
    suggestion: 'start the server with --admin-port 8001, or say where it is with --admin-url',
  };
}

async function json(answer: Response, base: URL): Promise<unknown> {
  try {
    return await answer.json();
  } catch {
    return notAdmin(base);
  }
}

const notAdmin = (base: URL): never =>
  fail({
    code: 'ADMIN_ANSWER_INVALID',
    message: 'what answers there is no admin API',
    where: base.origin,
    suggestion: 'the admin API has a port of its own: the one after --admin-port',
  });

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return url;
  return fail({
    code: 'ADMIN_URL_INVALID',
    message: 'this is no address of an admin API',
    where: '--admin-url',
    expected: `an address such as ${DEFAULT_ADMIN_URL}`,
    found: text,
  });
}

function readKey(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    return fail({
      code: 'ADMIN_KEY_MISSING',
      message: `the file with the admin key cannot be read (${(error as NodeJS.ErrnoException).code})`,
      where: file,
    });
  }
}

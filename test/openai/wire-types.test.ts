// Every golden transcript against the types of the clients that read it: OpenAI publishes no package with its OpenAPI document,
// but generates these types from it. A file of constants is written and checked by the compiler; members that the types do not
// know, which are our extensions, pass; missing ones, wrong kinds and wrong words do not.

import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '..', '..');
const goldens = join(root, 'test', 'golden', 'http');

/** The type of an answer, and that of an event of its stream, by path. */
const types: Readonly<Record<string, readonly [whole: string, event: string]>> = {
  '/v1/chat/completions': ['OpenAI.ChatCompletion', 'OpenAI.ChatCompletionChunk'],
  '/v1/completions': ['OpenAI.Completion', 'CompletionEvent'],
  '/v1/responses': ['WireResponse', 'WireEvent'],
  '/v1/embeddings': ['OpenAI.CreateEmbeddingResponse', 'never'],
  '/v1/models': ['{ object: "list"; data: OpenAI.Model[] }', 'never'],
  '/v1/models/ingot-test': ['OpenAI.Model', 'never'],
};
/** The wafer vendor's own client reads these. */
const vendorTypes: typeof types = {
  '/v1/chat/completions': [
    'Cerebras.ChatCompletion.ChatCompletionResponse',
    'Cerebras.ChatCompletion.ChatChunkResponse',
  ],
  '/v1/completions': ['Cerebras.Completion.CompletionResponse', 'Cerebras.Completion.CompletionResponse'],
};

const HEAD = `
import type OpenAI from 'openai';
import type { ErrorObject } from 'openai/resources/shared';
import type Cerebras from '@cerebras/cerebras_cloud_sdk';

/** \`output_text\` is put there by the client. */
type WireResponse = Omit<OpenAI.Responses.Response, 'output_text'>;
type OnTheWire<E> = E extends { response: OpenAI.Responses.Response } ? Omit<E, 'response'> & { response: WireResponse } : E;
type WireEvent = OnTheWire<OpenAI.Responses.ResponseStreamEvent>;
/** OpenAI's server has nulls before the last, which its types of this old endpoint do not tell. */
type Unfinished = Omit<OpenAI.CompletionChoice, 'finish_reason'> & { finish_reason: OpenAI.CompletionChoice['finish_reason'] | null };
type CompletionEvent = Omit<OpenAI.Completion, 'choices'> & { choices: Unfinished[] };
type Refusal = { error: ErrorObject };
type Mutable<T> = { -readonly [K in keyof T]: Mutable<T[K]> };
`;

/** Path, status and body of a file that holds one exchange. */
const TRANSCRIPT = /^> \w+ (\S+)\n(?:> .*\n)*\n< (\d+)\n(?:< .*\n)*\n([^]*)$/;

interface Claim {
  readonly name: string;
  readonly type: string;
  readonly value: unknown;
}

/** What a transcript holds: one body, or the events of a stream. */
function claimsOf(file: string, of: typeof types): Claim[] {
  const text = readFileSync(join(goldens, file), 'utf8');
  const [, path = '', told, body] = TRANSCRIPT.exec(text) ?? [];
  if (!(path in of)) return [];
  const status = Number(told);
  const name = file.replace('.txt', '');
  const [whole, event] = of[path];
  if (status >= 400) return [{ name, type: 'Refusal', value: JSON.parse(body) }];
  if (!body.includes('data: ')) return [{ name, type: whole, value: JSON.parse(body) }];
  return [...body.matchAll(/^data: (\{.*)$/gm)].map(([, json], i) => {
    const value = JSON.parse(json) as object;
    return { name: `${name}[${i}]`, type: 'error' in value && path !== '/v1/responses' ? 'Refusal' : event, value };
  });
}

const allClaims = (of: typeof types): Claim[] =>
  readdirSync(goldens)
    .filter((file) => file.endsWith('.txt') && file !== 'admin.txt')
    .flatMap((file) => claimsOf(file, of));

/** @returns the names of claims that do not hold, with what the compiler says */
async function broken(claims: readonly Claim[]): Promise<Map<string, string>> {
  // Within the repository, so that the clients are found.
  mkdirSync(join(root, 'build'), { recursive: true });
  const folder = mkdtempSync(join(root, 'build', 'wire-types-'));
  try {
    const file = join(folder, 'claims.ts');
    const lines = claims.map(
      ({ type, value }, i) =>
        `const c${i} = ${JSON.stringify(value)} as const; export const d${i}: ${type} = c${i} as Mutable<typeof c${i}>;`,
    );
    const first = HEAD.split('\n').length;
    writeFileSync(file, [HEAD, ...lines].join('\n'));
    const compiler = join(root, 'node_modules', 'typescript', 'lib', 'tsc.js');
    const options = '--noEmit --strict --skipLibCheck --target esnext --module nodenext --ignoreConfig'.split(' ');
    const said = await new Promise<string>((done) => {
      execFile(process.execPath, [compiler, ...options, '--types', 'node', file], { cwd: root }, (_, out, err) =>
        done(out + err),
      );
    });
    const found = new Map<string, string>();
    for (const [, line, message] of said.matchAll(/claims\.ts\((\d+),\d+\): (.*(?:\n {2}.*)*)/g)) {
      const claim = claims[Number(line) - first - 1];
      found.set(claim?.name ?? `line ${line}`, message);
    }
    if (found.size === 0 && said !== '') throw new Error(said);
    return found;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The same without its first required member, or with a word that is none. */
const damaged = ({ name, type, value }: Claim): Claim => {
  const { object, model, type: kind, ...rest } = value as Record<string, unknown>;
  return {
    name,
    type,
    value: kind === undefined ? { ...rest, model } : { ...rest, object, type: 'response.nonsense' },
  };
};

describe('golden transcripts', () => {
  it('are what the types of the openai client say', async () => {
    const claims = allClaims(types);
    expect(claims.length).toBeGreaterThan(60);
    expect(await broken(claims)).toEqual(new Map());
    // Or the compiler would look at nothing.
    const unlike = claims.filter(({ type }) => type !== 'Refusal' && !type.startsWith('{')).map(damaged);
    expect(new Set((await broken(unlike)).keys())).toEqual(new Set(unlike.map(({ name }) => name)));
  }, 60_000);

  it("are what the types of the wafer vendor's client say", async () => {
    // Its fragments of a call each have a type, which OpenAI's have once, and which some clients would join.
    const claims = allClaims(vendorTypes).filter(
      ({ name, type }) => type !== 'Refusal' && !name.startsWith('chat-tools-stream'),
    );
    expect(claims.length).toBeGreaterThan(20);
    expect(await broken(claims)).toEqual(new Map());
  }, 60_000);
});

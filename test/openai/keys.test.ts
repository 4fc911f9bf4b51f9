// Keys, limits and accounts as the official client meets them, over HTTPS where it says so; and clients that mean no good.
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';

import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';

import { wallClock } from '../../src/app/http/wall-clock.ts';
import type { TlsPair } from '../../src/app/http/server.ts';
import { keyTools } from '../../src/runtime/index.node.ts';
import { createMemoryRecords, openAccess, type EngineRequest, type TenantLimits } from '../../src/runtime/index.ts';
import { createTestApi, TEST_MODEL } from '../../src/runtime/testing/test-api.ts';
import { listen, serveTest, soon } from './served.ts';

const base = {
  model: TEST_MODEL,
  messages: [{ role: 'user' as const, content: 'the wafer' }],
  max_tokens: 8,
  seed: 7,
  ignore_eos: true,
};

async function serveWithKeys(limits: TenantLimits, steps = 0) {
  const access = await openAccess({ records: createMemoryRecords(), clock: wallClock, tools: keyTools });
  const clientOf = async (tenant: string, of: TenantLimits, models?: readonly string[]) => {
    await access.saveTenant({ id: tenant, limits: of, priority: 0, suspended: false, ...(models && { models }) });
    const { secret } = await access.createKey({ tenant, name: 'test' });
    secrets.set(tenant, secret);
    return new OpenAI({ apiKey: secret, baseURL: `${server.url}/v1`, maxRetries: 0 });
  };
  const secrets = new Map<string, string>();
  const asked: EngineRequest[] = [];
  const test = createTestApi(
    steps === 0 ? {} : { onStep: () => soon(steps) },
    {},
    { access, onRequest: (record) => record.asked && asked.push(record.asked.request) },
  );
  const server = await listen({ api: test.api });
  return { ...test, access, server, asked, secrets, clientOf, client: await clientOf('acme', limits) };
}

describe('metrics', () => {
  it('show a tenant its own series, and operators those of all', async () => {
    const { api, server, client, clientOf, secrets } = await serveWithKeys({});
    const other = await clientOf('zeta', {});
    for (const each of [client, client, other]) await each.chat.completions.create(base);
    const linesOf = (text: string): string[] =>
      text.split('\n').filter((line) => line.startsWith('ingot_tenant_requests_total{'));
    const seen = async (tenant: string): Promise<string[]> => {
      const authorization = `Bearer ${secrets.get(tenant)}`;
      return linesOf(await (await fetch(`${server.url}/metrics`, { headers: { authorization } })).text());
    };
    const acme = `ingot_tenant_requests_total{model="${TEST_MODEL}",tenant="acme"} 2`;
    const zeta = `ingot_tenant_requests_total{model="${TEST_MODEL}",tenant="zeta"} 1`;
    expect(await seen('acme')).toEqual([acme]);
    expect(await seen('zeta')).toEqual([zeta]);
    expect(linesOf(await api.metrics.text())).toEqual([acme, zeta]);
  });
});

describe('keys', () => {
  it('give their tenant its share of the engine', async () => {
    const { access, asked, client } = await serveWithKeys({});
    await client.chat.completions.create(base);
    await access.saveTenant({ id: 'acme', limits: {}, priority: 0, weight: 3, suspended: false });
    await client.chat.completions.create(base);
    expect(asked.map(({ tenant, weight }) => [tenant, weight])).toEqual([
      ['acme', 1],
      ['acme', 3],
    ]);
  });

  it('let nobody find out what another tenant asked: cached blocks are its own', async () => {
    const { client, clientOf } = await serveWithKeys({});
    const other = await clientOf('zeta', {});
    const messages = [{ role: 'user' as const, content: 'a secret that is longer than a block' }];
    const cachedOf = async (of: OpenAI): Promise<number | undefined> =>
      (await of.chat.completions.create({ ...base, messages })).usage?.prompt_tokens_details?.cached_tokens;
    expect(await cachedOf(client)).toBe(0);
    expect(await cachedOf(other)).toBe(0);
    expect(await cachedOf(client)).toBeGreaterThan(0);
  });

  it('let nobody read or go on with the responses of another tenant', async () => {
    const { client, clientOf } = await serveWithKeys({});
    const other = await clientOf('zeta', {});
    const { id } = await client.responses.create({ model: TEST_MODEL, input: 'a secret', max_output_tokens: 2 });
    expect((await client.responses.retrieve(id)).id).toBe(id);
    await expect(other.responses.retrieve(id)).rejects.toThrow(OpenAI.NotFoundError);
    await expect(other.responses.delete(id)).rejects.toThrow(OpenAI.NotFoundError);
    const next = other.responses.create({ model: TEST_MODEL, input: 'and', previous_response_id: id });
    await expect(next).rejects.toMatchObject({ code: 'previous_response_not_found' });
  });

  it('are needed for all but what says that the server is there', async () => {
    const { server, client } = await serveWithKeys({});
    const stranger = new OpenAI({ apiKey: 'sk-none', baseURL: `${server.url}/v1`, maxRetries: 0 });
    await expect(stranger.chat.completions.create(base)).rejects.toThrow(OpenAI.AuthenticationError);
    await expect(stranger.models.list()).rejects.toMatchObject({ status: 401, code: 'invalid_api_key' });
    expect((await fetch(`${server.url}/metrics`)).status).toBe(401);
    expect((await fetch(`${server.url}/health`)).status).toBe(200);
    expect((await fetch(`${server.url}/v1/tcp_warming`)).status).toBe(204);
    expect((await client.chat.completions.create(base)).usage?.completion_tokens).toBe(8);
  });

  it('show and open the models of their tenant, and no others are there', async () => {
    const { registry, server, client, clientOf, secrets } = await serveWithKeys({});
    const { engine, tokenizer } = createTestApi();
    const model = { id: 'other', created: 0, ownedBy: 'ingot', engine, tokenizer, eos: [] };
    await registry.load('other', () => Promise.resolve({ model, close: () => engine.close() }));
    registry.setAlias('chat', TEST_MODEL);
    registry.setAlias('second', 'other');
    for (const of of [client, await clientOf('kept', {}, ['other'])])
      await of.chat.completions.create({ ...base, model: 'other' });
    const kept = await clientOf('kept', {}, ['other']);
    const listed = async (of: OpenAI): Promise<string[]> => (await of.models.list()).data.map(({ id }) => id);
    expect(await listed(client)).toEqual([TEST_MODEL, 'chat', 'other', 'second']);
    expect(await listed(kept)).toEqual(['other', 'second']);
    expect(await kept.models.retrieve('second')).toMatchObject({ id: 'second', alias_of: 'other' });
    // Those of others answer as those that do not exist, to the letter.
    const refusals = (name: string): Promise<unknown[]> =>
      Promise.all(
        [
          kept.models.retrieve(name),
          kept.get(`/models/${name}/provenance`),
          kept.chat.completions.create({ ...base, model: name }),
          kept.chat.completions.create({ ...base, model: name, stream: true }),
          kept.completions.create({ model: name, prompt: 'x' }),
          kept.responses.create({ model: name, input: 'x' }),
          kept.embeddings.create({ model: name, input: 'x' }),
        ].map((asking) =>
          asking.then(
            () => 'answered',
            (error: InstanceType<typeof OpenAI.APIError>) => [
              error.status,
              error.code,
              error.message.replaceAll(name, 'X'),
            ],
          ),
        ),
      );
    const absent = Array.from({ length: 7 }, () => [
      404,
      'model_not_found',
      "404 The model 'X' does not exist on this server. It serves 'other', 'second'.",
    ]);
    for (const name of ['absent', TEST_MODEL, 'chat']) expect(await refusals(name)).toEqual(absent);
    const seen = async (path: string, tenant: string): Promise<string> => {
      const authorization = `Bearer ${secrets.get(tenant)}`;
      return (await fetch(`${server.url}${path}`, { headers: { authorization } })).text();
    };
    for (const path of ['/v1/models?format=openrouter', '/metrics', '/metrics/vllm']) {
      expect(await seen(path, 'acme')).toContain(TEST_MODEL);
      expect(await seen(path, 'kept')).not.toContain(TEST_MODEL);
      expect(await seen(path, 'kept')).toContain('other');
    }
    expect(await seen('/v1/telemetry/hardware', 'kept')).not.toContain(TEST_MODEL);
    expect(await (await fetch(`${server.url}/ready`)).json()).toEqual({ status: 'ready' });
  });

  it('have limits that the client sees, and waits for when told to', async () => {
    const { client } = await serveWithKeys(
      { requests_per_minute: 600, tokens_per_minute: 60_000, concurrent_requests: 1 },
      3,
    );
    const { response } = await client.chat.completions.create(base).withResponse();
    expect(response.headers.get('x-ratelimit-limit-requests')).toBe('600');
    expect(response.headers.get('x-ratelimit-limit-tokens')).toBe('60000');
    const both = await Promise.allSettled([client.chat.completions.create(base), client.chat.completions.create(base)]);
    const refused = both.filter((result) => result.status === 'rejected').map(({ reason }) => reason as unknown);
    expect(refused).toHaveLength(1);
    expect(refused[0]).toBeInstanceOf(OpenAI.RateLimitError);
    expect((refused[0] as InstanceType<typeof OpenAI.RateLimitError>).headers?.get('retry-after')).toBe('1');
  });

  it('account for every token: whole, streamed, and of clients that left', async () => {
    const { client, usage, engine, api } = await serveWithKeys({ tokens_per_minute: 100_000 }, 1);
    const whole = await client.chat.completions.create({ ...base, n: 2 });
    for await (const _ of await client.chat.completions.create({ ...base, stream: true }));
    await client.responses.create({ model: TEST_MODEL, input: 'the wafer', max_output_tokens: 5 });
    const leaving = new AbortController();
    const stream = await client.chat.completions.create(
      { ...base, max_tokens: 200, stream: true },
      { signal: leaving.signal },
    );
    let seen = 0;
    try {
      for await (const _ of stream) if (++seen === 6) leaving.abort();
    } catch {
      // It left.
    }
    for (let i = 0; i < 200 && usage.length < 4; i++) await soon(5);
    expect(usage.map(({ outcome }) => outcome)).toEqual(['complete', 'complete', 'complete', 'cancelled']);
    expect(usage[0]).toMatchObject({
      tenant: 'acme',
      model: TEST_MODEL,
      version: 1,
      prompt_tokens: whole.usage?.prompt_tokens,
      completion_tokens: 16,
    });
    expect(usage[1].completion_tokens).toBe(8);
    expect(usage[3].completion_tokens).toBeGreaterThanOrEqual(5);
    expect(usage[3].completion_tokens).toBeLessThan(200);
    const sum = (of: (row: (typeof usage)[number]) => number): number =>
      usage.reduce((total, row) => total + of(row), 0);
    // The step in which the last one left is counted when it is over.
    await engine.close();
    // To the token, and all of the simulated wafer's time and energy.
    expect(sum((row) => row.completion_tokens)).toBe(engine.counts.generatedTokens);
    expect(sum((row) => row.wafer_seconds)).toBeCloseTo(engine.counts.waferSeconds, 12);
    expect(sum((row) => row.wafer_joules)).toBeCloseTo(engine.counts.waferJoules, 9);
    // Metrics say what the ledger says, also of what was generated and not read.
    const labels = `{model="${TEST_MODEL}",tenant="acme"}`;
    const told = [
      `ingot_tenant_requests_total${labels} 4`,
      `ingot_tenant_generated_tokens_total${labels} ${sum((row) => row.completion_tokens)}`,
      `ingot_tenant_prompt_tokens_total${labels} ${sum((row) => row.prompt_tokens)}`,
    ];
    await expect.poll(async () => (await api.metrics.text()).split('\n')).toEqual(expect.arrayContaining(told));
  });
});

const fixture = (name: string): string => readFileSync(join(import.meta.dirname, '../fixtures', name), 'utf8');
const pairs: readonly TlsPair[] = ['', '-2'].map((n) => ({
  cert: fixture(`tls-cert${n}.pem`),
  key: fixture(`tls-key${n}.pem`),
}));

/** Whose certificate the server shows, and what it answers. */
const askTls = (port: number, ca: string): Promise<{ readonly name: string; readonly answer: string }> =>
  new Promise((resolve, reject) => {
    const socket = connectTls({ port, host: '127.0.0.1', ca, servername: 'localhost' }, () => {
      const name = socket.getPeerCertificate().subject.CN;
      socket.write('GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n');
      let answer = '';
      socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
      socket.on('end', () => resolve({ name: String(name), answer }));
    });
    socket.on('error', reject);
  });

describe('connections', () => {
  it('are encrypted where a certificate is given, which may be renewed', async () => {
    const { server } = await serveTest({}, { tls: pairs[0] });
    expect(server.url).toMatch(/^https:/);
    const port = Number(new URL(server.url).port);
    const first = await askTls(port, pairs[0].cert);
    expect(first.name).toBe('ingot test');
    expect(first.answer).toContain('{"status":"ok"}');
    await expect(askTls(port, pairs[1].cert)).rejects.toThrow();
    server.renewTls(pairs[1]);
    expect((await askTls(port, pairs[1].cert)).name).toBe('ingot test, renewed');
    expect(() => server.renewTls({ cert: pairs[0].cert, key: pairs[1].key })).toThrow('TLS_INVALID');
    expect((await askTls(port, pairs[1].cert)).name).toBe('ingot test, renewed');
    await expect(serveTest({}, { tls: { cert: 'none', key: 'none' } })).rejects.toThrow('TLS_INVALID');
  });

  it('that send their headers drop by drop are ended', async () => {
    const { server } = await serveTest({}, { headersMs: 150 });
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
    let answer = '';
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
    const ended = new Promise((resolve) => socket.on('close', resolve));
    socket.on('error', () => undefined);
    socket.write('POST /v1/chat/completions HTTP/1.1\r\n');
    const drops = setInterval(() => socket.write('x-drop: 1\r\n'), 20);
    await ended;
    clearInterval(drops);
    expect(answer).toContain('HTTP/1.1 408');
  });
});

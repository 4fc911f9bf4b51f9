// `ingot admin` against an admin API on a real socket: one golden file shows what an operator types and sees.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import { startServer, type Server, type TlsPair } from '../../src/app/http/server.ts';
import type { Api } from '../../src/runtime/index.ts';
import { createTestApi, TEST_MODEL } from '../../src/runtime/testing/test-api.ts';
import { usageRow } from '../../src/runtime/testing/usage-row.ts';
import { ADMIN_KEY, createTestAdmin } from '../admin-api.ts';
import { expectGolden } from '../golden.ts';
import { runIngot, transcript } from './run-cli.ts';

const servers: Server[] = [];
beforeAll(() => void vi.stubEnv('INGOT_ADMIN_KEY', ADMIN_KEY));
afterAll(async () => {
  vi.unstubAllEnvs();
  await Promise.all(servers.map((server) => server.close()));
});

async function listen(api: Api, tls?: TlsPair): Promise<Server> {
  const server = await startServer({ api, host: '127.0.0.1', port: 0, closeGraceMs: 50, ...(tls && { tls }) });
  servers.push(server);
  return server;
}

async function serve() {
  const test = await createTestAdmin();
  return { ...test, server: await listen(test.api) };
}

const fixture = (name: string): string => readFileSync(join(import.meta.dirname, '../fixtures', name), 'utf8');

describe('ingot admin', () => {
  it('transcript', async () => {
    const { server, records } = await serve();
    await records.appendUsage([usageRow({ tenant: 'acme' }), usageRow({ tenant: 'zeta' })]);
    const lines: string[] = [];
    const type = async (...argv: readonly string[]): Promise<void> => {
      const outcome = await runIngot('admin', ...argv, '--admin-url', server.url);
      lines.push(transcript(['admin', ...argv], outcome), '');
    };
    await type('models');
    await type('load', '--model', '/models/other');
    await type('swap', TEST_MODEL, '--model', '/models/newer', '--keep-warm', '60');
    await type('rollback', TEST_MODEL);
    await type('rollback', 'other');
    await type('alias', 'chat', TEST_MODEL);
    await type('models');
    await type('unalias', 'chat');
    await type('unload', 'other');
    await type('unload', 'othr');
    await type('tenant', 'acme', '--tokens-per-minute', '60000', '--allow', TEST_MODEL, '--weight', '2');
    await type('tenants');
    await type('create-key', 'acme', '--name', 'laptop', '--expires-days', '30');
    await type('create-key', 'acne');
    await type('keys');
    await type('revoke-key', 'ingot-name1');
    await type('usage');
    await type('usage', '--tenant', 'zeta', '--json');
    await type('audit', '--limit', '3');
    const text = lines.join('\n').replaceAll(server.url, 'http://<admin>');
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(140);
    expectGolden('cli/admin.txt', text);
  });

  it.each<[string, readonly string[], string, number]>([
    ['an action that is none', ['key'], 'did you mean "keys"?', 2],
    ['a name too few', ['swap'], 'ingot admin swap MODEL', 2],
    ['an option of another action', ['models', '--limit', '3'], 'models does not take this option', 2],
    ['no model to load', ['load'], '--model or --emulate', 2],
    ['two of them', ['load', '--model', 'a', '--emulate', 'b'], '--model or --emulate', 2],
    ['an address that is none', ['models', '--admin-url', 'here'], 'ADMIN_URL_INVALID', 1],
    ['a file that is not there', ['models', '--admin-key-file', '/no/such/key'], 'ADMIN_KEY_MISSING', 1],
    ['a port where nobody is', ['models', '--admin-url', 'http://127.0.0.1:1'], 'ADMIN_UNREACHABLE', 1],
  ])('teaches: %s', async (_, argv, says, exit) => {
    const { code, err, out } = await runIngot('admin', ...argv);
    expect([code, out]).toEqual([exit, '']);
    expect(err).toContain(says);
  });

  it('shows what was asked for in one line, whatever it was', async () => {
    const { server } = await serve();
    await fetch(`${server.url}/admin/tenants`, {
      method: 'POST',
      headers: { authorization: `Bearer ${ADMIN_KEY}` },
      body: '{\n  "id":\t"acme"\u001b[2J}',
    });
    const { out } = await runIngot('admin', 'audit', '--admin-url', server.url);
    expect(out.split('\n').at(-2)).toContain('{ "id": "acme" [2J}');
  });

  it('says so where the key is wrong, none, the port another, or the certificate not known', async () => {
    const { server } = await serve();
    const { url } = await listen(createTestApi().api);
    expect((await runIngot('admin', 'models', '--admin-url', url)).err).toContain('ADMIN_ANSWER_INVALID');
    const own = await listen(createTestApi().api, { cert: fixture('tls-cert.pem'), key: fixture('tls-key.pem') });
    expect((await runIngot('admin', 'models', '--admin-url', own.url)).err).toContain('NODE_EXTRA_CA_CERTS');
    vi.stubEnv('INGOT_ADMIN_KEY', 'another');
    expect((await runIngot('admin', 'models', '--admin-url', server.url)).err).toContain('ADMIN_KEY_WRONG');
    vi.stubEnv('INGOT_ADMIN_KEY', '');
    expect((await runIngot('admin', 'models', '--admin-url', server.url)).err).toContain('ADMIN_KEY_MISSING');
    vi.stubEnv('INGOT_ADMIN_KEY', ADMIN_KEY);
    const { err, out } = await runIngot('admin', 'unload', 'x', '--json', '--admin-url', server.url);
    expect(JSON.parse(out)).toMatchObject({ errors: [{ code: 'MODEL_NOT_SERVED', where: server.url }] });
    expect(err).toContain('MODEL_NOT_SERVED');
  });
});

// The admin API as a conversation on the wire: one golden file shows what an operator sends and reads, and what the audit log
// keeps of it.
import { describe, expect, it } from 'vitest';

import { seconds } from '../../src/core/index.ts';
import type { Api } from '../../src/runtime/index.ts';
import { readResponse, TEST_MODEL, type Transcript } from '../../src/runtime/testing/test-api.ts';
import { usageRow } from '../../src/runtime/testing/usage-row.ts';
import { ADMIN_KEY, createTestAdmin } from '../admin-api.ts';
import { expectGolden } from '../golden.ts';

const send = async (api: Api, line: string, body?: unknown, key: string | null = ADMIN_KEY): Promise<Transcript> => {
  const [method, url] = line.split(' ');
  const [path, query = ''] = url.split('?');
  return readResponse(
    await api.handle({
      method,
      path,
      query,
      body: body === undefined ? '' : JSON.stringify(body),
      headers: key === null ? {} : { authorization: `Bearer ${key}` },
      from: '127.0.0.1',
      signal: new AbortController().signal,
    }),
  );
};

describe('admin API', () => {
  it('transcript', async () => {
    const { api, records, clock } = await createTestAdmin();
    await records.appendUsage([
      usageRow({ tenant: 'acme' }),
      usageRow({ tenant: 'acme' }),
      usageRow({ tenant: 'zeta' }),
    ]);
    const lines: string[] = [];
    const say = async (line: string, body?: unknown, key?: string | null): Promise<void> => {
      const { status, text } = await send(api, line, body, key);
      clock.advanceTo(seconds(clock.now() + 1));
      lines.push(`> ${line}`, ...(body === undefined ? [] : [`> ${JSON.stringify(body)}`]), `< ${status}`);
      lines.push(JSON.stringify(JSON.parse(text), null, 2), '');
    };
    await say('GET /admin/models', undefined, null);
    await say('POST /admin/keys', { tenant: 'acme' }, 'a-guess');
    await say('GET /admin/models');
    await say('POST /admin/models', { model: './models/other' });
    await say('POST /admin/models', { model: './broken' });
    await say('POST /admin/models', { model: './a', emulate: 'b' });
    await say(`POST /admin/models/${TEST_MODEL}/swap`, { model: './models/newer', keep_warm_seconds: 60 });
    await say(`POST /admin/models/${TEST_MODEL}/rollback`);
    await say('POST /admin/models/other/rollback');
    await say('PUT /admin/aliases/chat', { model: TEST_MODEL });
    await say('GET /admin/models');
    await say('DELETE /admin/aliases/chat');
    await say('DELETE /admin/models/other');
    await say('DELETE /admin/models/other');
    await say('POST /admin/tenants', {
      id: 'acme',
      limits: { requests_per_minute: 600, tokens_per_minute: 60_000, concurrent_requests: 8 },
      models: [TEST_MODEL],
      weight: 2,
    });
    await say('POST /admin/tenants', { id: 'acme', limits: { requests_per_hour: 1 } });
    await say('POST /admin/tenants', { id: 'a b' });
    await say('GET /admin/tenants');
    await say('POST /admin/keys', { tenant: 'acne' });
    await say('POST /admin/keys', { tenant: 'acme', name: 'laptop', expires_in_days: 30 });
    await say('DELETE /admin/keys/ingot-name1');
    await say('GET /admin/keys');
    await say('GET /admin/usage');
    await say('GET /admin/usage?tenant=zeta&from=7200&to=10800');
    await say('GET /admin/usage?from=1');
    await say('GET /admin/usage?form=0');
    await say('GET /admin/audit?limit=50');
    expectGolden('http/admin.txt', lines.join('\n'));
  });

  it('writes every change and every wrong key to the audit log, without secrets', async () => {
    const { api, records } = await createTestAdmin();
    await send(api, 'POST /admin/tenants', { id: 'acme' });
    const { text } = await send(api, 'POST /admin/keys', { tenant: 'acme' });
    const { key } = JSON.parse(text) as { key: string };
    await send(api, 'GET /admin/keys', undefined, 'a-guess');
    await send(api, 'GET /admin/keys');
    await send(api, 'GET /health', undefined, null);
    const audit = await records.audit(10);
    expect(audit.map(({ actor, action, outcome }) => `${actor}: ${action} ${outcome}`)).toEqual([
      'unknown: GET /admin/keys 401',
      'admin: POST /admin/keys 201',
      'admin: POST /admin/tenants 200',
    ]);
    expect(JSON.stringify(audit)).not.toContain(key);
    expect(audit[1].detail).toContain('ingot-name1');
  });

  it('has the metrics of all tenants, for operators only', async () => {
    const { api } = await createTestAdmin();
    const { status, headers, text } = await send(api, 'GET /metrics');
    expect([status, headers['content-type']]).toEqual([200, expect.stringContaining('text/plain')]);
    expect(text).toContain('# TYPE ingot_tenant_requests_total counter');
    expect((await send(api, 'GET /metrics', undefined, 'a-guess')).status).toBe(401);
  });

  it('says so where an action could not be written to the audit log', async () => {
    const { api, records } = await createTestAdmin();
    records.appendAudit = () => Promise.reject(new Error('disk full'));
    expect(await send(api, 'POST /admin/tenants', { id: 'acme' })).toMatchObject({ status: 500 });
  });
});

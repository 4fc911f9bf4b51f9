import { describe, expect, it } from 'vitest';

import { createVirtualClock, seconds } from '../../core/index.ts';
import { ApiError } from '../../protocol/index.ts';
import { createMemoryRecords } from '../ledger/index.ts';
import { openAccess } from './access.ts';
import { keyTools } from './key-tools.node.ts';
import type { TenantLimits } from './tenant.ts';
import { createTokenBucket } from './token-bucket.ts';

async function setUp(limits: TenantLimits = {}, tenant: object = {}) {
  const clock = createVirtualClock(seconds(1000));
  const records = createMemoryRecords();
  const access = await openAccess({ records, clock, tools: keyTools });
  await access.saveTenant({ id: 'acme', limits, priority: 0, suspended: false, ...tenant });
  const { key, secret } = await access.createKey({ tenant: 'acme', name: 'laptop' });
  const visit = () => access.identify(`Bearer ${secret}`);
  return { clock, records, access, key, secret, visit };
}

/** Status, code and message of what is thrown. */
function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof ApiError) return `${error.status} ${error.wireCode}: ${error.diagnostics[0].message}`;
    throw error;
  }
  return 'none';
}

describe('keys', () => {
  it('are kept as hashes, and told by their prefix', async () => {
    const { records, key, secret, visit } = await setUp();
    const { keys } = await records.load();
    expect(keys).toEqual([key]);
    expect(JSON.stringify(keys)).not.toContain(secret.slice(key.prefix.length + 1));
    expect(secret.startsWith(`${key.prefix}-`)).toBe(true);
    // 256 bits in base64url.
    expect(secret.slice(key.prefix.length + 1)).toMatch(/^[\w-]{43}$/);
    expect(visit()).toMatchObject({ tenant: 'acme', key: key.prefix });
  });

  it('are refused where they are missing, wrong, revoked or expired', async () => {
    const { access, clock, secret, key } = await setUp();
    expect(refusal(() => access.identify(undefined))).toMatch('401 invalid_api_key: You did not provide');
    expect(refusal(() => access.identify(secret))).toMatch('401 invalid_api_key: The authorization header');
    const wrong = `${secret.slice(0, -1)}${secret.endsWith('a') ? 'b' : 'a'}`;
    expect(refusal(() => access.identify(`Bearer ${wrong}`))).toBe(
      `401 invalid_api_key: Incorrect API key provided: ${key.prefix}….`,
    );
    expect(refusal(() => access.identify('Bearer sk-very-secret'))).not.toContain('secret');
    const short = await access.createKey({ tenant: 'acme', name: 'ci', expires: 1010 });
    expect(refusal(() => access.identify(`bearer ${short.secret}`))).toBe('none');
    clock.advanceTo(seconds(1010));
    expect(refusal(() => access.identify(`Bearer ${short.secret}`))).toMatch('has expired');
    await access.revokeKey(key.prefix);
    expect(refusal(() => access.identify(`Bearer ${secret}`))).toMatch('has been revoked');
    await expect(access.revokeKey('ingot-none')).rejects.toThrow('KEY_UNKNOWN');
    await expect(access.createKey({ tenant: 'acne', name: '' })).rejects.toThrow('TENANT_UNKNOWN');
  });

  it('come back from the records', async () => {
    const { records, clock, secret, key } = await setUp();
    const again = await openAccess({ records, clock, tools: keyTools });
    expect(again.identify(`Bearer ${secret}`).key).toBe(key.prefix);
  });
});

describe('tenants', () => {
  it('may be suspended, or kept to some models', async () => {
    const { access, visit } = await setUp({}, { models: ['small'] });
    expect(['small', 'large'].map(visit().mayUse)).toEqual([true, false]);
    await access.saveTenant({ id: 'acme', limits: {}, priority: 0, suspended: true });
    expect(refusal(visit)).toMatch('403 tenant_suspended');
  });

  it('have so many requests a minute, and are told when the next may come', async () => {
    const { clock, visit } = await setUp({ requests_per_minute: 2 });
    visit().begin().end();
    visit().begin().end();
    expect(visit().limitHeaders()).toEqual({
      'x-ratelimit-limit-requests': '2',
      'x-ratelimit-remaining-requests': '0',
      'x-ratelimit-reset-requests': '1m0s',
      'x-ratelimit-limit-requests-minute': '2',
      'x-ratelimit-remaining-requests-minute': '0',
      'x-ratelimit-reset-requests-minute': '60.000',
    });
    expect(refusal(() => visit().begin())).toMatch(
      "429 rate_limit_exceeded: Rate limit of 'acme': 2 requests per minute",
    );
    clock.advanceTo(seconds(1029.5));
    expect(refusal(() => visit().begin())).toMatch('429');
    clock.advanceTo(seconds(1030));
    visit().begin().end();
  });

  it('have so many requests at once', async () => {
    const { visit } = await setUp({ concurrent_requests: 1 });
    const first = visit().begin();
    expect(refusal(() => visit().begin())).toMatch('429 rate_limit_exceeded');
    first.end();
    first.end();
    const second = visit().begin();
    expect(refusal(() => visit().begin())).toMatch('429');
    second.end();
  });

  it('have so many tokens a minute: reserved before, settled by what they were', async () => {
    const { clock, visit } = await setUp({ tokens_per_minute: 60 });
    const remaining = (): string => visit().limitHeaders()['x-ratelimit-remaining-tokens'];
    const cheap = visit().begin();
    cheap.reserve(10, 40);
    expect(remaining()).toBe('10');
    expect(refusal(() => visit().begin().reserve(5, 20))).toMatch('429 rate_limit_exceeded');
    cheap.settle(12);
    cheap.end();
    expect(remaining()).toBe('48');
    // Never answered: it cost nothing.
    const lost = visit().begin();
    lost.reserve(40, 0);
    lost.end();
    expect(remaining()).toBe('48');
    // Without a bound on its answer it may end up owing.
    const open = visit().begin();
    open.reserve(8, 0);
    open.settle(108);
    open.end();
    expect(remaining()).toBe('0');
    clock.advanceTo(seconds(1060));
    expect(refusal(() => visit().begin().reserve(1, 0))).toMatch('429');
    clock.advanceTo(seconds(1061));
    expect(refusal(() => visit().begin().reserve(1, 0))).toBe('none');
    // More than the limit at all: an answer is cut to a full bucket, a prompt cannot be.
    clock.advanceTo(seconds(1200));
    expect(refusal(() => visit().begin().reserve(61, 0))).toMatch('429');
    expect(refusal(() => visit().begin().reserve(10, 1000))).toBe('none');
  });

  it('keep what they have used when their limits change', async () => {
    const { access, visit } = await setUp({ requests_per_minute: 10 });
    for (let i = 0; i < 8; i++) visit().begin().end();
    await access.saveTenant({ id: 'acme', limits: { requests_per_minute: 20 }, priority: 0, suspended: false });
    expect(visit().limitHeaders()['x-ratelimit-remaining-requests']).toBe('12');
  });
});

describe('token bucket', () => {
  it('waits exactly as long as it takes to fill', () => {
    const clock = createVirtualClock();
    const bucket = createTokenBucket(120, clock);
    bucket.take(120);
    expect(bucket.wait(3)).toBe(1.5);
    clock.advanceTo(seconds(1.5));
    expect(bucket.wait(3)).toBe(0);
    expect(bucket.level()).toBe(3);
    clock.advanceTo(seconds(1000));
    expect(bucket.level()).toBe(120);
    expect(bucket.wait(121)).toBe(Infinity);
  });
});

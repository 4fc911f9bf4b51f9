// What every store of records keeps.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { usageRow } from '../testing/usage-row.ts';
import type { Records } from './records.ts';

/** @param open empty records, once */
export function recordsLaws(name: string, open: () => Promise<Records>): void {
  describe(`records: ${name}`, () => {
    // Each law has tables of its own.
    let records: Records;
    beforeAll(async () => {
      records = await open();
    }, 60_000);
    afterAll(() => records.close());

    it('keep tenants and keys, and what changes of them', async () => {
      expect(await records.load()).toEqual({ tenants: [], keys: [] });
      const tenant = {
        id: 'a',
        limits: { requests_per_minute: 60 },
        models: ['m'],
        priority: -1,
        weight: 2.5,
        suspended: false,
        created: 1,
      };
      const other = { id: 'b', limits: {}, priority: 0, suspended: true, created: 2 };
      const key = { prefix: 'ingot-1', hash: 'ab', tenant: 'a', name: 'laptop', created: 4_000_000_000 };
      await records.saveTenant(tenant);
      await records.saveTenant(other);
      await records.saveKey(key);
      expect(await records.load()).toEqual({ tenants: [tenant, other], keys: [key] });
      await records.saveTenant({ ...other, suspended: false });
      await records.saveKey({ ...key, expires: 4_000_000_001, revoked: 5 });
      expect(await records.load()).toEqual({
        tenants: [tenant, { ...other, suspended: false }],
        keys: [{ ...key, expires: 4_000_000_001, revoked: 5 }],
      });
    });

    it('tell the newest of the audit log first', async () => {
      const entries = [1, 2, 3].map((time) => ({
        time: time + 0.25,
        actor: 'operator',
        from: '127.0.0.1',
        action: 'POST /admin/keys',
        detail: `{"name":"${time} ü"}`,
        outcome: 200,
      }));
      for (const entry of entries) await records.appendAudit(entry);
      expect(await records.audit(2)).toEqual([entries[2], entries[1]]);
      expect(await records.audit(10)).toHaveLength(3);
    });

    it('sum usage by tenant and model, within hours, each row once', async () => {
      expect(await records.usage({})).toEqual([]);
      const first = usageRow();
      await records.appendUsage([
        first,
        usageRow({ model: 'n', completion_tokens: 2 ** 40 }),
        usageRow({ tenant: 'B' }),
      ]);
      await records.appendUsage([first, usageRow({ time: 3599 }), usageRow({ time: 10_799.5, outcome: 'cancelled' })]);
      const total = (over: object) => ({
        tenant: 'a',
        model: 'm',
        requests: 1,
        prompt_tokens: 3,
        cached_tokens: 1,
        completion_tokens: 5,
        wafer_seconds: 0.5,
        wafer_joules: 2.5,
        ...over,
      });
      const three = {
        requests: 3,
        prompt_tokens: 9,
        cached_tokens: 3,
        completion_tokens: 15,
        wafer_seconds: 1.5,
        wafer_joules: 7.5,
      };
      const long = total({ model: 'n', completion_tokens: 2 ** 40 });
      expect(await records.usage({})).toEqual([total({ tenant: 'B' }), total(three), long]);
      expect(await records.usage({ tenant: 'B' })).toEqual([total({ tenant: 'B' })]);
      expect(await records.usage({ from: 10_800 })).toEqual([]);
      expect(await records.usage({ to: 3600 })).toEqual([total({})]);
      const two = {
        requests: 2,
        prompt_tokens: 6,
        cached_tokens: 2,
        completion_tokens: 10,
        wafer_seconds: 1,
        wafer_joules: 5,
      };
      expect(await records.usage({ from: 7200, to: 10_800, tenant: 'a' })).toEqual([total(two), long]);
    });
  });
}

// An admin API over a tiny engine, whose clock stands and whose keys are no secrets.

import { createRng, createVirtualClock, IngotError, seconds } from '../src/core/index.ts';
import { createAdminApi, createMemoryRecords, openAccess, type KeyTools } from '../src/runtime/index.ts';
import { keyTools } from '../src/runtime/index.node.ts';
import { createTestApi } from '../src/runtime/testing/test-api.ts';

export const ADMIN_KEY = 'the-key-of-the-admin-0123456789abcdef';

export async function createTestAdmin() {
  // 2026-01-01T00:00:00Z.
  const clock = createVirtualClock(seconds(1_767_225_600));
  const records = createMemoryRecords();
  let made = 0;
  const tools: KeyTools = { ...keyTools, newName: () => `name${++made}`, newSecret: () => 'secret'.repeat(7) };
  const access = await openAccess({ records, clock, tools });
  const { registry, api: served } = createTestApi();
  const api = createAdminApi({
    registry,
    access,
    records,
    metrics: served.metrics,
    async open({ model }, id = 'other') {
      if (model === './broken') {
        throw new IngotError({
          code: 'CHECKPOINT_FOLDER_MISSING',
          message: 'there is no such folder',
          where: model,
          suggestion: 'check the path',
        });
      }
      const { engine, tokenizer } = createTestApi();
      return {
        model: { id, created: 0, ownedBy: 'ingot', engine, tokenizer, eos: [] },
        close: () => engine.close(),
      };
    },
    idOf: ({ model }) => model?.split('/').at(-1) ?? 'shipped',
    flush: () => Promise.resolve(),
    tools,
    adminHash: tools.hash(ADMIN_KEY),
    clock,
    rng: createRng(1),
  });
  return { api, access, records, registry, clock };
}

// docs/telemetry.md lists every metric as the code has it: name, type, labels.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parseExposition } from '../../src/runtime/testing/prometheus-lint.ts';
import { call, createTestApi, TEST_MODEL } from '../../src/runtime/testing/test-api.ts';

const text = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'telemetry.md'), 'utf8');
const rows = [...text.matchAll(/^\| `((?:ingot_|vllm:)\w+)` \| (\w+) \| ([\w, ]*?) ?\| (.+) \|$/gm)].map(
  ([, name, type, labels, help]) => ({ name, type, labels: labels.split(', ').filter((label) => label !== ''), help }),
);

it('docs/telemetry.md names every metric of both endpoints, its type, labels and meaning', async () => {
  const { api } = createTestApi();
  const messages = [{ role: 'user', content: 'x' }];
  await call(api, '/v1/chat/completions', { model: TEST_MODEL, messages, max_tokens: 3, ignore_eos: true });
  const families = [];
  for (const path of ['/metrics', '/metrics/vllm']) families.push(...parseExposition((await call(api, path)).text));
  expect(rows.map(({ name }) => name)).toEqual(families.map(({ name }) => name));
  for (const [i, { name, type, help, samples }] of families.entries()) {
    expect([name, rows[i].type, rows[i].help]).toEqual([name, type, help.replace(/\.$/, '')]);
    const shared = name.startsWith('vllm:') && name !== 'vllm:lora_requests_info' ? ['model_name', 'engine'] : [];
    for (const { labels } of samples) {
      const own = Object.keys(labels).filter((label) => label !== 'le' && !shared.includes(label));
      expect(own.sort(), name).toEqual([...rows[i].labels].sort());
    }
  }
});

// Urgency, deadlines and promised latencies, as clients send what their types do not know.

import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import type { EngineRequest } from '../../src/runtime/index.ts';
import { call, createTestApi, TEST_MODEL } from '../../src/runtime/testing/test-api.ts';
import { listen, soon } from './served.ts';

const base = { model: TEST_MODEL, messages: [{ role: 'user' as const, content: 'the wafer' }], max_tokens: 4 };

/** With what the engine was asked. */
async function serve(...options: Parameters<typeof createTestApi>) {
  const asked: EngineRequest[] = [];
  const test = createTestApi(options[0], options[1], {
    ...options[2],
    onRequest: (record) => record.asked && asked.push(record.asked.request),
  });
  const server = await listen({ api: test.api });
  const client = new OpenAI({ apiKey: 'none', baseURL: `${server.url}/v1`, maxRetries: 0 });
  /** Extra members of the body, as `extra_body` of the Python client sends them. */
  const create = (extra: object, headers: Record<string, string> = {}) =>
    client.chat.completions.create({ ...base, ...extra } as typeof base, { headers });
  return { ...test, client, create, asked };
}

describe('what a request may say of its urgency', () => {
  it('reaches the engine from body and headers, of every endpoint', async () => {
    const { create, client, asked, clock } = await serve();
    const extra = { priority: 2, deadline_ms: 5000, slo: { ttft_ms: 50, tpot_ms: 2.5 } };
    const deadline = clock.now() + 5;
    const of = { priority: 2, deadline, targets: { ttft: 0.05, tpot: 0.0025 } };
    await create(extra);
    await client.completions.create({ model: TEST_MODEL, prompt: 'x', ...extra } as { model: string; prompt: string });
    await client.embeddings.create({ model: TEST_MODEL, input: 'x', ...extra } as { model: string; input: string });
    await client.responses.create({ model: TEST_MODEL, input: 'x', ...extra } as { model: string; input: string });
    expect(asked).toEqual(Array.from({ length: 4 }, () => expect.objectContaining(of)));
    await create({ service_tier: 'flex', priority: -3 }, { 'x-slo-ttft-ms': '40' });
    // What is not said is what is usual.
    expect(asked.at(-1)).toMatchObject({ priority: -2, targets: { ttft: 0.04, tpot: 0.1 } });
    await create({ slo: { ttft_ms: 30 } }, { 'x-slo-ttft-ms': '40', 'x-slo-tpot-ms': '7' });
    expect(asked.at(-1)).toMatchObject({ targets: { ttft: 0.03, tpot: 0.007 } });
    await create({});
    expect(asked.at(-1)).toMatchObject({ priority: 0 });
    expect(asked.at(-1)).not.toHaveProperty('targets');
    expect(asked.at(-1)).not.toHaveProperty('deadline');
  });

  it.each<[object, Record<string, string>, string]>([
    [{ priority: 11 }, {}, 'priority'],
    [{ priority: 0.5 }, {}, 'priority'],
    [{ deadline_ms: 0 }, {}, 'deadline_ms'],
    [{ slo: { ttft_ms: -1 } }, {}, 'slo'],
    [{ slo: { itl_ms: 1 } }, {}, 'slo'],
    [{}, { 'x-slo-tpot-ms': 'soon' }, 'x-slo-tpot-ms'],
    [{ deadline: 4 }, {}, 'deadline'],
  ])('%j %j is refused', async (extra, headers, param) => {
    const { create } = await serve();
    await expect(create(extra, headers)).rejects.toMatchObject({ status: 400, param });
  });

  it('what the server promises holds for those that say nothing, and bounds those that say much', async () => {
    const promises = { targets: { ttft: 0.5 }, deadline: 3 } as const;
    const { create, asked, clock } = await serve({}, {}, { promises: promises as object });
    await create({});
    expect(asked[0]).toMatchObject({ targets: { ttft: 0.5, tpot: 0.1 }, deadline: clock.now() + 3 });
    await create({ deadline_ms: 60_000, slo: { ttft_ms: 1 } });
    expect(asked[1]).toMatchObject({ targets: { ttft: 0.001 }, deadline: clock.now() + 3 });
    await create({ deadline_ms: 1000 });
    expect(asked[2]).toMatchObject({ deadline: clock.now() + 1 });
  });

  it('a deadline ends an answer with an error, and gives its blocks back', async () => {
    const slow = { onStep: () => soon(2) };
    // The clock moves a tenth of a second at every look.
    const { create, engine } = await serve(slow, {}, { tick: 0.1 });
    const late = create({ deadline_ms: 2000, max_tokens: 200, ignore_eos: true });
    await expect(late).rejects.toMatchObject({ status: 504, code: 'deadline_exceeded' });
    expect(engine.counts).toMatchObject({ running: 0, waiting: 0, blocksUsed: 0 });
  });

  it('kept and broken promises are counted', async () => {
    const { create, api } = await serve({}, {}, { tick: 0.01 });
    await create({ slo: { ttft_ms: 60_000, tpot_ms: 0.001 }, ignore_eos: true });
    await create({});
    const { text } = await call(api, '/metrics');
    const lines = text.split('\n').filter((line) => line.startsWith('ingot_slo_answers_total{'));
    expect(lines.toSorted()).toEqual(
      [
        `ingot_slo_answers_total{model="${TEST_MODEL}",target="tpot",kept="false"} 1`,
        `ingot_slo_answers_total{model="${TEST_MODEL}",target="ttft",kept="true"} 1`,
      ].toSorted(),
    );
  });
});

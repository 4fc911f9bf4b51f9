import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { createRng, createVirtualClock, seconds } from '../../core/index.ts';
import { createApi } from '../http/api.ts';
import { inconsistent, lint, parseExposition, type Family } from '../testing/prometheus-lint.ts';
import { call, createTestApi, TEST_MODEL } from '../testing/test-api.ts';
import { boundedLabel, OTHER } from './bounded-label.ts';
import { createRegistry } from '../registry/index.ts';
import { createApiMetrics, MAX_TENANT_LABELS } from './metrics.ts';
import { testAccount } from '../testing/test-account.ts';

const CHAT = '/v1/chat/completions';
const chat = (over: object = {}): object => ({
  model: TEST_MODEL,
  messages: [{ role: 'user', content: 'the wafer' }],
  max_tokens: 6,
  seed: 1,
  ignore_eos: true,
  ...over,
});

/** After answers whole and streamed, choices, a refusal and a client that leaves. */
async function used() {
  const test = createTestApi({}, { prefixCache: false }, { tick: 1e-5 });
  const { api } = test;
  await call(api, CHAT, chat({ n: 2 }));
  await call(api, CHAT, chat({ stream: true }));
  await call(api, CHAT, chat({ max_tokens: 4000 }));
  const aborter = new AbortController();
  aborter.abort();
  await call(api, CHAT, chat(), { signal: aborter.signal });
  return test;
}

const of = (families: readonly Family[], name: string): Family => {
  const family = families.find((each) => each.name === name);
  if (family === undefined) throw new Error(`no ${name}`);
  return family;
};
const value = (families: readonly Family[], name: string, labels: object = {}, sample = name): number => {
  const found = of(families, name).samples.filter(
    (each) => each.name === sample && Object.entries(labels).every(([key, text]) => each.labels[key] === text),
  );
  expect(found.length).toBe(1);
  return found[0].value;
};

describe('/metrics', () => {
  it('lints clean, and its histograms agree with themselves', async () => {
    const { text } = await call((await used()).api, '/metrics');
    const families = parseExposition(text);
    expect(families.length).toBeGreaterThan(35);
    expect(lint(families)).toEqual([]);
    expect(inconsistent(families)).toEqual([]);
    for (const { name, samples } of families) {
      expect(name).toMatch(/^ingot_[a-z_]+$/);
      for (const { labels } of samples) {
        const known = ['model', 'route', 'status', 'reason', 'outcome', 'tenant', 'le', 'cause', 'stage', 'wafer'];
        expect(Object.keys(labels).filter((label) => !known.includes(label))).toEqual([]);
      }
    }
  });

  it('is accepted by promtool, where this machine has it', async (test) => {
    if (spawnSync('promtool', ['--version']).error !== undefined) test.skip('no promtool here');
    const { text } = await call((await used()).api, '/metrics');
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
    expect(`${stdout}${stderr}`).toBe('');
    expect(status).toBe(0);
  });

  it('tells apart 50 µs and less, 100 µs, 200 µs, on both clocks, and counts outcomes', async () => {
    const { api } = await used();
    const families = parseExposition((await call(api, '/metrics')).text);
    for (const name of [
      'time_to_first_token',
      'inter_token_latency',
      'time_per_output_token',
      'answer_duration',
      'queue_time',
      'step_duration',
    ]) {
      for (const prefix of ['ingot_', 'ingot_simulated_wafer_']) {
        const family = `${prefix}${name}_seconds`;
        for (const le of ['0.00005', '0.0001', '0.0002']) value(families, family, { le }, `${family}_bucket`);
        expect(value(families, family, {}, `${family}_count`)).toBeGreaterThan(0);
      }
    }
    // Three answers of 6 tokens and one of which the client left before it began.
    expect(
      value(families, 'ingot_time_per_output_token_seconds', {}, 'ingot_time_per_output_token_seconds_count'),
    ).toBe(3);
    expect(value(families, 'ingot_requests_total', { outcome: 'ok' })).toBe(2);
    expect(value(families, 'ingot_requests_total', { outcome: 'refused' })).toBe(1);
    expect(value(families, 'ingot_requests_total', { outcome: 'cancelled' })).toBe(1);
    // Simulated: each step is 10 µs and 0.1 µs a token.
    const steps = value(families, 'ingot_engine_steps_total');
    const step = 'ingot_simulated_wafer_step_duration_seconds';
    expect(value(families, step, {}, `${step}_count`)).toBe(steps);
    expect(value(families, step, {}, `${step}_sum`)).toBeCloseTo(
      value(families, 'ingot_simulated_wafer_busy_seconds_total'),
      12,
    );
  });

  it('accounts tenants exactly, and bounds how many have series', () => {
    const { engine } = createTestApi();
    const metrics = createApiMetrics(() => [{ id: 'm', engine }]);
    const record = (tenant: string, promptTokens: number, generated: number) => ({
      id: 'r',
      method: 'POST',
      route: CHAT,
      status: 200,
      outcome: 'ok' as const,
      answers: [],
      received: seconds(0),
      ended: seconds(1),
      account: testAccount({ promptTokens, generatedTokens: generated }),
      asked: {
        model: 'm',
        operation: 'chat' as const,
        stream: false,
        promptTokens,
        request: { prompts: [[1]], sampling: { temperature: 1 }, seed: 0, tenant },
      },
    });
    for (let i = 0; i < MAX_TENANT_LABELS + 50; i++) metrics.ended(record(`tenant-${i}`, 3, 5));
    metrics.ended(record('tenant-0', 10, 20));
    return metrics.text().then((text) => {
      const families = parseExposition(text);
      const tokens = 'ingot_tenant_generated_tokens_total';
      expect(of(families, tokens).samples.length).toBe(MAX_TENANT_LABELS + 1);
      expect(value(families, tokens, { tenant: 'tenant-0' })).toBe(25);
      expect(value(families, tokens, { tenant: OTHER })).toBe(250);
      expect(value(families, 'ingot_tenant_prompt_tokens_total', { tenant: OTHER })).toBe(150);
      expect(value(families, 'ingot_tenant_requests_total', { tenant: 'tenant-0' })).toBe(2);
    });
  });

  it('keeps a label that it knows when the bound is reached', () => {
    const bound = boundedLabel(2);
    expect(['a', 'b', 'c', 'a', 'd'].map(bound)).toEqual(['a', 'b', OTHER, 'a', OTHER]);
  });
});

describe('the lint', () => {
  it('finds what promtool finds', () => {
    const bad = [
      '# HELP a_milliseconds x\n# TYPE a_milliseconds gauge\na_milliseconds 1',
      '# HELP a:b x\n# TYPE a:b gauge\na:b 1',
      '# HELP a x\n# TYPE a counter\na 1',
      '# HELP a_total x\n# TYPE a_total gauge\na_total 1',
      '# HELP a_gauge x\n# TYPE a_gauge gauge\na_gauge 1',
      '# TYPE a gauge\na 1',
      '# HELP a_ms x\n# TYPE a_ms gauge\na_ms 1',
      '# HELP a x\n# TYPE a gauge\na{le="1"} 1',
      '# HELP a_percent x\n# TYPE a_percent gauge\na_percent 1',
      '# HELP aB x\n# TYPE aB gauge\naB 1',
      '# HELP a_count x\n# TYPE a_count gauge\na_count 1',
    ];
    for (const text of bad) expect(lint(parseExposition(text)).length, text).toBe(1);
    const broken = '# HELP h x\n# TYPE h histogram\nh_bucket{le="1"} 3\nh_bucket{le="+Inf"} 2\nh_sum 1\nh_count 2';
    expect(inconsistent(parseExposition(broken)).length).toBe(1);
  });
});

describe('/metrics/vllm', () => {
  /** Name and type of what vLLM serves and dashboards ask for. */
  const names: Readonly<Record<string, string>> = {
    'vllm:num_requests_running': 'gauge',
    'vllm:num_requests_waiting': 'gauge',
    'vllm:kv_cache_usage_perc': 'gauge',
    'vllm:gpu_cache_usage_perc': 'gauge',
    'vllm:prompt_tokens_total': 'counter',
    'vllm:generation_tokens_total': 'counter',
    'vllm:request_success_total': 'counter',
    'vllm:num_preemptions_total': 'counter',
    'vllm:prefix_cache_queries': 'counter',
    'vllm:prefix_cache_hits': 'counter',
    'vllm:prefix_cache_queries_total': 'counter',
    'vllm:prefix_cache_hits_total': 'counter',
    'vllm:spec_decode_num_draft_tokens_total': 'counter',
    'vllm:spec_decode_num_accepted_tokens_total': 'counter',
    'vllm:time_to_first_token_seconds': 'histogram',
    'vllm:inter_token_latency_seconds': 'histogram',
    'vllm:time_per_output_token_seconds': 'histogram',
    'vllm:request_time_per_output_token_seconds': 'histogram',
    'vllm:e2e_request_latency_seconds': 'histogram',
    'vllm:request_queue_time_seconds': 'histogram',
    'vllm:request_inference_time_seconds': 'histogram',
    'vllm:request_prefill_time_seconds': 'histogram',
    'vllm:request_decode_time_seconds': 'histogram',
    'vllm:request_prompt_tokens': 'histogram',
    'vllm:request_generation_tokens': 'histogram',
    'vllm:request_max_num_generation_tokens': 'histogram',
    'vllm:request_params_n': 'histogram',
    'vllm:request_params_max_tokens': 'histogram',
    'vllm:iteration_tokens_total': 'histogram',
    'vllm:cache_config_info': 'gauge',
    'vllm:lora_requests_info': 'gauge',
  };

  it('has every name, of its type, with the labels of vLLM', async () => {
    const { api } = await used();
    const families = parseExposition((await call(api, '/metrics/vllm')).text);
    expect(Object.fromEntries(families.map(({ name, type }) => [name, type]))).toEqual(names);
    expect(inconsistent(families)).toEqual([]);
    for (const { name, samples } of families) {
      expect(samples.length, name).toBeGreaterThan(0);
      if (name === 'vllm:lora_requests_info') continue;
      for (const { labels } of samples) expect(labels).toMatchObject({ model_name: TEST_MODEL, engine: '0' });
    }
  });

  it('counts what was done', async () => {
    const { api, engine } = await used();
    const families = parseExposition((await call(api, '/metrics/vllm')).text);
    const { blocks, steps, computedTokens } = engine.counts;
    const sum = (name: string, part: 'sum' | 'count'): number => value(families, name, {}, `${name}_${part}`);
    expect(value(families, 'vllm:generation_tokens_total')).toBe(18);
    expect(value(families, 'vllm:request_success_total', { finished_reason: 'length' })).toBe(3);
    // The client that left asked too: 5 tokens of its prompt were never processed.
    expect(value(families, 'vllm:prompt_tokens_total')).toBe(15);
    expect(sum('vllm:request_prompt_tokens', 'count')).toBe(4);
    expect(sum('vllm:request_generation_tokens', 'sum')).toBe(18);
    expect(sum('vllm:request_max_num_generation_tokens', 'sum')).toBe(12);
    expect(sum('vllm:request_params_n', 'sum')).toBe(5);
    expect(sum('vllm:iteration_tokens_total', 'count')).toBe(steps);
    expect(sum('vllm:iteration_tokens_total', 'sum')).toBe(computedTokens);
    const config = of(families, 'vllm:cache_config_info').samples[0];
    expect(config).toMatchObject({ value: 1, labels: { block_size: '4', num_gpu_blocks: String(blocks) } });
    const [inference, prefill, decode] = ['inference', 'prefill', 'decode'].map((part) =>
      sum(`vllm:request_${part}_time_seconds`, 'sum'),
    );
    expect(prefill + decode).toBeCloseTo(inference, 9);
    expect(decode).toBeCloseTo(sum('vllm:inter_token_latency_seconds', 'sum'), 9);
  });

  it('shows KV blocks in use while a request runs', async () => {
    let during = '';
    const test = createTestApi({
      onStep: async () => {
        if (test.executor.steps === 3) during = (await call(test.api, '/metrics/vllm')).text;
      },
    });
    await call(test.api, CHAT, chat());
    const families = parseExposition(during);
    expect(value(families, 'vllm:num_requests_running')).toBe(1);
    // 5 tokens of the prompt and 2 of the answer, in blocks of 4.
    expect(value(families, 'vllm:kv_cache_usage_perc')).toBe(2 / 128);
    expect(value(families, 'vllm:gpu_cache_usage_perc')).toBe(2 / 128);
  });
});

describe('readiness', () => {
  it('is lost while the queue is full, and health is not', async () => {
    let during: number[] = [];
    let second: Promise<unknown> | undefined;
    const test = createTestApi(
      {
        onStep: async () => {
          if (second !== undefined) return;
          second = call(test.api, CHAT, chat({ max_tokens: 1 }));
          // Its prompt is encoded in turns of the event loop.
          while (test.engine.counts.waiting === 0) await new Promise((resolve) => setImmediate(resolve));
          const paths = ['/ready', '/health'];
          during = await Promise.all(paths.map(async (path) => (await call(test.api, path)).status));
        },
      },
      { maxWaiting: 1, maxRunning: 1 },
    );
    const ready = { status: 200, text: `{"status":"ready","models":["${TEST_MODEL}"]}` };
    expect(await call(test.api, '/ready')).toMatchObject(ready);
    await call(test.api, CHAT, chat({ max_tokens: 1 }));
    await second;
    expect(during).toEqual([503, 200]);
    expect(await call(test.api, '/ready')).toMatchObject(ready);
    const clock = createVirtualClock();
    const empty = createApi({ registry: createRegistry({ clock }), clock, rng: createRng(1) });
    expect(await call(empty, '/ready')).toMatchObject({ status: 503, text: '{"status":"busy","models":[]}' });
    expect((await call(empty, '/health')).status).toBe(200);
  });
});

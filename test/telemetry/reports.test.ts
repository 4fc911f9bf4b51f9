import { describe, expect, it } from 'vitest';
import { call, createTestApi, TEST_MODEL } from '../../src/runtime/testing/test-api.ts';
import { openReports, type ReportOptions } from '../../src/app/telemetry/reports.ts';

const chat = (over: object = {}): object => ({
  model: TEST_MODEL,
  messages: [{ role: 'user', content: 'a secret' }],
  max_tokens: 6,
  seed: 1,
  ignore_eos: true,
  ...over,
});

async function logged(options: Partial<ReportOptions>, keepBodies = false) {
  const lines: string[] = [];
  const reports = await openReports({ log: 'json', level: 'info', write: (line) => lines.push(line), ...options });
  const test = createTestApi(
    { onStep: () => (test.executor.steps === 30 ? Promise.reject(new Error('lost')) : undefined) },
    { prefixCache: false },
    { tick: 1e-3, onRequest: reports.onRequest, keepBodies },
  );
  const post = (body: object, signal?: AbortSignal) =>
    call(test.api, '/v1/chat/completions', body, signal === undefined ? {} : { signal });
  await post(chat());
  await post(chat({ stream: true, n: 2 }));
  await post(chat({ model: 'nobody' }));
  await post(chat(), AbortSignal.abort());
  await post(chat({ max_tokens: 100 }));
  await call(test.api, '/health');
  await reports.close();
  return lines;
}

describe('the log', () => {
  it('has one line for each request, as JSON, whatever became of it', async () => {
    const lines = await logged({});
    expect(lines.every((line) => line.endsWith('}\n') && !line.slice(0, -1).includes('\n'))).toBe(true);
    const entries = lines.map((line) => JSON.parse(line));
    expect(entries.map(({ level, outcome, status, code }) => [level, outcome, status, code])).toEqual([
      ['info', 'ok', 200, undefined],
      ['info', 'ok', 200, undefined],
      ['warn', 'refused', 404, 'model_not_found'],
      ['warn', 'cancelled', 499, 'request_cancelled'],
      ['error', 'failed', 500, 'executor_failed'],
      ['info', 'ok', 200, undefined],
    ]);
    expect(new Set(entries.map(({ request_id }) => request_id)).size).toBe(6);
    expect(entries[1]).toMatchObject({
      time: expect.stringMatching(/^2026-01-01T00:00:0\d\.\d{3}Z$/),
      message: 'request',
      method: 'POST',
      route: '/v1/chat/completions',
      model: TEST_MODEL,
      stream: true,
      prompt_tokens: 11,
      generated_tokens: 12,
      finish_reasons: ['length', 'length'],
      // Two prompts of 11 tokens in one step: 10 µs and 0.1 µs a token.
      simulated_wafer: { time_to_first_token_seconds: 12.2e-6, time_per_output_token_seconds: 10.2e-6 },
    });
    const { queue_seconds, time_to_first_token_seconds, answer_seconds, duration_seconds } = entries[0];
    expect(queue_seconds).toBeLessThan(time_to_first_token_seconds);
    expect(time_to_first_token_seconds).toBeLessThan(answer_seconds);
    expect(answer_seconds).toBeLessThanOrEqual(duration_seconds);
    // The failed one had answers in progress, whose tokens count.
    expect(entries[4].generated_tokens).toBeGreaterThan(0);
    expect(entries[5]).not.toHaveProperty('model');
  });

  it('has no text of prompts or answers, unless asked for', async () => {
    expect((await logged({})).join('')).not.toContain('secret');
    const asked = JSON.parse((await logged({}, true))[0]);
    expect(asked.prompt).toEqual([{ role: 'user', content: 'a secret' }]);
  });

  it('can be of words, of what is bad only, or none', async () => {
    const lines = await logged({ log: 'text' });
    expect(lines[0]).toMatch(
      /^2026-\S+ info POST \/v1\/chat\/completions 200 ok request_id=req_\w+ duration_seconds=[\d.]+ model=ingot-test stream=false prompt_tokens=11 .*wafer_time_to_first_token_seconds=0.0000111/,
    );
    expect((await logged({ level: 'warn' })).length).toBe(3);
    expect((await logged({ level: 'error' })).length).toBe(1);
    expect(await logged({ log: 'none' })).toEqual([]);
  });
});

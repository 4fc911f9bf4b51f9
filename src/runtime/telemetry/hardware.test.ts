import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seconds } from '../../core/index.ts';
import type { StepRecord } from '../step-model.ts';
import { parseExposition } from '../testing/prometheus-lint.ts';
import { call, createTestApi, TEST_MODEL, testHardware } from '../testing/test-api.ts';
import { createHardwareHistory, MAX_REQUESTS } from './hardware-endpoint.ts';
import { createHardwareMonitor, MAX_WINDOWS, WINDOW_SECONDS } from './hardware-monitor.ts';
import { testAccount } from '../testing/test-account.ts';

const body = { model: TEST_MODEL, prompt: 'the wafer', max_tokens: 6, seed: 1, ignore_eos: true };

const step = (from: number, time: number, tokens: number, cached: number): StepRecord => ({
  work: { tokens, cached: tokens * cached + (tokens * (tokens - 1)) / 2, logits: 1 },
  server: { from: seconds(100 + from), to: seconds(100 + from + 2 * time) },
  wafer: { from: seconds(from), to: seconds(from + time) },
  busy: () => [time / 2, time / 4],
});

describe('windows', () => {
  const steps = fc.array(
    fc.tuple(fc.double({ min: 1e-5, max: 0.35, noNaN: true }), fc.integer({ min: 1, max: 50 }), fc.nat(500)),
    { minLength: 1, maxLength: 60 },
  );

  it('add up to what was done: tokens, time and energy; a step that spans two is split', () =>
    fc.assert(
      fc.property(steps, (given) => {
        const monitor = createHardwareMonitor(testHardware);
        let at = 0;
        for (const [time, tokens, cached] of given) {
          monitor.stepped(step(at, time, tokens, cached));
          at += time;
        }
        const windows = monitor.windows(seconds(0), monitor.now);
        const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
        expect(sum(windows.map(({ tokens }) => tokens))).toBeCloseTo(sum(given.map(([, tokens]) => tokens)), 6);
        expect(sum(windows.map(({ from, to }) => to - from))).toBeCloseTo(at, 9);
        windows.forEach(({ to, isComplete }, i) => {
          expect(isComplete).toBe(i < windows.length - 1);
          if (i > 0) expect(windows[i].from).toBeCloseTo(windows[i - 1].to, 9);
          expect(to).toBeGreaterThan(windows[i].from);
        });
        const energy = monitor.energy();
        for (const cause of ['idle', 'elements', 'fabric', 'offWafer'] as const) {
          const joules = sum(windows.map(({ from, to, state }) => (to - from) * state.power[cause]));
          expect(joules).toBeCloseTo(energy[cause], 6);
        }
        // Half of each step the first stage was busy, a quarter the second.
        for (const { state } of windows) {
          expect(state.stages[0].busy).toBeCloseTo(0.5, 6);
          expect(state.stages[1].busy).toBeCloseTo(0.25, 6);
        }
      }),
      { numRuns: 50 },
    ));

  it('counts the tokens behind each token of a prompt', () => {
    const monitor = createHardwareMonitor(testHardware);
    monitor.stepped(step(0, 0.01, 4, 10));
    // 10 + 11 + 12 + 13 cached; the test machine's elements take 1 µJ a token and 1 nJ for each behind it.
    expect(monitor.energy().elements).toBeCloseTo(4e-6 + 46e-9, 12);
  });

  it('are bounded: the oldest go, and a step of an hour keeps the last of it', () => {
    const monitor = createHardwareMonitor(testHardware);
    const long = 3 * MAX_WINDOWS * WINDOW_SECONDS;
    for (let i = 0; i < 3 * MAX_WINDOWS; i++) monitor.stepped(step(i * WINDOW_SECONDS, WINDOW_SECONDS, 1, 0));
    expect(monitor.windows(seconds(0), seconds(long)).length).toBeLessThanOrEqual(MAX_WINDOWS);
    expect(monitor.windows(seconds(0), seconds(1))).toEqual([]);
    expect(monitor.oldest).toBeGreaterThan(long - (MAX_WINDOWS + 1) * WINDOW_SECONDS);
    monitor.stepped(step(long, 3600, 1, 0));
    expect(monitor.windows(seconds(0), monitor.now).length).toBeLessThanOrEqual(MAX_WINDOWS);
    expect(monitor.energy().idle).toBeCloseTo(100 * (long + 3600), 3);
  });
});

describe('the endpoints', () => {
  const slow = { step: () => ({ time: seconds(0.04), energy: 4, busy: () => [0.02, 0.01] }), basis: 'test' };
  const used = async () => {
    const test = createTestApi({}, { stepModel: slow as never, prefixCache: false });
    const responses = [];
    for (let i = 0; i < 3; i++) responses.push(await call(test.api, '/v1/completions', body));
    const get = async (path: string) => {
      const [plain, query = ''] = path.split('?');
      const response = await test.api.handle({
        method: 'GET',
        path: plain,
        query,
        body: '',
        signal: new AbortController().signal,
      });
      return { status: response.status, json: JSON.parse(response.body as string) };
    };
    return { ...test, get, ids: responses.map(({ headers }) => headers['x-request-id']) };
  };

  it('gives windows by time, with everything that they rest on', async () => {
    const { get } = await used();
    const { json, status } = await get('/v1/telemetry/hardware');
    expect(status).toBe(200);
    // 3 answers of 6 steps of 40 ms.
    expect(json).toMatchObject({ object: 'telemetry.hardware', simulated: true, model: TEST_MODEL, basis: 'test' });
    expect(json.clock).toEqual({ now: expect.closeTo(0.72, 9), oldest: 0, window: WINDOW_SECONDS });
    expect(json.data.length).toBe(8);
    expect(json.data[0]).toMatchObject({ from: 0, to: 0.1, is_complete: true, clock_scale: 1, watts: { idle: 100 } });
    expect(json.data[0].busy[0]).toBeCloseTo(0.5, 9);
    const some = await get('/v1/telemetry/hardware?from=0.15&to=0.35');
    expect(some.json.data.map(({ from }: { from: number }) => from)).toEqual([0.1, 0.2, expect.closeTo(0.3, 9)]);
  });

  it('gives a request the windows that overlap it, by its x-request-id', async () => {
    const { get, ids } = await used();
    for (const [i, id] of ids.entries()) {
      const { json } = await get(`/v1/telemetry/requests/${id}`);
      expect(json).toMatchObject({ id, outcome: 'ok', is_whole: true, usage: { completion_tokens: 6 } });
      expect(json.wafer).toEqual({ from: expect.closeTo(0.24 * i, 9), to: expect.closeTo(0.24 * (i + 1), 9) });
      const windows: { from: number; to: number }[] = json.hardware.data;
      expect(windows[0].from).toBeLessThanOrEqual(0.24 * i);
      expect(windows.at(-1)?.to).toBeGreaterThanOrEqual(0.24 * (i + 1) - 1e-9);
      for (const { from, to } of windows) expect(from < 0.24 * (i + 1) + 1e-9 && to > 0.24 * i - 1e-9).toBe(true);
    }
  });

  it('refuses what it does not know', async () => {
    const { get } = await used();
    for (const [path, status, code] of [
      ['/v1/telemetry/requests/nobody', 404, 'request_not_found'],
      ['/v1/telemetry/hardware?model=nobody', 404, 'hardware_not_simulated'],
      ['/v1/telemetry/hardware?from=x', 400, 'invalid_value'],
      ['/v1/telemetry/hardware?from=-1', 400, 'invalid_value'],
      ['/v1/telemetry/hardware?from=2&to=1', 400, 'invalid_value'],
      ['/v1/telemetry/hardware?since=1', 400, 'unknown_parameter'],
    ] as const) {
      const { json, status: found } = await get(path);
      expect([found, json.error.code], path).toEqual([status, code]);
    }
  });

  it('shows nobody the requests of another tenant, whose ids may be the same', () => {
    const monitor = createHardwareMonitor(testHardware);
    const history = createHardwareHistory(() => []);
    for (const [tenant, generated] of [
      ['a', 1],
      ['b', 2],
    ] as const) {
      const request = { prompts: [[1]], sampling: { temperature: 1 }, seed: 0, tenant };
      const asked = { model: 'm', operation: 'chat' as const, stream: false, promptTokens: 1, request };
      const times = { received: seconds(0), ended: seconds(1), wafer: { from: seconds(0), to: seconds(0) } };
      const head = { id: 'same', method: 'POST', route: '/', status: 200, outcome: 'ok' as const };
      history.ended(
        { ...head, ...times, asked, account: testAccount({ generatedTokens: generated }), answers: [] },
        monitor,
      );
    }
    expect(history.byRequest('same', 'a')).toMatchObject({ tenant: 'a', usage: { completion_tokens: 1 } });
    expect(history.byRequest('same', 'b')).toMatchObject({ tenant: 'b', usage: { completion_tokens: 2 } });
    for (const other of ['c', undefined]) expect(() => history.byRequest('same', other)).toThrow('No request');
  });

  it('keeps the last requests only', async () => {
    const { api, get, ids } = await used();
    for (let i = 0; i < MAX_REQUESTS; i++) await call(api, '/v1/completions', { ...body, max_tokens: 1 });
    expect((await get(`/v1/telemetry/requests/${ids[0]}`)).status).toBe(404);
  });

  it('shows gauges at rest when nothing runs, and what was spent', async () => {
    const { api } = await used();
    const families = parseExposition((await call(api, '/metrics')).text);
    const watts = families.find(({ name }) => name === 'ingot_simulated_power_watts');
    expect(watts?.samples.map(({ labels, value }) => [labels['cause'], value])).toEqual([
      ['idle', 100],
      ['elements', 0],
      ['fabric', 0],
      ['off_wafer', 0],
    ]);
    const joules = families.find(({ name }) => name === 'ingot_simulated_energy_joules_total');
    expect(joules?.samples[0].value).toBeCloseTo(100 * 0.72, 9);
    const busy = families.find(({ name }) => name === 'ingot_simulated_region_busy_ratio');
    expect(busy?.samples.map(({ labels }) => labels['stage'])).toEqual(['0', '1']);
  });
});

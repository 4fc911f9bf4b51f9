// One transcript per endpoint and per kind of refusal, as a person would see it on the wire. Names of
// requests are replaced; times come from the test clock, so they are the same in every run.
import { describe, it } from 'vitest';

import { chatTemplates } from '../../src/runtime/testing/chat-templates.ts';
import { call, createTestApi, TEST_MODEL, type Transcript } from '../../src/runtime/testing/test-api.ts';
import { expectGolden } from '../golden.ts';

interface Exchange {
  readonly method?: string;
  readonly path: string;
  readonly body?: unknown;
}

const chat = { model: TEST_MODEL, messages: [{ role: 'user', content: 'the wafer' }], max_tokens: 4, seed: 7 };
const completion = { model: TEST_MODEL, prompt: 'the wafer', max_tokens: 4, seed: 7 };
const post = (path: string, body: unknown): Exchange => ({ method: 'POST', path, body });

const response = { model: TEST_MODEL, input: 'the wafer', max_output_tokens: 4, seed: 7 };
const answerSchema = {
  type: 'object',
  properties: { color: { enum: ['red', 'green'] }, count: { type: 'integer', minimum: 3, maximum: 12 } },
  required: ['color', 'count'],
  additionalProperties: false,
};
const tools = [{ type: 'function', function: { name: 'paint', parameters: answerSchema } }];
/** Against a model whose template knows tools and thoughts. */
const toolExchanges: Readonly<Record<string, Exchange>> = {
  'chat-tools': post('/v1/chat/completions', {
    ...chat,
    max_tokens: 120,
    tools,
    tool_choice: 'required',
    parallel_tool_calls: false,
  }),
  'chat-tools-stream': post('/v1/chat/completions', {
    ...chat,
    max_tokens: 120,
    tools,
    tool_choice: 'required',
    parallel_tool_calls: false,
    stream: true,
  }),
  'responses-tools-stream': post('/v1/responses', {
    ...response,
    max_output_tokens: 120,
    tools: tools.map((tool) => ({ type: 'function', ...tool.function })),
    tool_choice: 'required',
    parallel_tool_calls: false,
    stream: true,
  }),
};

const exchanges: Readonly<Record<string, Exchange>> = {
  'models-list': { path: '/v1/models' },
  'models-one': { path: `/v1/models/${TEST_MODEL}` },
  chat: post('/v1/chat/completions', chat),
  'chat-stream': post('/v1/chat/completions', { ...chat, stream: true }),
  'chat-stream-usage-logprobs': post('/v1/chat/completions', {
    ...chat,
    stream: true,
    stream_options: { include_usage: true },
    logprobs: true,
    top_logprobs: 1,
  }),
  completion: post('/v1/completions', { ...completion, logprobs: 1 }),
  'completion-stream': post('/v1/completions', { ...completion, stream: true, echo: true }),
  responses: post('/v1/responses', response),
  'responses-stream': post('/v1/responses', { ...response, stream: true }),
  embeddings: post('/v1/embeddings', { model: TEST_MODEL, input: 'the wafer' }),
  'chat-json-schema': post('/v1/chat/completions', {
    ...chat,
    max_tokens: 40,
    response_format: { type: 'json_schema', json_schema: { name: 'answer', schema: answerSchema } },
  }),
  'error-schema': post('/v1/chat/completions', {
    ...chat,
    response_format: {
      type: 'json_schema',
      json_schema: { name: 'answer', schema: { type: 'array', uniqueItems: true } },
    },
  }),
  health: { path: '/health' },
  'tcp-warming': { path: '/v1/tcp_warming' },
  'error-unknown-path': { path: '/chat/completions' },
  'error-method': { path: '/v1/chat/completions' },
  'error-unknown-model': post('/v1/chat/completions', { ...chat, model: 'ingot-tset' }),
  'error-malformed-json': post('/v1/chat/completions', '{"model": "ingot-test",'),
  'error-no-body': post('/v1/chat/completions', ''),
  'error-context-overflow': post('/v1/chat/completions', { ...chat, max_tokens: 1000 }),
  'error-missing-parameter': post('/v1/chat/completions', { model: TEST_MODEL }),
  'error-wrong-value': post('/v1/chat/completions', { ...chat, temperature: 'hot' }),
  'error-unknown-parameter': post('/v1/chat/completions', { ...chat, max_token: 4 }),
  'error-unsupported-parameter': post('/v1/chat/completions', { ...chat, audio: { voice: 'a' } }),
  'error-unsupported-content': post('/v1/chat/completions', {
    ...chat,
    messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'x' } }] }],
  }),
  'error-template': post('/v1/chat/completions', { ...chat, messages: [{ role: 'assistant', content: 'first' }] }),
  'error-token-out-of-range': post('/v1/completions', { ...completion, prompt: [1, 2, 99999] }),
};

/** JSON bodies over several lines; the pieces of a stream as they are. */
function transcript({ method = 'GET', path, body }: Exchange, { status, headers, text, error }: Transcript): string {
  const pretty = (json: string): string => {
    try {
      return JSON.stringify(JSON.parse(json), null, 2);
    } catch {
      return json;
    }
  };
  const sent = body === undefined ? [] : [typeof body === 'string' ? body : JSON.stringify(body)];
  return [
    `> ${method} ${path}`,
    ...sent.map((line) => `> ${line}`),
    '',
    `< ${status}`,
    ...Object.entries(headers)
      .sort(([a], [b]) => a.localeCompare(b))
      .map(([name, value]) => `< ${name}: ${value}`),
    '',
    pretty(text),
    ...(error === undefined ? [] : ['(connection cut)']),
  ]
    .join('\n')
    .replace(/(chatcmpl-|cmpl-|req_|resp_|msg_|fc_|call_)[0-9a-f]{32}/g, '$1…');
}

describe('transcripts', () => {
  it.each(Object.entries(exchanges))('%s', async (name, exchange) => {
    const { api } = createTestApi();
    const answer = await call(api, exchange.path, exchange.body, { method: exchange.method ?? 'GET' });
    expectGolden(`http/${name}.txt`, transcript(exchange, answer));
  });

  it.each(Object.entries(toolExchanges))('%s', async (name, exchange) => {
    const { api } = createTestApi({ maxContext: 1024, blocks: 512 }, {}, { chat: chatTemplates.hermes });
    const answer = await call(api, exchange.path, exchange.body, { method: 'POST' });
    expectGolden(`http/${name}.txt`, transcript(exchange, answer));
  });

  it('error-mid-stream', async () => {
    const test = createTestApi({
      onStep: () => {
        if (test.executor.steps === 3) throw new Error('lost a worker');
      },
    });
    const exchange = post('/v1/chat/completions', { ...chat, stream: true });
    const answer = await call(test.api, exchange.path, exchange.body);
    expectGolden('http/error-mid-stream.txt', transcript(exchange, answer));
  });

  it('metrics', async () => {
    const { api } = createTestApi();
    await call(api, '/v1/chat/completions', chat);
    const answer = await call(api, '/metrics');
    // Buckets are one long list; the rest is what a person wants to see changed.
    const text = answer.text
      .split('\n')
      .filter((line) => !line.includes('_bucket{'))
      .join('\n');
    expectGolden('http/metrics.txt', transcript({ path: '/metrics' }, { ...answer, text }));
  });

  it('telemetry', async () => {
    const { api } = createTestApi();
    const answer = await call(api, '/v1/chat/completions', chat);
    const path = `/v1/telemetry/requests/${answer.headers['x-request-id']}`;
    for (const [name, at] of [
      ['telemetry-hardware', '/v1/telemetry/hardware'],
      ['telemetry-request', path],
      ['ready', '/ready'],
    ]) {
      expectGolden(`http/${name}.txt`, transcript({ path: at.replace(/req_\w+/, 'req_…') }, await call(api, at)));
    }
  });
});

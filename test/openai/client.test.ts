// The official client against the real server on a real socket.
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';

import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';

import { startServer, type ServerOptions } from '../../src/app/http/server.ts';
import type { ErrorBody, TimeInfo } from '../../src/protocol/index.ts';
import { formatDiagnostic, IngotError } from '../../src/core/index.ts';
import type { Api } from '../../src/runtime/index.ts';
import { createTestApi, TEST_MODEL } from '../../src/runtime/testing/test-api.ts';
import { chatTemplates } from '../../src/runtime/testing/chat-templates.ts';
import type { TestExecutorOptions } from '../../src/runtime/testing/test-executor.ts';
import { expectGolden } from '../golden.ts';
import { listen, serveTest, soon, type Served } from './served.ts';

interface Client extends Served {
  readonly client: OpenAI;
}

async function serve(executor: TestExecutorOptions = {}, options: Partial<ServerOptions> = {}): Promise<Client> {
  const served = await serveTest(executor, options);
  return { ...served, client: new OpenAI({ apiKey: 'none', baseURL: `${served.server.url}/v1`, maxRetries: 0 }) };
}

/** Steps that take real time, so that a client can act between tokens. */
const slowly = { onStep: () => soon(2) };

const base = {
  model: TEST_MODEL,
  messages: [{ role: 'user' as const, content: 'the wafer' }],
  max_tokens: 8,
  seed: 7,
  ignore_eos: true,
};
const idle = { waiting: 0, running: 0, blocksUsed: 0 };

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !condition(); i++) await soon(2);
  expect(condition()).toBe(true);
}

describe('openai client', () => {
  it('lists and retrieves models', async () => {
    const { client } = await serve();
    const list = await client.models.list();
    expect(list.data.map((model) => model.id)).toEqual([TEST_MODEL]);
    expect(await client.models.retrieve(TEST_MODEL)).toMatchObject({ id: TEST_MODEL, object: 'model' });
    await expect(client.models.retrieve('a/b')).rejects.toThrow(OpenAI.NotFoundError);
  });

  it('completes chats, whole and streamed alike', async () => {
    const { client } = await serve();
    const { data: whole, request_id } = await client.chat.completions.create(base).withResponse();
    expect(request_id).toMatch(/^req_/);
    expect(whole.choices[0].finish_reason).toBe('length');
    expect(whole.usage).toMatchObject({ prompt_tokens: 5, completion_tokens: 8, total_tokens: 13 });
    const times = (whole as unknown as { time_info: TimeInfo }).time_info;
    expect(times.simulated_wafer?.total_time).toBeGreaterThan(0);

    const stream = await client.chat.completions.create({
      ...base,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = '';
    const chunks = [];
    for await (const chunk of stream) {
      chunks.push(chunk);
      text += chunk.choices[0]?.delta.content ?? '';
    }
    expect(text).toBe(whole.choices[0].message.content);
    // The second time the prompt is found in the prefix cache.
    expect(chunks.at(-1)?.usage).toEqual({ ...whole.usage, prompt_tokens_details: { cached_tokens: 4 } });
    expect(whole.usage?.prompt_tokens_details?.cached_tokens).toBe(0);
    expect(chunks.at(-1)?.choices).toEqual([]);

    const final = await client.chat.completions.stream(base).finalChatCompletion();
    expect(final.choices[0].message.content).toBe(text);
    expect(final.choices[0].finish_reason).toBe('length');
  });

  it('completes prompts, whole and streamed alike', async () => {
    const { client } = await serve();
    const request = { model: TEST_MODEL, prompt: ['the wafer', 'x'], max_tokens: 5, seed: 7, temperature: 0 };
    const whole = await client.completions.create(request);
    const texts = ['', ''];
    for await (const chunk of await client.completions.create({ ...request, stream: true })) {
      for (const choice of chunk.choices) texts[choice.index] += choice.text;
    }
    expect(texts).toEqual(whole.choices.map((choice) => choice.text));
    expect(texts[0]).not.toBe('');
  });

  it('gets stop strings, log probabilities, several choices and the same again under one seed', async () => {
    const { client } = await serve();
    const once = await client.chat.completions.create({ ...base, n: 2, logprobs: true, top_logprobs: 2 });
    const again = await client.chat.completions.create({ ...base, n: 2, logprobs: true, top_logprobs: 2 });
    expect(again.choices).toEqual(once.choices);
    const text = once.choices[0].message.content ?? '';
    expect(once.choices[1].message.content).not.toBe(text);
    const tokens = once.choices[0].logprobs?.content ?? [];
    expect(tokens.map((token) => token.token).join('')).toBe(text);
    expect(tokens.every((token) => token.top_logprobs.length === 2)).toBe(true);

    const stop = text.slice(3, 5);
    const stopped = await client.chat.completions.create({ ...base, stop: [stop] });
    expect(stopped.choices[0]).toMatchObject({
      finish_reason: 'stop',
      message: { content: text.slice(0, text.indexOf(stop)) },
    });
  });

  it('stops the work when a client aborts a stream or leaves it', async () => {
    const { client, engine } = await serve(slowly);
    const long = { ...base, max_tokens: 200 };
    const stream = await client.chat.completions.create({ ...long, stream: true });
    for await (const chunk of stream) {
      if (chunk.choices[0].delta.content !== '') break;
    }
    await until(() => engine.counts.running === 0);

    const aborter = new AbortController();
    const waiting = client.chat.completions.create(long, { signal: aborter.signal });
    await until(() => engine.counts.running === 1);
    aborter.abort();
    await expect(waiting).rejects.toThrow(OpenAI.APIUserAbortError);
    await until(() => engine.counts.running === 0);

    expect(engine.counts).toMatchObject(idle);
    expect(engine.counts.generatedTokens).toBeLessThan(200);
    expect((await client.chat.completions.create(base)).usage?.completion_tokens).toBe(8);
  });

  it('throws the class of each failure, and the server survives them all', async () => {
    const { client, server, engine } = await serve({}, { bodyBytes: 10_000 });
    const create = (over: object): Promise<unknown> => client.chat.completions.create({ ...base, ...over });
    const failure = async (promise: Promise<unknown>): Promise<InstanceType<typeof OpenAI.APIError>> => {
      const error: unknown = await promise.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(error).toBeInstanceOf(OpenAI.APIError);
      return error as InstanceType<typeof OpenAI.APIError>;
    };

    const overflow = await failure(create({ max_tokens: 1000 }));
    expect(overflow).toBeInstanceOf(OpenAI.BadRequestError);
    expect(overflow).toMatchObject({ status: 400, code: 'context_length_exceeded', param: 'messages' });
    const unknown = await failure(create({ model: 'other' }));
    expect(unknown).toBeInstanceOf(OpenAI.NotFoundError);
    expect(unknown).toMatchObject({ code: 'model_not_found', type: 'invalid_request_error' });
    const large = await failure(create({ messages: [{ role: 'user', content: 'x'.repeat(20_000) }] }));
    expect(large).toMatchObject({ status: 413, code: 'request_too_large' });

    const raw = async (body: string, init: RequestInit = {}, path = '/v1/chat/completions'): Promise<unknown> => {
      const response = await fetch(`${server.url}${path}`, { method: 'POST', body, ...init });
      const { error } = (await response.json()) as ErrorBody;
      expect(Object.keys(error)).toEqual(['message', 'type', 'param', 'code']);
      return [response.status, error.code];
    };
    expect(await raw('{"model":')).toEqual([400, 'invalid_json']);
    expect(await raw('')).toEqual([400, 'invalid_json']);
    expect(await raw('{}', { headers: { 'content-type': 'text/plain' } })).toEqual([400, 'missing_required_parameter']);
    expect(await raw('{}', { headers: { 'content-encoding': 'br' } })).toEqual([415, 'unsupported_encoding']);
    expect(await raw('{}', { headers: { 'content-encoding': 'gzip' } })).toEqual([400, 'bad_request']);
    const zipped = async (text: string): Promise<unknown> =>
      raw('', { headers: { 'content-encoding': 'gzip' }, body: gzipSync(text) });
    expect(await zipped('{}')).toEqual([400, 'missing_required_parameter']);
    // Ten kilobytes may come out of it, not a megabyte.
    expect(await zipped(' '.repeat(1_000_000))).toEqual([413, 'request_too_large']);
    // {"model": "x"}, and half of it; both packed and zipped.
    const packed = [0x81, 0xa5, ...Buffer.from('model'), 0xa1, 0x78];
    const pack = (bytes: readonly number[], zip: boolean): Promise<unknown> =>
      raw('', {
        headers: { 'content-type': 'application/vnd.msgpack', ...(zip ? { 'content-encoding': 'gzip' } : {}) },
        body: zip ? gzipSync(Uint8Array.from(bytes)) : Uint8Array.from(bytes),
      });
    expect(await pack(packed, false)).toEqual([400, 'missing_required_parameter']);
    expect(await pack(packed, true)).toEqual([400, 'missing_required_parameter']);
    expect(await pack(packed.slice(0, 4), false)).toEqual([400, 'invalid_msgpack']);
    // Five thousand bytes, and four times as many as JSON.
    const nulls = [0xdc, 5000 >> 8, 5000 & 0xff, ...Buffer.alloc(5000, 0xc0)];
    expect(await pack(nulls, false)).toEqual([413, 'request_too_large']);
    expect(await raw('{}', { method: 'PUT' })).toEqual([405, 'method_not_allowed']);
    expect(await raw('{}', {}, '/chat/completions')).toEqual([404, 'unknown_url']);
    expect(await raw('{}', {}, '/v1/%zz?a=b')).toEqual([400, 'bad_request']);

    expect(engine.counts).toMatchObject(idle);
    expect((await client.chat.completions.create(base)).choices.length).toBe(1);
  });

  it('sees an error, never an end, when the executor fails in the middle of a stream', async () => {
    const served = await serve({
      onStep: () => {
        if (served.executor.steps === 4) throw new Error('lost a worker');
      },
    });
    const stream = await served.client.chat.completions.create({ ...base, stream: true });
    const read = async (): Promise<void> => {
      for await (const chunk of stream) expect(chunk.choices.length).toBe(1);
    };
    await expect(read()).rejects.toMatchObject({ code: 'executor_failed', type: 'server_error' });
    expect((await served.client.chat.completions.create(base)).choices.length).toBe(1);
  });

  it('streams to many clients at once what each would get alone', async () => {
    const { client, engine } = await serve();
    const requests = Array.from({ length: 12 }, (_, i) => ({ ...base, seed: i, max_tokens: 20 }));
    const read = async (request: (typeof requests)[number]): Promise<string> => {
      let text = '';
      for await (const chunk of await client.chat.completions.create({ ...request, stream: true })) {
        text += chunk.choices[0].delta.content ?? '';
      }
      return text;
    };
    const together = await Promise.all(requests.map(read));
    for (const [i, request] of requests.slice(0, 3).entries()) expect(await read(request)).toBe(together[i]);
    expect(engine.counts).toMatchObject(idle);
  });
});

/** Everything that the server writes on a connection, until it closes it. */
function exchangeBytes(url: string, bytes: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(bytes));
    let text = '';
    socket.setEncoding('utf8');
    socket.on('data', (piece: string) => (text += piece));
    socket.on('close', () => resolve(text));
    socket.on('error', reject);
  });
}

const postBytes = (body: object): string => {
  const text = JSON.stringify(body);
  return `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: ${text.length}\r\n\r\n${text}`;
};

const color = {
  type: 'object',
  properties: { color: { type: 'string', enum: ['red', 'green'] }, count: { type: 'integer', minimum: 1, maximum: 9 } },
  required: ['color', 'count'],
  additionalProperties: false,
};
const roomy = { maxContext: 2048, blocks: 512, maxStepTokens: 512 };

describe('openai client, structured', () => {
  const withTools = async (): Promise<OpenAI> => {
    const { server } = await serveTest(roomy, {}, chatTemplates.hermes);
    return new OpenAI({ apiKey: 'none', baseURL: `${server.url}/v1`, maxRetries: 0 });
  };

  it('parses answers of a schema, and streams what it parses', async () => {
    const client = await withTools();
    const request = {
      ...base,
      ignore_eos: false,
      max_tokens: 100,
      response_format: { type: 'json_schema' as const, json_schema: { name: 'c', strict: true, schema: color } },
    };
    const { choices } = await client.chat.completions.parse(request);
    expect(['red', 'green']).toContain((choices[0].message.parsed as { color: string } | null)?.color);
    const final = await client.chat.completions.stream(request).finalChatCompletion();
    expect(final.choices[0].message.content).toBe(choices[0].message.content);
  });

  it('gets calls of tools, whole and streamed', async () => {
    const client = await withTools();
    const request = {
      ...base,
      ignore_eos: false,
      max_tokens: 200,
      tools: [{ type: 'function' as const, function: { name: 'paint', parameters: color } }],
      tool_choice: 'required' as const,
      parallel_tool_calls: false,
    };
    const whole = await client.chat.completions.create(request);
    const [call] = whole.choices[0].message.tool_calls ?? [];
    expect(call).toMatchObject({ type: 'function', function: { name: 'paint' } });
    const final = await client.chat.completions.stream(request).finalChatCompletion();
    expect(final.choices[0].finish_reason).toBe('tool_calls');
    const streamed = final.choices[0].message.tool_calls ?? [];
    expect(streamed.map((c) => c.type === 'function' && c.function.arguments)).toEqual([
      call.type === 'function' && call.function.arguments,
    ]);
  });

  it('speaks the Responses API, whole and streamed, with calls and their results', async () => {
    const client = await withTools();
    const request = { model: TEST_MODEL, input: 'the wafer', max_output_tokens: 6, seed: 7 } as const;
    const whole = await client.responses.create(request);
    expect(whole).toMatchObject({ object: 'response', status: 'incomplete', store: true });
    expect(whole.output_text).not.toBe('');
    const types: string[] = [];
    const numbers: number[] = [];
    const stream = client.responses.stream(request);
    for await (const event of stream) {
      types.push(event.type);
      numbers.push(event.sequence_number);
    }
    expect((await stream.finalResponse()).output_text).toBe(whole.output_text);
    expect(numbers).toEqual(numbers.map((_, i) => i));
    expect(types.filter((type, i) => type !== types[i - 1])).toEqual([
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.content_part.added',
      'response.output_text.delta',
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.incomplete',
    ]);

    const formatted = await client.responses.create({
      ...request,
      max_output_tokens: 100,
      text: { format: { type: 'json_schema', name: 'c', strict: true, schema: color } },
    });
    expect(formatted.status).toBe('completed');
    expect(JSON.parse(formatted.output_text)).toHaveProperty('count');

    const tools = [{ type: 'function' as const, name: 'paint', parameters: color, strict: true }];
    const called = await client.responses.create({
      ...request,
      max_output_tokens: 200,
      tools,
      tool_choice: { type: 'function', name: 'paint' },
      parallel_tool_calls: false,
    });
    const call = called.output.find((item) => item.type === 'function_call');
    expect(JSON.parse(call?.arguments ?? '')).toHaveProperty('color');
    const again = await client.responses.create({
      ...request,
      tools,
      input: [
        { role: 'user', content: 'paint' },
        ...(call === undefined ? [] : [call]),
        { type: 'function_call_output', call_id: call?.call_id ?? '', output: 'done' },
      ],
    });
    expect(again.usage?.input_tokens).toBeGreaterThan(called.usage?.input_tokens ?? 0);
    const failed = client.responses.create({ ...request, previous_response_id: 'resp_1' });
    await expect(failed).rejects.toMatchObject({ status: 400, param: 'previous_response_id' });
  });

  it('sees an error in the middle of a response stream', async () => {
    const served = await serveTest({
      onStep: () => {
        if (served.executor.steps === 4) throw new Error('lost a worker');
      },
    });
    const client = new OpenAI({ apiKey: 'none', baseURL: `${served.server.url}/v1`, maxRetries: 0 });
    const stream = await client.responses.create({ model: TEST_MODEL, input: 'x', max_output_tokens: 9, stream: true });
    const read = async (): Promise<void> => {
      for await (const event of stream) expect(event.type).not.toBe('response.completed');
    };
    await expect(read()).rejects.toThrow(OpenAI.APIError);
  });
});

describe('server', () => {
  it('cuts a failed stream after its error event, without the end that HTTP demands', async () => {
    const served = await serve({
      onStep: () => {
        if (served.executor.steps === 4) throw new Error('lost a worker');
      },
    });
    const text = await exchangeBytes(served.server.url, postBytes({ ...base, stream: true }));
    expect(text).toContain('"code":"executor_failed"');
    expect(text).not.toContain('[DONE]');
    expect(text.endsWith('0\r\n\r\n')).toBe(false);
  });

  it('tells the operator of clients that hang up by its metrics alone', async () => {
    // Every fourth step waits until the server has seen the client leave.
    let reached = (): void => {};
    let left = (): void => {};
    const gate = (): Promise<void> => {
      const seen = new Promise<void>((resolve) => (left = resolve));
      reached();
      return seen;
    };
    const test = createTestApi({ onStep: () => (test.executor.steps % 4 === 0 ? gate() : undefined) });
    const api: Api = {
      ...test.api,
      handle(request) {
        request.signal.addEventListener('abort', () => left());
        return test.api.handle(request);
      },
    };
    const server = await listen({ api });
    const lines: string[] = [];
    for (const stream of [true, false]) {
      const body = JSON.stringify({ ...base, stream });
      lines.push('> POST /v1/chat/completions', `> ${body}`);
      const fourth = new Promise<void>((resolve) => (reached = resolve));
      const aborter = new AbortController();
      const sent = fetch(`${server.url}/v1/chat/completions`, { method: 'POST', body, signal: aborter.signal });
      const cut = expect(sent.then((response) => response.text())).rejects.toThrow('aborted');
      await fourth;
      if (stream) lines.push(`< ${(await sent).status}`);
      lines.push('(the client hangs up in the fourth step)', '');
      aborter.abort();
      await cut;
      await until(() => test.engine.counts.running === 0);
    }
    lines.push(`failures told to the operator: ${test.failures.length}`, '', '> GET /metrics');
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    lines.push(...metrics.split('\n').filter((line) => line !== '' && !/^#|_bucket\{/.test(line)));
    expectGolden('http/client-hang-up.txt', lines.join('\n'));
  });

  it('answers what is not HTTP with an error body', async () => {
    const { server, client } = await serve();
    expect(await exchangeBytes(server.url, 'nonsense\r\n\r\n')).toMatch(/^HTTP\/1.1 400[^]*"code":"bad_request"/);
    const headers = await exchangeBytes(server.url, `GET / HTTP/1.1\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`);
    expect(headers).toMatch(/^HTTP\/1.1 431[^]*"code":"headers_too_large"/);
    expect((await client.models.list()).data.length).toBe(1);
  });

  it('ends streams within its grace when it closes', async () => {
    const { server, client, engine } = await serve(slowly);
    const stream = await client.chat.completions.create({ ...base, max_tokens: 240, stream: true });
    const read = async (): Promise<void> => {
      for await (const chunk of stream) expect(chunk.object).toBe('chat.completion.chunk');
    };
    const reading = expect(read()).rejects.toMatchObject({ code: 'server_closing' });

    await server.close();
    await reading;
    await until(() => engine.counts.running === 0);
    await expect(client.models.list()).rejects.toThrow(OpenAI.APIConnectionError);
  });

  it('refuses a taken port, and a body over the limit, in words that help', async () => {
    const { server } = await serve({}, { bodyBytes: 1000 });
    const { port } = new URL(server.url);
    const refused: unknown = await startServer({
      api: createTestApi().api,
      host: '127.0.0.1',
      port: Number(port),
    }).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(IngotError);
    const diagnostic = (refused as IngotError).diagnostics.map(formatDiagnostic).join('\n');
    expectGolden(
      'http/error-port-in-use.txt',
      diagnostic.replaceAll(port, 'PORT').replaceAll(String(Number(port) + 1), 'PORT+1'),
    );

    const body = 'x'.repeat(1001);
    const response = await fetch(`${server.url}/v1/completions`, { method: 'POST', body });
    expectGolden('http/error-too-large.txt', `${response.status}\n${JSON.stringify(await response.json(), null, 2)}`);
  });

  it('lets answers in progress end when it closes', async () => {
    const { server, client, engine } = await serve(slowly, { closeGraceMs: 5_000 });
    const answer = client.chat.completions.create({ ...base, max_tokens: 20 });
    await until(() => engine.counts.running === 1);
    const closed = server.close();
    expect((await answer).usage?.completion_tokens).toBe(20);
    await closed;
  });
});

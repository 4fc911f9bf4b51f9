import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { IngotError } from '../../src/core/index.ts';
import { MAX_SPANS } from '../../src/runtime/index.ts';
import { call, createTestApi, TEST_MODEL } from '../../src/runtime/testing/test-api.ts';
import { openTraces, tracesUrl } from '../../src/app/telemetry/traces.ts';

/** A span as it travels: OTLP's JSON. */
interface WireSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: { readonly key: string; readonly value: Record<string, unknown> }[];
  readonly status: { readonly code?: number };
}
interface WireBody {
  readonly resourceSpans: {
    readonly resource: { readonly attributes: WireSpan['attributes'] };
    readonly scopeSpans: { readonly spans: WireSpan[] }[];
  }[];
}

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** What a collector on this machine gets. */
async function collector(status = 200) {
  const bodies: WireBody[] = [];
  const paths: string[] = [];
  const server = createServer((request, response) => {
    let text = '';
    request.on('data', (piece: Buffer) => (text += piece.toString()));
    request.on('end', () => {
      paths.push(`${request.method} ${request.url}`);
      bodies.push(JSON.parse(text) as WireBody);
      response.writeHead(status, { 'content-type': 'application/json' }).end('{}');
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => server.close());
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    bodies,
    paths,
    spans: () => bodies.flatMap((b) => b.resourceSpans.flatMap((r) => r.scopeSpans.flatMap((s) => s.spans))),
  };
}

const plain = (value: Record<string, unknown>): unknown => {
  const [kind, content] = Object.entries(value)[0];
  if (kind === 'arrayValue') return (content as { values: Record<string, unknown>[] }).values.map(plain);
  return kind === 'intValue' ? Number(content) : content;
};
const attributesOf = (span: WireSpan): Record<string, unknown> =>
  Object.fromEntries(span.attributes.map(({ key, value }) => [key, plain(value)]));
const isSimulated = (span: WireSpan): boolean => attributesOf(span)['ingot.simulated'] === true;
const [starts, ends] = [
  (span: WireSpan): bigint => BigInt(span.startTimeUnixNano),
  (span: WireSpan): bigint => BigInt(span.endTimeUnixNano),
];
const nanoseconds = (span: WireSpan): number => Number(ends(span) - starts(span));

/** Names, indented under their parents. */
function tree(spans: readonly WireSpan[], parent: string | undefined, indent = ''): string[] {
  return spans
    .filter((span) => (span.parentSpanId ?? '') === (parent ?? ''))
    .flatMap((span) => [`${indent}${span.name}`, ...tree(spans, span.spanId, `${indent}  `)]);
}

const chat = (over: object = {}): object => ({
  model: TEST_MODEL,
  messages: [{ role: 'user', content: 'the wafer' }],
  max_tokens: 6,
  seed: 1,
  temperature: 0.5,
  ignore_eos: true,
  ...over,
});

async function traced(body: object, headers: Record<string, string> = {}, share = 1, path = '/v1/chat/completions') {
  const collected = await collector();
  const traces = await openTraces({ endpoint: collected.endpoint, share });
  const { api } = createTestApi({}, { prefixCache: false }, { tick: 1e-3, onRequest: traces.ended });
  const answer = await call(api, path, body, { headers });
  await traces.close();
  return { ...collected, answer, all: collected.spans() };
}

describe('traces', () => {
  it('go from the HTTP request to the model, the engine, and regions and collectives of the simulated wafer', async () => {
    const { all, paths, bodies, answer } = await traced(chat());
    expect(paths).toEqual(['POST /v1/traces']);
    const service = bodies[0].resourceSpans[0].resource.attributes.find(({ key }) => key === 'service.name');
    expect(service?.value).toEqual({ stringValue: 'ingot' });
    expect(tree(all, undefined)).toEqual([
      'POST /v1/chat/completions',
      `  chat ${TEST_MODEL}`,
      '    queue',
      '    prefill',
      '    decode',
      '    wafer',
      '      wafer queue',
      '      wafer prefill',
      '      wafer decode',
      '        token',
      '          region 0',
      '            q+k+v',
      '            all-reduce of q+k+v',
      '          region 1',
    ]);
    const [model, http] = all.filter(({ name }) => /^(POST|chat) /.test(name));
    expect([http.kind, model.kind]).toEqual([2, 1]);
    expect(attributesOf(http)).toMatchObject({
      'http.request.method': 'POST',
      'http.route': '/v1/chat/completions',
      'http.response.status_code': 200,
      'ingot.request.id': answer.headers['x-request-id'],
    });
    expect(attributesOf(model)).toMatchObject({
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'ingot',
      'gen_ai.request.model': TEST_MODEL,
      'gen_ai.response.model': TEST_MODEL,
      'gen_ai.request.max_tokens': 6,
      'gen_ai.request.temperature': 0.5,
      'gen_ai.request.seed': 1,
      'gen_ai.request.choice.count': 1,
      'gen_ai.request.stream': false,
      'gen_ai.response.finish_reasons': ['length'],
      'gen_ai.usage.input_tokens': 5,
      'gen_ai.usage.output_tokens': 6,
      'gen_ai.usage.cache_read.input_tokens': 0,
    });
    // No text of what was asked or answered.
    expect(JSON.stringify(all)).not.toContain('the wafer');
  });

  it("say which times are simulated, with their place on the wafer's clock, to the nanosecond", async () => {
    const { all } = await traced(chat());
    const by = (name: string): WireSpan => {
      const found = all.find((span) => span.name === name);
      if (found === undefined) throw new Error(`no ${name}`);
      return found;
    };
    const real = all.filter((span) => !isSimulated(span)).map(({ name }) => name);
    expect(real.sort()).toEqual(['POST /v1/chat/completions', `chat ${TEST_MODEL}`, 'decode', 'prefill', 'queue']);
    expect(all.length - real.length).toBe(9);
    // A step takes 10 µs and 0.1 µs a token: 5 tokens of prompt, then 5 steps of one.
    expect(nanoseconds(by('wafer prefill'))).toBe(10_500);
    expect(nanoseconds(by('wafer decode'))).toBe(50_500);
    expect(attributesOf(by('wafer prefill'))['ingot.simulated.start_seconds']).toBeCloseTo(0, 12);
    expect(attributesOf(by('wafer decode'))).toMatchObject({
      'ingot.simulated.start_seconds': expect.closeTo(10.5e-6, 12),
      'ingot.simulated.duration_seconds': expect.closeTo(50.5e-6, 12),
    });
    expect(attributesOf(by('wafer'))['ingot.simulated.basis']).toMatch('test wafer');
    expect([by('region 0'), by('region 1'), by('all-reduce of q+k+v')].map(nanoseconds)).toEqual([4000, 3000, 1000]);
    expect(starts(by('region 1'))).toBe(ends(by('region 0')));
    expect(starts(by('all-reduce of q+k+v'))).toBe(ends(by('q+k+v')));
    expect(attributesOf(by('all-reduce of q+k+v'))['ingot.kind']).toBe('collective');
  });

  it('lie within their parents, those of the machine on its clock', async () => {
    const { all } = await traced(chat({ n: 2, stream: true }));
    const byId = new Map(all.map((span) => [span.spanId, span]));
    for (const span of all) {
      expect(ends(span) >= starts(span)).toBe(true);
      const parent = byId.get(span.parentSpanId ?? '');
      if (parent === undefined || (isSimulated(span) && !isSimulated(parent))) continue;
      expect(starts(span) >= starts(parent), `${span.name} in ${parent.name}`).toBe(true);
      expect(ends(span) <= ends(parent), `${span.name} in ${parent.name}`).toBe(true);
    }
  });

  it('go on from the span of the client, and keep its decision', async () => {
    const [trace, span] = ['0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331'];
    const { all } = await traced(chat(), { traceparent: `00-${trace}-${span}-01` }, 0);
    expect(new Set(all.map(({ traceId }) => traceId))).toEqual(new Set([trace]));
    expect(tree(all, span)[0]).toBe('POST /v1/chat/completions');
    expect((await traced(chat(), { traceparent: `00-${trace}-${span}-00` })).all).toEqual([]);
    for (const broken of ['', 'x', `00-${'0'.repeat(32)}-${span}-01`, `ff-${trace}-${span}-01`]) {
      const { all: own } = await traced(chat(), { traceparent: broken });
      expect(own[0].traceId).not.toBe(trace);
      expect(tree(own, undefined)[0]).toBe('POST /v1/chat/completions');
    }
  });

  it('are sampled, and bounded however many answers a request has', async () => {
    expect((await traced(chat(), {}, 0)).all).toEqual([]);
    const { all } = await traced(chat({ n: 20 }));
    expect(all.length).toBeLessThanOrEqual(MAX_SPANS);
    const model = all.find(({ name }) => name.startsWith('chat '));
    expect(model && attributesOf(model)['ingot.answers.left_out']).toBe(16);
  });

  it('tell of refusals, without a model where none was asked', async () => {
    const { all } = await traced(chat({ model: 'nobody' }));
    expect(tree(all, undefined)).toEqual(['POST /v1/chat/completions']);
    expect(attributesOf(all[0])).toMatchObject({
      'http.response.status_code': 404,
      'error.type': 'model_not_found',
      'ingot.outcome': 'refused',
    });
    // By the conventions a client's mistake is no error of the server.
    expect(all[0].status.code ?? 0).toBe(0);
  });

  it('tell of spans that no collector took', async () => {
    const { endpoint } = await collector(400);
    const lost: unknown[] = [];
    const traces = await openTraces({ endpoint, onLost: (...of) => lost.push(of) });
    const { api } = createTestApi({}, {}, { onRequest: traces.ended });
    await call(api, '/v1/chat/completions', chat({ model: 'nobody' }));
    expect(lost).toEqual([]);
    await traces.close();
    expect(lost).toEqual([[1, `${endpoint}/v1/traces`]]);
  });

  it('need an address that can be one', () => {
    expect(tracesUrl('http://h:4318')).toBe('http://h:4318/v1/traces');
    expect(tracesUrl('https://h/otlp/')).toBe('https://h/otlp/v1/traces');
    expect(tracesUrl('http://h/v1/traces')).toBe('http://h/v1/traces');
    for (const bad of ['h:4318', '', 'ftp://h']) expect(() => tracesUrl(bad)).toThrow(IngotError);
  });
});

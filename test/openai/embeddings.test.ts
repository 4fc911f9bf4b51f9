// Embeddings with the official client, which asks for base64 where nobody says otherwise and decodes it.

import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import type { ErrorBody } from '../../src/protocol/index.ts';
import { logEntryOf, spansOf, type RequestRecord } from '../../src/runtime/index.ts';
import { call, createTestApi, TEST_MODEL } from '../../src/runtime/testing/test-api.ts';
import { listen } from './served.ts';

const WIDTH = 8;

async function serve(...options: Parameters<typeof createTestApi>) {
  const test = createTestApi(...options);
  const server = await listen({ api: test.api });
  return { ...test, client: new OpenAI({ apiKey: 'none', baseURL: `${server.url}/v1`, maxRetries: 0 }) };
}

const lengthOf = (vector: readonly number[]): number => Math.hypot(...vector);

describe('the openai client', () => {
  it('reads the same numbers from base64 and as JSON, for texts and for tokens', async () => {
    const { client, tokenizer, engine } = await serve();
    const texts = ['the wafer', 'a mesh', 'the wafer'];
    const asked = { model: TEST_MODEL, input: texts };
    const answer = await client.embeddings.create(asked);
    expect(answer.data.map(({ index, object }) => [index, object])).toEqual(texts.map((_, i) => [i, 'embedding']));
    const [first, second, third] = answer.data.map(({ embedding }) => embedding);
    expect(first).toHaveLength(WIDTH);
    expect(lengthOf(first)).toBeCloseTo(1, 6);
    expect(third).toEqual(first);
    expect(second).not.toEqual(first);

    const asJson = await client.embeddings.create({ ...asked, encoding_format: 'float' });
    expect(asJson.data).toEqual(answer.data);
    const ids = texts.map((text) => tokenizer.encode(text, { addSpecial: true }));
    const ofTokens = await client.embeddings.create({ model: TEST_MODEL, input: ids });
    expect(ofTokens.data).toEqual(answer.data);
    const one = await client.embeddings.create({ model: TEST_MODEL, input: 'the wafer' });
    expect(one.data.map(({ embedding }) => embedding)).toEqual([first]);
    expect((await client.embeddings.create({ model: TEST_MODEL, input: ids[0] })).data).toEqual(one.data);

    const tokens = ids.reduce((sum, { length }) => sum + length, 0);
    expect(answer.usage).toEqual({ prompt_tokens: tokens, total_tokens: tokens });
    expect(engine.counts).toMatchObject({ waiting: 0, running: 0, blocksUsed: 0, generatedTokens: 0 });
  });

  it('gets shorter ones only of a model that was trained for them', async () => {
    const rule = { pooling: 'mean', normalize: true } as const;
    const { client } = await serve({}, {}, { embedding: { ...rule, dimensions: [2, 4] } });
    const asked = { model: TEST_MODEL, input: 'the wafer' };
    const whole = (await client.embeddings.create({ ...asked, dimensions: WIDTH })).data[0].embedding;
    const short = (await client.embeddings.create({ ...asked, dimensions: 4 })).data[0].embedding;
    expect(lengthOf(short)).toBeCloseTo(1, 6);
    const scale = lengthOf(whole.slice(0, 4));
    for (const [i, value] of short.entries()) expect(value).toBeCloseTo(whole[i] / scale, 6);
    const refused = { status: 400, code: 'invalid_value', param: 'dimensions' };
    await expect(client.embeddings.create({ ...asked, dimensions: 3 })).rejects.toMatchObject(refused);
    await expect(client.embeddings.create({ ...asked, dimensions: 16 })).rejects.toMatchObject(refused);
    const plain = await serve();
    await expect(plain.client.embeddings.create({ ...asked, dimensions: 4 })).rejects.toMatchObject(refused);
  });
});

describe('what is told of embeddings', () => {
  it('has their times and tokens, in the log and in traces', async () => {
    const records: RequestRecord[] = [];
    const { api } = createTestApi({}, {}, { tick: 0.01, onRequest: (record) => records.push(record) });
    await call(api, '/v1/embeddings', { model: TEST_MODEL, input: ['the wafer', 'x'] });
    const { fields } = logEntryOf(records[0]);
    expect(fields).toMatchObject({ model: TEST_MODEL, prompt_tokens: 3, generated_tokens: 0, cached_tokens: 0 });
    expect(fields['answer_seconds']).toBeGreaterThan(0);
    expect(fields).not.toHaveProperty('time_to_first_token_seconds');
    expect(JSON.stringify(fields)).not.toContain('null');
    const [model] = spansOf(records[0]).children;
    expect(model.name).toBe(`embeddings ${TEST_MODEL}`);
    // Nothing was drawn, and nothing ended for a reason; only counters have one, vLLM's.
    expect(fields['finish_reasons']).toBeUndefined();
    expect(Object.keys(model.attributes).filter((key) => /finish|temperature|seed|output_tokens/.test(key))).toEqual(
      [],
    );
    const { text } = await call(api, '/metrics/vllm');
    expect(text).toContain(
      `vllm:request_success_total{model_name="${TEST_MODEL}",engine="0",finished_reason="stop"} 2`,
    );
    expect(model.children.map(({ name }) => name).slice(0, 3)).toEqual(['queue', 'prefill', 'wafer']);
  });
});

describe('what cannot be embedded', () => {
  const code = async (body: object, ...options: Parameters<typeof createTestApi>): Promise<unknown[]> => {
    const { api } = createTestApi(...options);
    const { status, text } = await call(api, '/v1/embeddings', { model: TEST_MODEL, ...body });
    const { error } = JSON.parse(text) as ErrorBody;
    return [status, error.code, error.param];
  };

  it.each<[string, object, unknown[]]>([
    ['an empty text', { input: '' }, [400, 'invalid_value', 'input']],
    ['no texts', { input: [] }, [400, 'invalid_value', 'input']],
    ['an empty one among others', { input: ['x', ''] }, [400, 'invalid_value', 'input']],
    ['texts and tokens', { input: ['x', [1]] }, [400, 'invalid_value', 'input']],
    ['too many', { input: Array.from({ length: 2049 }, () => 'x') }, [400, 'invalid_value', 'input']],
    ['a token that is none', { input: [99_999] }, [400, 'invalid_prompt', 'input']],
    [
      'more than the context',
      { input: Array.from({ length: 257 }, () => 1) },
      [400, 'context_length_exceeded', 'input'],
    ],
    ['another format', { input: 'x', encoding_format: 'int8' }, [400, 'invalid_value', 'encoding_format']],
    ['an unknown field', { input: 'x', dimension: 4 }, [400, 'unknown_parameter', 'dimension']],
  ])('%s', async (_, body, expected) => {
    expect(await code(body)).toEqual(expected);
  });

  it('anything, of a model that is not executed or has another pooling', async () => {
    const none = [400, 'embeddings_not_supported', 'model'];
    expect(await code({ input: 'x' }, { hiddenWidth: 0 })).toEqual(none);
    expect(await code({ input: 'x' }, {}, {}, { embedding: { refused: 'its pooling is cls_token' } })).toEqual(none);
  });

  it('a whole context is embedded, as nothing is generated behind it', async () => {
    const { api } = createTestApi();
    const input = Array.from({ length: 256 }, () => 1);
    expect((await call(api, '/v1/embeddings', { model: TEST_MODEL, input })).status).toBe(200);
  });
});

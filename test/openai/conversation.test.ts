// Conversations that go on by the ids of earlier responses, with the official client: what its agents and others build on.

import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';

import { createTestApi, TEST_MODEL } from '../../src/runtime/testing/test-api.ts';
import { listen, serveTest } from './served.ts';

const clientOf = (url: string): OpenAI => new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });
const base = { model: TEST_MODEL, max_output_tokens: 6, seed: 7 } as const;

describe('a conversation', () => {
  it('goes on from a response as from its whole text', async () => {
    const client = clientOf((await serveTest()).server.url);
    const first = await client.responses.create({ ...base, input: 'the wafer', instructions: 'be brief' });
    expect(first).toMatchObject({ store: true });
    const second = await client.responses.create({ ...base, input: 'and', previous_response_id: first.id });
    expect(second.previous_response_id).toBe(first.id);
    // Instructions are of one request; what was said is of all that follow.
    const said = { role: 'assistant' as const, content: first.output_text };
    const user = (content: string): { role: 'user'; content: string } => ({ role: 'user', content });
    const whole = await client.responses.create({ ...base, input: [user('the wafer'), said, user('and')] });
    expect(second.output_text).toBe(whole.output_text);
    expect(second.usage?.input_tokens).toBe(whole.usage?.input_tokens);
    // The third turn has the first's words too, streamed as well.
    const stream = client.responses.stream({ ...base, input: 'so', previous_response_id: second.id });
    const third = await stream.finalResponse();
    const fourth = await client.responses.create({ ...base, input: 'so', previous_response_id: third.id });
    expect(fourth.usage?.input_tokens).toBeGreaterThan(third.usage?.input_tokens ?? 0);
  });

  it('takes references to items, as the AI SDK sends them', async () => {
    const client = clientOf((await serveTest()).server.url);
    const first = await client.responses.create({ ...base, input: 'the wafer' });
    const [message] = first.output;
    const user = { role: 'user' as const, content: 'and' };
    const reference = { type: 'item_reference' as const, id: message.id ?? '' };
    const referred = await client.responses.create({ ...base, input: [user, reference, user] });
    const spelt = await client.responses.create({ ...base, input: [user, message as never, user] });
    expect(referred.output_text).toBe(spelt.output_text);
    const lost = client.responses.create({ ...base, input: [user, { ...reference, id: 'msg_0' }, user] });
    await expect(lost).rejects.toMatchObject({ status: 404, code: 'item_not_found', param: 'input[1].id' });
  });

  it('can be looked at and dropped, and its input counted', async () => {
    const client = clientOf((await serveTest()).server.url);
    const first = await client.responses.create({ ...base, input: 'the wafer' });
    const { usage } = first;
    expect(await client.responses.retrieve(first.id)).toMatchObject({ id: first.id, output: first.output, usage });
    const counted = await client.responses.inputTokens.count({ model: TEST_MODEL, input: 'the wafer' });
    expect(counted).toEqual({ object: 'response.input_tokens', input_tokens: usage?.input_tokens });
    await client.responses.delete(first.id);
    await expect(client.responses.retrieve(first.id)).rejects.toBeInstanceOf(OpenAI.NotFoundError);
    await expect(client.responses.delete(first.id)).rejects.toMatchObject({ code: 'response_not_found' });
    const next = client.responses.create({ ...base, input: 'and', previous_response_id: first.id });
    await expect(next).rejects.toMatchObject({ status: 400, code: 'previous_response_not_found' });
  });

  it('is not kept where the client or the server does not want it', async () => {
    const client = clientOf((await serveTest()).server.url);
    const own = await client.responses.create({ ...base, input: 'the wafer', store: false });
    expect(own).toMatchObject({ store: false });
    await expect(client.responses.retrieve(own.id)).rejects.toBeInstanceOf(OpenAI.NotFoundError);

    const { api } = createTestApi({}, {}, { keptResponses: 0 });
    const forgetful = clientOf((await listen({ api })).url);
    const response = await forgetful.responses.create({ ...base, input: 'the wafer' });
    expect(response).toMatchObject({ store: false });
    for (const over of [{ store: true }, { previous_response_id: response.id }]) {
      const refused = forgetful.responses.create({ ...base, input: 'and', ...over });
      await expect(refused).rejects.toMatchObject({ code: 'unsupported_parameter', param: Object.keys(over)[0] });
    }
  });
});

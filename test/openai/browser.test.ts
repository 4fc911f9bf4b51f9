// What a browser asks before and after it sends a page's request (CORS).

import { describe, expect, it } from 'vitest';

import { createTestApi, TEST_MODEL } from '../../src/runtime/testing/test-api.ts';
import { listen } from './served.ts';

const PAGE = 'http://localhost:5173';
const chat = JSON.stringify({ model: TEST_MODEL, messages: [{ role: 'user', content: 'x' }], max_tokens: 3 });
const serve = async (origins?: readonly string[]): Promise<string> =>
  (await listen({ api: createTestApi().api, ...(origins === undefined ? {} : { origins }) })).url;
const question = (origin: string): RequestInit => ({
  method: 'OPTIONS',
  headers: {
    origin,
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'authorization,content-type,x-stainless-lang',
  },
});

describe('pages', () => {
  it.each([
    [[PAGE], PAGE],
    [['http://a.example', PAGE], PAGE],
    [['*'], '*'],
  ])('of %j may ask', async (origins, told) => {
    const url = await serve(origins);
    const may = await fetch(`${url}/v1/chat/completions`, question(PAGE));
    expect([may.status, await may.text()]).toEqual([204, '']);
    expect(Object.fromEntries(may.headers)).toMatchObject({
      'access-control-allow-origin': told,
      'access-control-allow-methods': expect.stringContaining('POST'),
      'access-control-allow-headers': 'authorization,content-type,x-stainless-lang',
    });
    // Answers, streams and refusals can be read alike.
    for (const body of [chat, chat.replace('{', '{"stream":true,'), '{}', 'x']) {
      const answer = await fetch(`${url}/v1/chat/completions`, { method: 'POST', headers: { origin: PAGE }, body });
      await answer.text();
      expect(answer.headers.get('access-control-allow-origin')).toBe(told);
      expect(answer.headers.get('access-control-expose-headers')).toContain('x-request-id');
      expect(answer.headers.get('content-type')).toMatch(/json|event-stream/);
    }
    const packed = { origin: PAGE, 'content-encoding': 'br' };
    const refused = await fetch(`${url}/v1/chat/completions`, { method: 'POST', headers: packed, body: chat });
    expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([415, told]);
  });

  it.each([undefined, ['http://a.example'], [`${PAGE}0`]])('of others may not, with %j', async (origins) => {
    const url = await serve(origins);
    const may = await fetch(`${url}/v1/chat/completions`, question(PAGE));
    expect(may.status).toBe(405);
    const answer = await fetch(`${url}/v1/models`, { headers: { origin: PAGE } });
    expect(answer.status).toBe(200);
    for (const { headers } of [may, answer]) expect(headers.get('access-control-allow-origin')).toBeNull();
  });

  it('are nothing to what is no browser', async () => {
    const answer = await fetch(`${await serve([PAGE])}/v1/models`);
    expect([...answer.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([]);
  });
});

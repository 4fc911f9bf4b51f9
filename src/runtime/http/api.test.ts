import { describe, expect, it } from 'vitest';
import type { ChatCompletion, Completion, ErrorBody, TimeInfo } from '../../protocol/index.ts';
import { call, createTestApi, TEST_MODEL, type Transcript } from '../testing/test-api.ts';

const CHAT = '/v1/chat/completions';
const chat = (over: object = {}): object => ({
  model: TEST_MODEL,
  messages: [{ role: 'user', content: 'the wafer' }],
  max_tokens: 6,
  seed: 1,
  ignore_eos: true,
  ...over,
});
const prompt = (over: object = {}): object => ({
  model: TEST_MODEL,
  prompt: 'the wafer',
  seed: 1,
  ignore_eos: true,
  ...over,
});

const jsonOf = <T>({ text }: Transcript): T => JSON.parse(text) as T;
const errorOf = (transcript: Transcript) => ({ status: transcript.status, ...jsonOf<ErrorBody>(transcript).error });
/** Payloads of a stream; every line that is not empty is `data: …`. */
const eventsOf = ({ text }: Transcript): string[] =>
  text
    .split('\n\n')
    .filter((line) => line !== '')
    .map((line) => {
      expect(line.startsWith('data: ')).toBe(true);
      return line.slice(6);
    });

interface Chunk {
  readonly choices: {
    index: number;
    delta?: { role?: string; content?: string };
    text?: string;
    finish_reason: string | null;
  }[];
  readonly usage?: object | null;
  readonly time_info?: TimeInfo;
}

const chunksOf = (transcript: Transcript): Chunk[] =>
  eventsOf(transcript)
    .slice(0, -1)
    .map((event) => JSON.parse(event) as Chunk);

describe('chat completions', () => {
  it('streams the text that the whole answer has', async () => {
    // Without the prefix cache, so that the second takes the time of the first.
    const { api } = createTestApi({}, { prefixCache: false });
    const whole = jsonOf<ChatCompletion>(await call(api, CHAT, chat()));
    const streamed = await call(api, CHAT, chat({ stream: true }));
    expect(streamed.headers['content-type']).toMatch('text/event-stream');
    expect(eventsOf(streamed).at(-1)).toBe('[DONE]');
    const chunks = chunksOf(streamed);
    expect(chunks[0].choices[0].delta).toMatchObject({ role: 'assistant' });
    expect(chunks.map((c) => c.choices[0].delta?.content ?? '').join('')).toBe(whole.choices[0].message.content);
    expect(chunks.map((c) => c.choices[0].finish_reason).filter((r) => r !== null)).toEqual(['length']);
    expect(chunks.at(-1)?.choices[0].finish_reason).toBe('length');
    expect(chunks.at(-1)?.time_info?.simulated_wafer).toEqual(whole.time_info.simulated_wafer);
    // Usage and times ride on the last chunk without asking.
    expect(chunks.slice(0, -1).every((c) => !('usage' in c) && !('time_info' in c))).toBe(true);
    expect(chunks.at(-1)?.usage).toEqual(whole.usage);
  });

  it('ends with a usage chunk when asked, and every other chunk says null', async () => {
    const { api } = createTestApi();
    const chunks = chunksOf(await call(api, CHAT, chat({ stream: true, stream_options: { include_usage: true } })));
    const last = chunks.at(-1);
    expect(chunks.slice(0, -1).every((c) => c.usage === null && c.time_info === undefined)).toBe(true);
    expect(last?.choices).toEqual([]);
    expect(last?.usage).toMatchObject({ prompt_tokens: 5, completion_tokens: 6, total_tokens: 11 });
    expect(last?.time_info?.created).toBe(1_767_225_600);
  });

  it('tells real and simulated times apart, each adding up', async () => {
    const { api } = createTestApi({}, { prefixCache: false }, { tick: 1e-3 });
    const { time_info } = jsonOf<ChatCompletion>(await call(api, CHAT, chat({ n: 2 })));
    const { simulated_wafer: wafer } = time_info;
    for (const t of [time_info, wafer]) {
      if (t === undefined) throw new Error('no simulated times');
      expect(t.queue_time + t.prompt_time + t.completion_time).toBeCloseTo(t.total_time, 5);
      expect(t.total_time).toBeGreaterThan(0);
    }
    // Two prompts of 5 tokens in one step, then 5 steps of two tokens: 10 µs + 0.1 µs per token.
    expect(wafer).toMatchObject({ queue_time: 0, prompt_time: 11e-6, completion_time: 51e-6 });
    expect(wafer?.tokens_per_second).toBeCloseTo(1 / 10.2e-6, 2);
    expect(wafer?.basis).toBe('test wafer: 10 µs per step and 0.1 µs per token');
  });

  it('gives n choices, the first as if alone, and repeats itself under one seed', async () => {
    const { api } = createTestApi();
    const texts = async (over: object): Promise<string[]> =>
      jsonOf<ChatCompletion>(await call(api, CHAT, chat(over))).choices.map((c) => c.message.content ?? '');
    const three = await texts({ n: 3 });
    expect(new Set(three).size).toBe(3);
    expect(await texts({ n: 3 })).toEqual(three);
    expect(await texts({})).toEqual([three[0]]);
    expect(await texts({ seed: 2 })).not.toEqual([three[0]]);
    const [greedy] = await texts({ temperature: 0 });
    expect(await texts({ temperature: 0, seed: 9 })).toEqual([greedy]);
    expect(await texts({ top_k: 1, seed: 9 })).toEqual([greedy]);
    expect(await texts({ top_p: 1e-6, seed: 9 })).toEqual([greedy]);
  });

  it('joins text parts, and reads an echoed assistant message', async () => {
    const { api } = createTestApi();
    const answer = async (messages: object[]): Promise<string> =>
      jsonOf<ChatCompletion>(await call(api, CHAT, chat({ messages }))).choices[0].message.content ?? '';
    const parts = [
      { type: 'text', text: 'the' },
      { type: 'text', text: ' wafer' },
    ];
    expect(await answer([{ role: 'user', content: parts }])).toBe(
      await answer([{ role: 'user', content: 'the wafer' }]),
    );
    const echoed = { role: 'assistant', content: 'x', refusal: null, tool_calls: [] };
    const bare = { role: 'assistant', content: 'x' };
    const user = { role: 'user', content: 'the' };
    expect(await answer([user, echoed, user])).toBe(await answer([user, bare, user]));
    // Histories with refusals come from other services.
    const refused = { role: 'assistant', content: null, refusal: 'x' };
    expect(await answer([user, refused, user])).toBe(await answer([user, bare, user]));
    const part = { role: 'assistant', content: [{ type: 'refusal', refusal: 'x' }] };
    expect(await answer([user, part, user])).toBe(await answer([user, bare, user]));
  });

  it('reports log probabilities with bytes and alternatives', async () => {
    const { api } = createTestApi();
    const { choices } = jsonOf<ChatCompletion>(await call(api, CHAT, chat({ logprobs: true, top_logprobs: 3 })));
    const content = choices[0].logprobs?.content ?? [];
    expect(content.map((t) => t.token).join('')).toBe(choices[0].message.content);
    expect(Buffer.from(content.flatMap((t) => t.bytes ?? [])).toString()).toBe(choices[0].message.content);
    for (const token of content) {
      const top = token.top_logprobs.map((t) => t.logprob);
      expect(top.length).toBe(3);
      expect(top).toEqual([...top].sort((a, b) => b - a));
      expect(token.logprob).toBeLessThanOrEqual(top[0]);
    }
  });
});

describe('completions', () => {
  it('takes every form of prompt, and numbers choices prompt by prompt', async () => {
    const { api } = createTestApi();
    const texts = async (given: unknown, over: object = {}): Promise<string[]> => {
      const { choices } = jsonOf<Completion>(await call(api, '/v1/completions', prompt({ prompt: given, ...over })));
      expect(choices.map((c) => c.index)).toEqual(choices.map((_, i) => i));
      return choices.map((c) => c.text);
    };
    const [wafer] = await texts('the wafer');
    const [x] = await texts('x');
    expect(await texts(['the wafer', 'x'])).toEqual([wafer, x]);
    // Token ids of the two words, and of the byte.
    expect(await texts([258, 265])).toEqual([wafer]);
    expect(await texts([[258, 265], [0x78]])).toEqual([wafer, x]);
    const four = await texts(['the wafer', 'x'], { n: 2 });
    expect([four[0], four[2]]).toEqual([wafer, x]);
    // OpenAI's default length.
    expect(jsonOf<Completion>(await call(api, '/v1/completions', prompt())).usage.completion_tokens).toBe(16);
  });

  it('echoes the prompt, whole and streamed', async () => {
    const { api } = createTestApi();
    const [plain, echoed, tokens] = await Promise.all(
      [{}, { echo: true }, { echo: true, prompt: [258, 265] }].map(async (over) =>
        jsonOf<Completion>(await call(api, '/v1/completions', prompt(over))),
      ),
    );
    expect(echoed.choices[0].text).toBe(`the wafer${plain.choices[0].text}`);
    expect(tokens.choices[0].text).toBe(echoed.choices[0].text);
    const streamed = chunksOf(await call(api, '/v1/completions', prompt({ echo: true, stream: true })));
    expect(streamed.map((c) => c.choices[0].text).join('')).toBe(echoed.choices[0].text);
  });

  it('reports log probabilities as parallel lists', async () => {
    const { api } = createTestApi();
    const { choices } = jsonOf<Completion>(await call(api, '/v1/completions', prompt({ logprobs: 2, max_tokens: 5 })));
    const { text, logprobs } = choices[0];
    expect(logprobs?.tokens.join('')).toBe(text);
    expect(logprobs?.text_offset.map((at, i) => text.startsWith(logprobs.tokens[i], at))).toEqual(Array(5).fill(true));
    expect(logprobs?.top_logprobs.map((top) => Object.keys(top ?? {}).length)).toEqual(Array(5).fill(2));
  });

  it('reports log probabilities of an echoed prompt, whole and streamed, with or without an answer', async () => {
    const { api, engine } = createTestApi();
    const body = prompt({ echo: true, logprobs: 2, max_tokens: 3 });
    const { choices, usage } = jsonOf<Completion>(await call(api, '/v1/completions', body));
    const { text, logprobs } = choices[0];
    expect(logprobs?.tokens.join('')).toBe(text);
    expect(logprobs?.token_logprobs.map((value) => value === null)).toEqual([true, false, false, false, false]);
    expect(logprobs?.top_logprobs[0]).toBeNull();
    expect(logprobs?.text_offset.map((at, i) => text.startsWith(logprobs.tokens[i], at))).toEqual(Array(5).fill(true));
    const chunks = chunksOf(await call(api, '/v1/completions', { ...body, stream: true }));
    expect(chunks.map((c) => c.choices[0].text).join('')).toBe(text);
    const streamed = chunks.map(
      (c) => (c.choices[0] as unknown as Completion['choices'][number]).logprobs ?? undefined,
    );
    for (const key of ['tokens', 'token_logprobs', 'top_logprobs', 'text_offset'] as const)
      expect(streamed.flatMap((part) => (part?.[key] ?? []) as unknown[])).toEqual(logprobs?.[key]);

    const scored = jsonOf<Completion>(await call(api, '/v1/completions', { ...body, max_tokens: 0 }));
    expect(scored.choices[0]).toMatchObject({ text: 'the wafer', finish_reason: 'length' });
    expect(scored.choices[0].logprobs?.token_logprobs).toEqual(logprobs?.token_logprobs.slice(0, 2));
    expect(scored.usage).toMatchObject({ prompt_tokens: usage.prompt_tokens, completion_tokens: 0 });
    expect(engine.counts.blocksUsed).toBe(0);
  });

  it('stops at a string that spans tokens, and does not show it', async () => {
    const { api } = createTestApi();
    const whole = jsonOf<Completion>(await call(api, '/v1/completions', prompt())).choices[0].text;
    const stop = whole.slice(4, 8);
    const body = prompt({ stop });
    const { choices } = jsonOf<Completion>(await call(api, '/v1/completions', body));
    expect(choices[0]).toMatchObject({ text: whole.slice(0, whole.indexOf(stop)), finish_reason: 'stop' });
    const chunks = chunksOf(await call(api, '/v1/completions', { ...body, stream: true }));
    expect(chunks.map((c) => c.choices[0].text).join('')).toBe(choices[0].text);
  });
});

describe('failures', () => {
  it('are error bodies with all four keys, a request id and the right status', async () => {
    const { api } = createTestApi({}, {}, { chat: false });
    const refused = await call(api, CHAT, chat());
    expect(refused.headers['x-request-id']).toMatch(/^req_[0-9a-f]{32}$/);
    expect(Object.keys(jsonOf<ErrorBody>(refused).error)).toEqual(['message', 'type', 'param', 'code']);
    expect(errorOf(refused)).toMatchObject({ status: 400, code: 'chat_not_supported', param: 'messages' });
  });

  it.each([
    [{ messages: undefined }, 'missing_required_parameter', 'messages'],
    [{ messages: [] }, 'invalid_value', 'messages'],
    [{ messages: 'hi' }, 'invalid_value', 'messages'],
    [{ messages: [{ role: 'robot', content: '' }] }, 'invalid_value', 'messages[0].role'],
    [{ messages: [{ role: 'tool', content: '' }] }, 'invalid_value', 'messages[0].tool_call_id'],
    [
      { messages: [{ role: 'user', content: '', tool_calls: [{ id: 'a' }] }] },
      'unsupported_parameter',
      'messages[0].tool_calls',
    ],
    [
      { messages: [{ role: 'assistant', content: '', tool_calls: [{ id: 'a', function: { name: 'f' } }] }] },
      'invalid_value',
      'messages[0].tool_calls[0].function.arguments',
    ],
    [{ messages: [{ role: 'user' }] }, 'invalid_value', 'messages[0].content'],
    [
      { messages: [{ role: 'user', content: [{ type: 'image_url' }] }] },
      'unsupported_value',
      'messages[0].content[0].type',
    ],
    [{ messages: [{ role: 'assistant', content: 'x' }] }, 'invalid_messages', 'messages'],
    [{ temperature: 3 }, 'invalid_value', 'temperature'],
    [{ temperature: '1' }, 'invalid_value', 'temperature'],
    [{ n: 0 }, 'invalid_value', 'n'],
    [{ max_tokens: 0 }, 'invalid_value', 'max_tokens'],
    [{ max_tokens: 2 ** 53 }, 'invalid_value', 'max_tokens'],
    [{ max_tokens: undefined, max_completion_tokens: 1e300 }, 'invalid_value', 'max_completion_tokens'],
    [{ max_tokens: Number.MAX_SAFE_INTEGER }, 'context_length_exceeded', 'messages'],
    [{ max_completion_tokens: 7 }, 'invalid_value', 'max_tokens'],
    [{ stop: '' }, 'invalid_value', 'stop'],
    [{ top_logprobs: 2 }, 'invalid_value', 'top_logprobs'],
    [{ stream_options: { include_usages: true } }, 'invalid_value', 'stream_options'],
    [{ temprature: 1 }, 'unknown_parameter', 'temprature'],
    [{ constructor: 1 }, 'unknown_parameter', 'constructor'],
    [{ nonsense: null }, 'unknown_parameter', 'nonsense'],
    [{ tools: [{ type: 'function' }] }, 'invalid_value', 'tools[0].function'],
    [{ tools: [{ type: 'web_search' }] }, 'invalid_value', 'tools[0].type'],
    [{ tools: [{ type: 'function', function: { name: 'a b' } }] }, 'invalid_value', 'tools[0].function.name'],
    [{ tool_choice: 'required' }, 'invalid_value', 'tool_choice'],
    [{ tool_choice: { type: 'allowed_tools' } }, 'invalid_value', 'tool_choice.allowed_tools'],
    [
      { tool_choice: { type: 'allowed_tools', allowed_tools: { mode: 'auto', tools: [{ type: 'function' }] } } },
      'invalid_value',
      'tool_choice',
    ],
    [{ response_format: { type: 'xml' } }, 'invalid_value', 'response_format.type'],
    [{ response_format: { type: 'json_schema' } }, 'invalid_value', 'response_format.json_schema'],
    [
      { response_format: { type: 'json_schema', json_schema: { name: 'x', schema: { not: {} } } } },
      'invalid_schema',
      'response_format',
    ],
    [{ logit_bias: { 5: 101 } }, 'invalid_value', 'logit_bias'],
    [{ logit_bias: { five: 1 } }, 'invalid_value', 'logit_bias'],
    [{ logit_bias: { 5000: 1 } }, 'invalid_value', 'logit_bias'],
    [{ frequency_penalty: 2.5 }, 'invalid_value', 'frequency_penalty'],
    [{ repetition_penalty: 0 }, 'invalid_value', 'repetition_penalty'],
    [{ min_tokens: 7 }, 'invalid_value', 'min_tokens'],
    [{ service_tier: 'scale' }, 'invalid_value', 'service_tier'],
    [{ reasoning_effort: 'much' }, 'invalid_value', 'reasoning_effort'],
    [{ prediction: { type: 'content' } }, 'invalid_value', 'prediction.content'],
    [{ prediction: { type: 'content', content: 'x' }, n: 2 }, 'invalid_value', 'prediction'],
    [{ audio: {} }, 'unsupported_parameter', 'audio'],
    [{ store: true }, 'unsupported_parameter', 'store'],
    [{ max_tokens: 10_000 }, 'context_length_exceeded', 'messages'],
  ])('refuses %j', async (over, code, param) => {
    const { api, failures } = createTestApi();
    expect(errorOf(await call(api, CHAT, chat(over)))).toMatchObject({
      status: 400,
      type: 'invalid_request_error',
      code,
      param,
    });
    expect(failures).toEqual([]);
  });

  it('refuses a text that cannot fit before it encodes it', async () => {
    const { api, failures, tokenizer, engine } = createTestApi();
    // The longest token of the test tokenizer is `<|assistant|>`.
    const most = engine.maxContext * '<|assistant|>'.length;
    const encoded: number[] = [];
    const { encode } = tokenizer;
    Object.assign(tokenizer, {
      encode(text: string, options?: object) {
        encoded.push(text.length);
        return encode(text, options);
      },
    });
    const long = 'x'.repeat(most + 1);
    const many = Array.from({ length: engine.maxContext + 1 }, () => ({ role: 'user', content: '' }));
    for (const [path, body] of [
      [CHAT, chat({ messages: [{ role: 'user', content: long }] })],
      [CHAT, chat({ messages: many })],
      ['/v1/completions', prompt({ prompt: long })],
      ['/v1/completions', prompt({ prompt: ['a', long] })],
    ] as const) {
      const { status, code, param } = errorOf(await call(api, path, body));
      expect([status, code, param]).toEqual([400, 'context_length_exceeded', path === CHAT ? 'messages' : 'prompt']);
    }
    expect(encoded).toEqual([]);
    // At the bound it is the tokens that are counted.
    await call(api, '/v1/completions', prompt({ prompt: long.slice(1) }));
    expect(encoded).toEqual([most]);
    expect(failures).toEqual([]);
  });

  it('refuses more messages than a template may be rendered for', async () => {
    const { api, failures } = createTestApi();
    const messages = Array.from({ length: 10_001 }, () => ({ role: 'user', content: '' }));
    expect(errorOf(await call(api, CHAT, chat({ messages })))).toMatchObject({ status: 400, param: 'messages' });
    const fewer = errorOf(await call(api, CHAT, chat({ messages: messages.slice(1) })));
    expect(fewer.code).toBe('context_length_exceeded');
    expect(failures).toEqual([]);
  });

  it('tells back no more than the beginning of a long name', async () => {
    const { api } = createTestApi();
    const name = 'x'.repeat(1_000_000);
    for (const body of [
      chat({ [name]: 1 }),
      chat({ messages: [{ role: 'user', content: '', [name]: 1 }] }),
      chat({ model: name }),
      chat({ temperature: name }),
    ]) {
      expect((await call(api, CHAT, body)).text.length).toBeLessThan(600);
    }
  });

  it('accepts what changes nothing', async () => {
    const { api } = createTestApi();
    const harmless = {
      user: 'u',
      metadata: { a: 'b' },
      store: false,
      service_tier: 'auto',
      response_format: { type: 'text' },
      frequency_penalty: 0,
      presence_penalty: null,
      logit_bias: {},
      tools: [],
      tool_choice: 'none',
      parallel_tool_calls: true,
      modalities: ['text'],
      stop: [],
      top_k: -1,
      prompt_cache_key: 'k',
    };
    const plain = jsonOf<ChatCompletion>(await call(api, CHAT, chat()));
    const laden = await call(api, CHAT, chat(harmless));
    expect(laden.status).toBe(200);
    expect(jsonOf<ChatCompletion>(laden).choices).toEqual(plain.choices);
  });

  it.each([
    [{ prompt: '' }, 'invalid_prompt', 'prompt'],
    [{ prompt: [] }, 'invalid_value', 'prompt'],
    [{ prompt: [1.5] }, 'invalid_value', 'prompt'],
    [{ prompt: [5000] }, 'invalid_prompt', 'prompt'],
    [{ prompt: ['a', 'b'], n: 65 }, 'invalid_value', 'prompt'],
    [{ max_tokens: 0 }, 'invalid_value', 'max_tokens'],
    [{ return_raw_tokens: true, echo: true }, 'invalid_value', 'echo'],
    [{ suffix: 'x', echo: true }, 'invalid_value', 'echo'],
    [{ suffix: 'x', prompt: [5] }, 'invalid_value', 'prompt'],
    [{ grammar_root: 'x' }, 'unsupported_parameter', 'grammar_root'],
    [{ best_of: 4 }, 'unsupported_parameter', 'best_of'],
    [{ suffix: 'x' }, 'suffix_not_supported', 'suffix'],
    [{ prompt: 'x'.repeat(300) }, 'context_length_exceeded', 'prompt'],
  ])('refuses the completion %j', async (over, code, param) => {
    const { api } = createTestApi();
    expect(errorOf(await call(api, '/v1/completions', prompt(over)))).toMatchObject({ status: 400, code, param });
  });

  it.each(['messages', 'temperature', 'modalities', 'tools', 'response_format', 'stop', 'stream_options', 'n', 'user'])(
    'refuses lists 200,000 deep in %s as the client that sends them deserves',
    async (name) => {
      const { api, failures } = createTestApi();
      const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`;
      const body = (value: string): string =>
        JSON.stringify(chat({ [name]: 0 })).replace(`"${name}":0`, `"${name}":${value}`);
      const values = name === 'messages' ? [deep, `[{"role":${deep}}]`, `[{"role":"user","content":${deep}}]`] : [deep];
      for (const value of values) {
        const answer = errorOf(await call(api, CHAT, body(value)));
        if (name === 'user') expect(answer.status).toBe(200);
        else expect(answer).toMatchObject({ status: 400, param: expect.stringContaining(name) as unknown });
        const prompt = await call(api, '/v1/completions', `{"model":"${TEST_MODEL}","prompt":${value}}`);
        expect(errorOf(prompt)).toMatchObject({ status: 400, param: 'prompt' });
      }
      expect(failures).toEqual([]);
    },
  );

  it.each([
    ['response_format', '{"type":"json_schema","json_schema":{"name":"x","schema":%}}'],
    ['tools', '[{"type":"function","function":{"name":"f","parameters":%}}]'],
  ])('refuses schemas nested too deep in %s, wherever they would be read', async (name, around) => {
    const { api, failures } = createTestApi();
    const nested = (levels: number): string =>
      `${'{"properties":{"a":'.repeat(levels)}{}${'},"type":"object"}'.repeat(levels)}`;
    for (const levels of [300, 3000, 50_000]) {
      const body = JSON.stringify(chat({ [name]: 0 })).replace(`"${name}":0`, `"${name}":${around}`);
      const answer = errorOf(await call(api, CHAT, body.replace('%', nested(levels))));
      expect(answer).toMatchObject({ status: 400, param: name });
    }
    expect(failures).toEqual([]);
  });

  it.each([
    ['/v1/nonsense', 'GET', '', 404, 'unknown_url'],
    ['/v1/models/%E0%A4%A', 'GET', '', 404, 'unknown_url'],
    ['/v1/models/other', 'GET', '', 404, 'model_not_found'],
    [CHAT, 'GET', '', 405, 'method_not_allowed'],
    ['/health', 'constructor', '', 405, 'method_not_allowed'],
    [CHAT, 'POST', '{"model":', 400, 'invalid_json'],
    [CHAT, 'POST', '', 400, 'invalid_json'],
    [CHAT, 'POST', '[1]', 400, 'invalid_type'],
    [CHAT, 'POST', '{"model":"other","messages":[{"role":"user","content":""}]}', 404, 'model_not_found'],
  ])('answers %s %s %j with %i %s', async (path, method, body, status, code) => {
    const { api } = createTestApi();
    expect(errorOf(await call(api, path, body, { method }))).toMatchObject({ status, code });
  });

  it('of the executor before the first token are a status, and after it an error event and a cut', async () => {
    const failing = (step: number) => {
      const test = createTestApi({
        onStep: () => {
          if (test.executor.steps === step) throw new Error('secret of the executor');
        },
      });
      return test;
    };
    const early = failing(1);
    const refused = await call(early.api, CHAT, chat({ stream: true }));
    expect(errorOf(refused)).toMatchObject({ status: 500, type: 'server_error', code: 'executor_failed' });

    const late = failing(3);
    const cut = await call(late.api, CHAT, chat({ stream: true }));
    expect(cut.status).toBe(200);
    expect(cut.error).toBeInstanceOf(Error);
    const events = eventsOf(cut);
    expect(JSON.parse(events.at(-1) as string)).toMatchObject({
      error: { type: 'server_error', code: 'executor_failed' },
    });
    expect(events).not.toContain('[DONE]');
    expect(events.join()).not.toContain('secret');

    for (const { api, engine, failures } of [early, late]) {
      expect(failures.length).toBe(1);
      expect(engine.counts.blocksUsed).toBe(0);
      expect((await call(api, CHAT, chat())).status).toBe(200);
    }
  });

  it('of a damaged chat template name it, to the client and to the operator', async () => {
    const { api, failures } = createTestApi({}, {}, { chat: '{% for message in %}' });
    expect(errorOf(await call(api, CHAT, chat()))).toMatchObject({
      status: 500,
      type: 'server_error',
      code: 'chat_template_invalid',
    });
    expect(failures).toEqual([expect.objectContaining({ wireCode: 'chat_template_invalid' })]);
    expect((await call(api, '/v1/completions', prompt())).status).toBe(200);
  });

  it('of a full queue ask the client to come again', async () => {
    const { api } = createTestApi({}, { maxWaiting: 1 });
    const refused = await call(api, CHAT, chat({ n: 2 }));
    expect(errorOf(refused)).toMatchObject({ status: 503, type: 'server_error', code: 'overloaded' });
    expect(refused.headers['retry-after']).toBe('1');
  });
});

describe('the rest', () => {
  it('stops the work of a client that leaves, in a stream or waiting for a whole answer', async () => {
    const aborter = new AbortController();
    const { api, engine, executor } = createTestApi({
      onStep: () => {
        if (executor.steps === 4) aborter.abort();
      },
    });
    const long = { max_tokens: 200, signal: undefined };
    await Promise.all(
      [true, false].map((stream) => call(api, CHAT, chat({ ...long, stream }), { signal: aborter.signal })),
    );
    expect(executor.steps).toBe(4);
    expect(engine.counts).toMatchObject({ waiting: 0, running: 0, blocksUsed: 0 });
  });

  it('answers health, warming and HEAD', async () => {
    const { api } = createTestApi();
    expect((await call(api, '/health')).text).toBe('{"status":"ok"}');
    expect((await call(api, '/v1/tcp_warming')).status).toBe(204);
    expect((await call(api, '/v1/models', undefined, { method: 'HEAD' })).status).toBe(200);
  });

  it('counts what it did, under names that Prometheus accepts', async () => {
    const { api } = createTestApi({}, { prefixCache: false });
    await call(api, CHAT, chat({ n: 2 }));
    await call(api, '/nonsense');
    await call(api, '/metrics');
    const { text, headers } = await call(api, '/metrics');
    expect(headers['content-type']).toMatch('text/plain');
    const value = (name: string): number => {
      const line = text.split('\n').find((l) => l.startsWith(`${name} `) || l.startsWith(`${name}{`));
      return Number(line?.split(' ').at(-1));
    };
    expect(value('ingot_generated_tokens_total')).toBe(12);
    expect(value('ingot_prompt_tokens_total')).toBe(10);
    expect(value('ingot_time_to_first_token_seconds_count')).toBe(2);
    expect(value('ingot_inter_token_latency_seconds_count')).toBe(10);
    expect(value('ingot_simulated_wafer_busy_seconds_total')).toBeCloseTo(62e-6, 9);
    expect(value('ingot_kv_blocks_used')).toBe(0);
    expect(text).toContain('ingot_http_responses_total{route="unknown",status="404"} 1');
    // The wafer's 10.2 µs per token fall into the first bucket, 50 µs.
    expect(text).toContain(
      'ingot_simulated_wafer_inter_token_latency_seconds_bucket{le="0.00005",model="ingot-test"} 10',
    );

    const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)];
    expect(types.length).toBeGreaterThan(15);
    for (const [, name, type] of types) {
      expect(name).toMatch(/^ingot_[a-z_]+$/);
      expect(name.endsWith('_total')).toBe(type === 'counter');
      if (type === 'histogram') expect(name).toMatch(/_seconds$/);
      expect(text).toContain(`# HELP ${name} `);
    }
  });
});

// Answers whose form is asked for: formats, calls, thoughts, penalties; and what requests say beside the body.
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';

import { seconds } from '../../core/index.ts';
import type { ChatCompletion, ChatLogprobs, ErrorBody, TimeInfo } from '../../protocol/index.ts';
import { createNgramDrafter } from '../speculation/index.ts';
import { chatTemplates } from '../testing/chat-templates.ts';
import { call, createTestApi, TEST_MODEL, type TestApi } from '../testing/test-api.ts';

const CHAT = '/v1/chat/completions';
const chat = (over: object = {}): object => ({
  model: TEST_MODEL,
  messages: [{ role: 'user', content: 'the wafer' }],
  seed: 1,
  ...over,
});
const roomy = { maxContext: 4096, blocks: 1024, maxStepTokens: 512 };
const apiOf = (template: keyof typeof chatTemplates): TestApi =>
  createTestApi(roomy, {}, { chat: chatTemplates[template] });

async function ask(api: TestApi['api'], over: object = {}): Promise<ChatCompletion> {
  const { status, text } = await call(api, CHAT, chat(over));
  expect(status, text).toBe(200);
  return JSON.parse(text) as ChatCompletion;
}

interface StreamChunk {
  readonly choices: { index: number; delta: Delta }[];
  readonly usage?: object;
  readonly time_info?: TimeInfo;
}

interface Delta {
  role?: string;
  content?: string;
  reasoning?: string;
  tool_calls?: { index: number; id?: string; function: { name?: string; arguments: string } }[];
}

/** The message that a stream's deltas make. */
async function askStream(api: TestApi['api'], over: object = {}): Promise<{ message: object; reason: string }> {
  const { text } = await call(api, CHAT, chat({ ...over, stream: true }));
  let content = '';
  let reasoning = '';
  let reason = '';
  const calls: { id: string; name: string; text: string }[] = [];
  for (const line of text.split('\n\n').slice(0, -2)) {
    const { choices } = JSON.parse(line.slice(6)) as { choices: { delta: Delta; finish_reason: string | null }[] };
    const [{ delta, finish_reason }] = choices;
    reason = finish_reason ?? reason;
    content += delta.content ?? '';
    reasoning += delta.reasoning ?? '';
    for (const fragment of delta.tool_calls ?? []) {
      const { index, id, function: fn } = fragment;
      // The first fragment names the call; later ones have neither id nor name.
      if (calls[index] === undefined) calls[index] = { id: id as string, name: fn.name as string, text: '' };
      else expect([id, fn.name]).toEqual([undefined, undefined]);
      calls[index].text += fn.arguments;
    }
  }
  return {
    reason,
    message: {
      content,
      ...(reasoning === '' ? {} : { reasoning }),
      calls: calls.map(({ name, text: given }) => ({ name, arguments: given })),
    },
  };
}

const simplify = ({ choices: [{ message, finish_reason }] }: ChatCompletion): object => ({
  reason: finish_reason,
  message: {
    content: message.content ?? '',
    ...(message.reasoning === undefined ? {} : { reasoning: message.reasoning }),
    calls: (message.tool_calls ?? []).map(({ function: fn }) => fn),
  },
});

const schema = {
  type: 'object',
  properties: {
    color: { enum: ['red', 'green'] },
    count: { type: 'integer', minimum: 3, maximum: 12 },
    at: { type: 'string', format: 'date' },
    tags: { type: 'array', items: { type: 'boolean' }, maxItems: 2 },
  },
  required: ['color', 'count', 'at', 'tags'],
  additionalProperties: false,
};
const tool = (name: string, parameters?: object, strict = false): object => ({
  type: 'function',
  function: { name, description: 'd', ...(parameters === undefined ? {} : { parameters }), strict },
});
const tools = [tool('paint', schema), tool('wait')];

describe('formats', () => {
  it('hold every answer to its schema, whole and streamed alike', async () => {
    const { api, engine } = createTestApi(roomy);
    const validate = new Ajv2020({ strict: false, formats: { date: /^\d{4}-\d\d-\d\d$/ } }).compile(schema);
    const response_format = { type: 'json_schema', json_schema: { name: 'x', strict: true, schema } };
    for (const temperature of [0, 1, 2]) {
      for (let seed = 0; seed < 4; seed++) {
        const answer = await ask(api, { response_format, temperature, seed });
        expect(answer.choices[0].finish_reason).toBe('stop');
        expect(validate(JSON.parse(answer.choices[0].message.content ?? ''))).toBe(true);
        expect(await askStream(api, { response_format, temperature, seed })).toEqual(simplify(answer));
      }
    }
    // The name that other open servers have for it.
    const other = { type: 'json_object', schema };
    expect(await ask(api, { response_format: other, seed: 5 }).then(simplify)).toEqual(
      await ask(api, { response_format, seed: 5 }).then(simplify),
    );
    expect(engine.counts).toMatchObject({ running: 0, blocksUsed: 0 });
  });

  it('hold answers without a schema to an object, through penalties, biases and a least length', async () => {
    const { api, tokenizer } = createTestApi(roomy);
    const [brace] = tokenizer.encode('}');
    const { choices } = await ask(api, {
      response_format: { type: 'json_object' },
      frequency_penalty: 2,
      repetition_penalty: 1.5,
      logit_bias: { [brace]: -100 },
      min_tokens: 40,
      max_tokens: 60,
    });
    const text = choices[0].message.content ?? '';
    expect(text[0]).toBe('{');
    expect(choices[0].finish_reason).toBe('length');
  });

  it('are refused with every problem of the schema', async () => {
    const { api } = createTestApi();
    const bad = { type: 'object', properties: { a: { not: {} }, b: { type: 'string', pattern: '\\b' } } };
    const response_format = { type: 'json_schema', json_schema: { name: 'x', schema: bad } };
    const { status, text } = await call(api, CHAT, chat({ response_format }));
    const { error } = JSON.parse(text) as ErrorBody;
    expect(status).toBe(400);
    expect(error).toMatchObject({ code: 'invalid_schema', param: 'response_format' });
    expect(error.message).toContain('response_format.json_schema.schema.properties.a.not: the keyword "not"');
    expect(error.message).toContain('properties.b.pattern');
  });
});

describe('tools', () => {
  it.each(['hermes', 'mistral', 'llama3', 'thinking', 'plain'] as const)(
    'are called as %s writes it, when they must be',
    async (template) => {
      const { api } = apiOf(template);
      const validate = new Ajv2020({ strict: false, formats: { date: /^\d{4}-\d\d-\d\d$/ } }).compile(schema);
      const ended = { reasoning_effort: 'none', parallel_tool_calls: false };
      for (let seed = 0; seed < 3; seed++) {
        const named = await ask(api, {
        ...ended, tools, seed, tool_choice: { type: 'function', function: { name: 'paint' } },
      }); // prettier-ignore
        const [{ message, finish_reason }] = named.choices;
        expect(finish_reason).toBe('tool_calls');
        expect(message.content).toBeNull();
        expect(message.tool_calls?.length).toBe(1);
        expect(message.tool_calls?.[0].function.name).toBe('paint');
        expect(validate(JSON.parse(message.tool_calls?.[0].function.arguments ?? ''))).toBe(true);
        if (template === 'mistral') expect(message.tool_calls?.[0].id).toMatch(/^[0-9a-f]{9}$/);

        const required = { ...ended, tools, seed, tool_choice: 'required' };
        const whole = await ask(api, required);
        expect(['paint', 'wait']).toContain(whole.choices[0].message.tool_calls?.[0].function.name);
        expect(await askStream(api, required)).toEqual(simplify(whole));
      }
    },
  );

  it('share what their patterns may take from everybody', async () => {
    const { api } = apiOf('plain');
    const a = { type: 'string', format: 'email', pattern: '^(?:a|b)*a(?:a|b){5}@' };
    const parameters = { type: 'object', properties: { a }, required: ['a'], additionalProperties: false };
    const toolsOf = (count: number): object[] =>
      Array.from({ length: count }, (_, i) => ({ type: 'function', function: { name: `f${i}`, parameters } }));
    const body = { tool_choice: 'required', max_tokens: 1 };
    expect((await call(api, CHAT, chat({ ...body, tools: toolsOf(1) }))).status).toBe(200);
    const { status, text } = await call(api, CHAT, chat({ ...body, tools: toolsOf(100) }));
    expect(status).toBe(400);
    expect(text).toContain('more work than a request may make');
  });

  it('that may be called leave the answer free, and reach the template with their results', async () => {
    const { api, tokenizer } = apiOf('hermes');
    const seen: string[] = [];
    const { encode } = tokenizer;
    Object.assign(tokenizer, {
      encode(text: string, options?: object) {
        seen.push(text);
        return encode(text, options);
      },
    });
    const answer = await ask(api, {
      tools,
      max_tokens: 5,
      messages: [
        { role: 'user', content: 'paint' },
        {
          role: 'assistant',
          content: null,
          tool_calls: [{ id: 'c1', type: 'function', function: { name: 'paint', arguments: '{"color": "red"}' } }],
        },
        { role: 'tool', tool_call_id: 'c1', content: 'done' },
      ],
    });
    expect(answer.choices[0].message.tool_calls).toBeUndefined();
    const prompt = seen.at(-1) ?? '';
    expect(prompt).toContain('"description": "d"');
    // Arguments stand in templates as objects.
    expect(prompt).toContain('<tool_call>{"name": "paint", "arguments": {"color": "red"}}</tool_call>');
    expect(prompt).toContain('<|user|>done<|end|>');
    // Those that are nested too deep for that are written as they came.
    const deep = `${'['.repeat(600)}${']'.repeat(600)}`;
    const call = { id: 'c1', type: 'function', function: { name: 'paint', arguments: deep } };
    const messages = [{ role: 'assistant', content: null, tool_calls: [call] }];
    await ask(api, { tools, messages, max_tokens: 1 });
    expect(seen.at(-1)).toContain(`"arguments": "${deep}"`);
    // The model is told of those only that it may call.
    const other = { type: 'function', function: { name: 'erase', description: 'e' } };
    const allowed = { mode: 'auto', tools: [{ type: 'function', function: { name: 'erase' } }] };
    const tool_choice = { type: 'allowed_tools', allowed_tools: allowed };
    await ask(api, { tools: [...tools, other], max_tokens: 5, tool_choice });
    expect(seen.at(-1)).toContain('"description": "e"');
    expect(seen.at(-1)).not.toContain('"description": "d"');
    await ask(api, { tools, max_tokens: 5, tool_choice: 'none' });
    expect(seen.at(-1)).not.toContain('"description"');
    // A template that does not speak of developers takes them for the system.
    await ask(api, { messages: [{ role: 'developer', content: 'Be brief.' }], max_tokens: 1 });
    expect(seen.at(-1)).toContain('<|system|>Be brief.');
  });

  it.each([
    ['mistral', ['[TOOL_CALLS]']],
    ['hermes', ['<tool_call>', '</tool_call>']],
    ['thinking', ['<tool_call>', '</tool_call>', '<think>', '</think>']],
  ] as const)('are called by the special tokens of %s too', async (template, marks) => {
    const { api, tokenizer } = createTestApi(roomy, {}, { chat: chatTemplates[template], marks });
    const body = { tools, tool_choice: 'required', parallel_tool_calls: false, reasoning_effort: 'none' };
    const whole = await ask(api, { ...body, logprobs: true });
    expect(whole.choices[0].message.tool_calls?.length).toBe(1);
    expect(whole.choices[0].message.content).toBeNull();
    // One token, not its letters: the model was trained on that one.
    const [mark] = tokenizer.encode(marks[0]);
    expect(whole.choices[0].logprobs?.content[0].token).toBe(tokenizer.tokenText(mark));
    expect(await askStream(api, body)).toEqual(simplify(whole));
  });

  it('that are strict hold a call to the schema even where none is asked for', async () => {
    // The model wants nothing but `<tool_call>`, then anything.
    const mark = '<tool_call>\n{"name": "paint", "arguments": ';
    const test = createTestApi(
      {
        ...roomy,
        edit(logits, tokens) {
          const written = test.tokenizer.decode(tokens, { skipSpecial: false }).split('<|assistant|>').at(-1) ?? '';
          if (!mark.startsWith(written) || written === mark) return;
          const [next] = test.tokenizer.encode(mark[written.length]);
          logits.fill(-50);
          logits[next] = 50;
        },
      },
      {},
      { chat: chatTemplates.hermes },
    );
    const validate = new Ajv2020({ strict: false, formats: { date: /^\d{4}-\d\d-\d\d$/ } }).compile(schema);
    const { choices } = await ask(test.api, { tools: [tool('paint', schema, true)], parallel_tool_calls: false });
    expect(choices[0].finish_reason).toBe('tool_calls');
    expect(validate(JSON.parse(choices[0].message.tool_calls?.[0].function.arguments ?? ''))).toBe(true);
  });
});

describe('thoughts', () => {
  const thinking = (): TestApi => {
    const script = 'hm, so</think>yes';
    const test: TestApi = createTestApi(
      {
        ...roomy,
        edit(logits, tokens) {
          const written = test.tokenizer.decode(tokens, { skipSpecial: false }).split('<think>').at(-1) ?? '';
          const rest = script.startsWith(written) ? script.slice(written.length) : '';
          const [next] = rest === '' ? test.tokenizer.eosIds : test.tokenizer.encode(rest[0]);
          logits.fill(-50);
          logits[next] = 50;
        },
      },
      {},
      { chat: chatTemplates.thinking },
    );
    return test;
  };

  it('stand apart from the content, and are counted', async () => {
    const { api } = thinking();
    const answer = await ask(api);
    expect(answer.choices[0].message).toEqual({
      role: 'assistant',
      content: 'yes',
      refusal: null,
      reasoning: 'hm, so',
    });
    expect(await askStream(api)).toEqual(simplify(answer));
    const { completion_tokens, completion_tokens_details } = answer.usage;
    expect(completion_tokens_details.reasoning_tokens).toBeGreaterThanOrEqual('hm, so'.length);
    expect(completion_tokens_details.reasoning_tokens).toBeLessThan(completion_tokens - 'yes'.length + 1);
  });

  it('stay within the content, or out of sight, where that is asked', async () => {
    const { api } = thinking();
    const content = async (over: object): Promise<unknown> => (await ask(api, over)).choices[0].message;
    expect(await content({ reasoning_format: 'raw' })).toMatchObject({ content: 'hm, so</think>yes' });
    const hidden = await content({ reasoning_format: 'hidden' });
    expect(hidden).toMatchObject({ content: 'yes' });
    expect(hidden).not.toHaveProperty('reasoning');
  });

  it('have log probabilities of their own, whole and streamed, and none where they are hidden', async () => {
    const { api } = thinking();
    const textOf = (logprobs?: ChatLogprobs | null): string =>
      (logprobs?.content ?? []).map(({ token }) => token).join('');
    const [whole] = (await ask(api, { logprobs: true })).choices;
    expect(textOf(whole.logprobs)).toBe('yes');
    expect(textOf(whole.reasoning_logprobs)).toBe('hm, so</think>');
    const { text } = await call(api, CHAT, chat({ logprobs: true, stream: true }));
    const streamed = { logprobs: '', reasoning_logprobs: '' };
    for (const line of text.split('\n\n').slice(0, -2)) {
      const { choices } = JSON.parse(line.slice(6)) as ChatCompletion;
      for (const key of ['logprobs', 'reasoning_logprobs'] as const) streamed[key] += textOf(choices[0][key]);
    }
    expect(streamed).toEqual({ logprobs: 'yes', reasoning_logprobs: 'hm, so</think>' });
    const [hidden] = (await ask(api, { logprobs: true, reasoning_format: 'hidden' })).choices;
    expect(textOf(hidden.logprobs)).toBe('yes');
    expect(hidden).not.toHaveProperty('reasoning_logprobs');
    const concealed = await call(api, CHAT, chat({ logprobs: true, reasoning_format: 'hidden', stream: true }));
    expect(concealed.text).not.toMatch(/think|reasoning_logprobs/);
  });

  it('go before a format, which holds the content only', async () => {
    const { api } = thinking();
    const response_format = { type: 'json_schema', json_schema: { name: 'x', schema: { type: 'boolean' } } };
    const { message } = (await ask(api, { response_format })).choices[0];
    expect(message.reasoning).toBe('hm, so');
    expect(['true', 'false']).toContain(message.content);
    // Without thoughts nothing goes before it.
    const bare = (await ask(api, { response_format, reasoning_effort: 'none' })).choices[0].message;
    expect(['true', 'false']).toContain(bare.content);
    expect(bare).not.toHaveProperty('reasoning');
  });
});

describe('rules on tokens', () => {
  it('a bias forces a token, or forbids it', async () => {
    const { api, tokenizer } = createTestApi();
    const [x] = tokenizer.encode('x');
    const text = async (over: object): Promise<string | null> =>
      (await ask(api, { max_tokens: 6, ignore_eos: true, ...over })).choices[0].message.content;
    expect(await text({ logit_bias: { [x]: 100 } })).toBe('xxxxxx');
    // Penalties of two for each time, against a start of 100, give way in the end.
    const many = await text({ logit_bias: { [x]: 8 }, frequency_penalty: 2, max_tokens: 30, temperature: 0 });
    expect(many).toMatch(/^x{2,}/);
    expect(many).not.toBe('x'.repeat(30));
  });

  it('a least length keeps the end away', async () => {
    const { api, tokenizer } = createTestApi();
    const [eos] = tokenizer.eosIds;
    const ending = { logit_bias: { [eos]: 100 }, max_tokens: 9 };
    expect((await ask(api, ending)).usage.completion_tokens).toBe(1);
    expect((await ask(api, { ...ending, min_tokens: 4 })).usage.completion_tokens).toBe(5);
    expect((await ask(api, { ...ending, min_completion_tokens: 6 })).usage.completion_tokens).toBe(7);
  });
});

describe('streamed tokens that travel together', () => {
  it('are all there, in fewer events, with the bound in time_info and metrics', async () => {
    const wait = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 2));
    const apart = createTestApi();
    const together = createTestApi({}, {}, { coalescing: { bound: seconds(0.002), wait } });
    const body = chat({ max_tokens: 60, ignore_eos: true, stream: true, n: 2 });
    const read = async (api: TestApi['api']) => {
      const events = (await call(api, CHAT, body)).text.split('\n\n').slice(0, -2);
      const chunks = events.map((event) => JSON.parse(event.slice(6)) as StreamChunk);
      const texts = ['', ''];
      for (const { choices } of chunks) for (const { index, delta } of choices) texts[index] += delta.content ?? '';
      return { texts, count: chunks.length, last: chunks.at(-1) };
    };
    const [one, other] = [await read(apart.api), await read(together.api)];
    expect(other.texts).toEqual(one.texts);
    expect(other.count).toBeLessThan(one.count);
    expect(other.last?.usage).toEqual(one.last?.usage);
    expect(one.last?.time_info?.coalesce_ms).toBeUndefined();
    expect(other.last?.time_info?.coalesce_ms).toBe(2);
    expect((await call(together.api, '/metrics')).text).toContain('ingot_stream_coalesce_seconds 0.002');
  });
});

describe('beside the body', () => {
  const send = (api: TestApi['api'], headers: Record<string, string>, over: object = {}) =>
    api.handle({
      method: 'POST',
      path: CHAT,
      body: JSON.stringify(chat({ max_tokens: 2, ...over })),
      headers,
      signal: new AbortController().signal,
    });

  it('a request keeps the name that its client gave it, if it can stand in a log', async () => {
    const { api } = createTestApi();
    expect((await send(api, { 'x-request-id': 'trace-7/a.b' })).headers['x-request-id']).toBe('trace-7/a.b');
    for (const id of ['', 'a b', 'x'.repeat(200), 'a\nb']) {
      expect((await send(api, { 'x-request-id': id })).headers['x-request-id']).toMatch(/^req_/);
    }
  });

  it('tells the limits of the server', async () => {
    const { api } = createTestApi();
    const { headers } = await send(api, {});
    expect(headers).toMatchObject({
      'x-ratelimit-limit-requests': '4128',
      'x-ratelimit-remaining-requests': '4128',
      'x-ratelimit-limit-tokens': '512',
      'x-ratelimit-reset-tokens': '0ms',
    });
  });

  it('tiers set urgency, and a queue that is too long is refused for those who would not wait', async () => {
    const { api } = createTestApi();
    expect(await ask(api, { service_tier: 'auto', max_tokens: 2 })).toMatchObject({
      service_tier: 'default',
      service_tier_used: 'default',
    });
    expect(await ask(api, { service_tier: 'priority', max_tokens: 2 })).toMatchObject({ service_tier: 'priority' });
    const threshold = (value: string): Record<string, string> => ({ queue_threshold: value });
    for (const [value, tier] of [
      ['50', 'default'],
      ['49', 'flex'],
      ['20001', 'flex'],
      ['x', 'flex'],
    ]) {
      expect((await send(api, threshold(value), { service_tier: tier })).status).toBe(400);
    }
    expect((await send(api, threshold('50'), { service_tier: 'flex' })).status).toBe(200);
  });

  it('predicted text is drafted from, changes no answer, and is counted', async () => {
    const drafting = createTestApi(roomy, { drafter: createNgramDrafter(), draftTokens: 4 });
    const response_format = { type: 'json_schema', json_schema: { name: 'x', schema } };
    const plain = await ask(createTestApi(roomy).api, { response_format });
    const content = plain.choices[0].message.content ?? '';
    for (const predicted of [content, content.replace('"count"', '"amount"')]) {
      const prediction = { type: 'content', content: [{ type: 'text', text: predicted }] };
      const { choices, usage } = await ask(drafting.api, { response_format, prediction });
      expect(choices).toEqual(plain.choices);
      expect(usage.completion_tokens).toBe(plain.usage.completion_tokens);
      const { accepted_prediction_tokens: accepted } = usage.completion_tokens_details;
      expect(accepted).toBeGreaterThan(10);
      expect(accepted).toBeLessThanOrEqual(usage.completion_tokens);
    }
  });
});

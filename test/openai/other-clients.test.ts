// The clients of others against the real server on a real socket: Cerebras' SDK, the AI SDK, LangChain.
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import Cerebras from '@cerebras/cerebras_cloud_sdk';
import { HumanMessage, ToolMessage } from '@langchain/core/messages';
import { ChatOpenAI } from '@langchain/openai';
import { generateText, jsonSchema, Output, streamText, tool } from 'ai';
import { describe, expect, it } from 'vitest';

import { chatTemplates } from '../../src/runtime/testing/chat-templates.ts';
import { TEST_MODEL } from '../../src/runtime/testing/test-api.ts';
import type { TestExecutorOptions } from '../../src/runtime/testing/test-executor.ts';
import { serveTest, soon, type Served } from './served.ts';

interface Paint {
  readonly color: 'red' | 'green';
  readonly count: number;
}
const paint = {
  type: 'object',
  properties: { color: { type: 'string', enum: ['red', 'green'] }, count: { type: 'integer', minimum: 1, maximum: 9 } },
  required: ['color', 'count'],
  additionalProperties: false,
} as const;

const serve = (executor: TestExecutorOptions = {}): Promise<Served> =>
  serveTest({ maxContext: 4096, blocks: 1024, maxStepTokens: 512, ...executor }, {}, chatTemplates.hermes);
const slowly = { onStep: () => soon(2) };

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !condition(); i++) await soon(2);
  expect(condition()).toBe(true);
}
/** Fails in the fourth step. */
const failing = async (): Promise<Served> => {
  const served: Served = await serve({
    onStep: () => {
      if (served.executor.steps === 4) throw new Error('lost a worker');
    },
  });
  return served;
};

describe('the Cerebras SDK', () => {
  const clientOf = ({ server }: Served): Cerebras =>
    new Cerebras({ apiKey: 'none', baseURL: server.url, maxRetries: 0, warmTCPConnection: false });
  const base = {
    model: TEST_MODEL,
    messages: [{ role: 'user' as const, content: 'the wafer' }],
    max_completion_tokens: 8,
    seed: 7,
  };

  it('warms its connection, chats and streams, with usage and times on the last chunk', async () => {
    const served = await serve();
    const warmed = new Cerebras({ apiKey: 'none', baseURL: served.server.url });
    const client = clientOf(served);
    const whole = await client.chat.completions.create({ ...base, service_tier: 'auto' });
    if (!('choices' in whole) || !Array.isArray(whole.choices)) throw new Error('no completion');
    const response = whole as Cerebras.Chat.ChatCompletion.ChatCompletionResponse;
    expect(response.time_info?.total_time).toBeGreaterThanOrEqual(0);
    expect(response.usage?.completion_tokens).toBeGreaterThan(0);
    let text = '';
    let last: unknown;
    for await (const chunk of await client.chat.completions.create({ ...base, stream: true })) {
      last = chunk;
      const { choices } = chunk as { choices: { delta: { content?: string } }[] };
      text += choices[0]?.delta.content ?? '';
    }
    expect(text).toBe(response.choices[0].message.content);
    expect(last).toMatchObject({
      usage: { total_tokens: response.usage?.total_tokens },
      time_info: { queue_time: expect.any(Number) as unknown },
    });
    expect((await warmed.models.list()).data[0].id).toBe(TEST_MODEL);
    const listed = await warmed.models.list({ format: 'openrouter' });
    expect(listed.data[0]).toMatchObject({ name: TEST_MODEL, context_length: 4096, pricing: { prompt: '0' } });
    const one = await warmed.models.retrieve(TEST_MODEL, { format: 'huggingface' });
    expect(one).toMatchObject({ id: TEST_MODEL, context_length: 4096, capabilities: { function_calling: true } });
    await expect(warmed.models.list({ format: 'other' as 'default' })).rejects.toMatchObject({ status: 400 });
  });

  it('gets structured answers and calls', async () => {
    const client = clientOf(await serve());
    const answer = (await client.chat.completions.create({
      ...base,
      max_completion_tokens: 100,
      response_format: { type: 'json_schema', json_schema: { name: 'paint', strict: true, schema: paint } },
    })) as Cerebras.Chat.ChatCompletion.ChatCompletionResponse;
    expect(JSON.parse(answer.choices[0].message.content ?? '')).toHaveProperty('count');
    const called = (await client.chat.completions.create({
      ...base,
      max_completion_tokens: 200,
      tools: [{ type: 'function', function: { name: 'paint', parameters: paint } }],
      tool_choice: 'required',
      parallel_tool_calls: false,
    })) as Cerebras.Chat.ChatCompletion.ChatCompletionResponse;
    expect(called.choices[0].message.tool_calls?.[0].function.name).toBe('paint');
  });

  it('throws on refusals and on streams that fail', async () => {
    const client = clientOf(await serve());
    await expect(client.chat.completions.create({ ...base, model: 'other' })).rejects.toThrow(Cerebras.NotFoundError);
    await expect(client.chat.completions.create({ ...base, temperature: 9 })).rejects.toThrow(Cerebras.BadRequestError);
    const broken = clientOf(await failing());
    const read = async (): Promise<void> => {
      for await (const _ of await broken.chat.completions.create({ ...base, max_completion_tokens: 60, stream: true }));
    };
    // Its HTTP layer may report the cut before its reader reports the error event; either way it throws.
    await expect(read()).rejects.toThrow();
  });
});

describe('the AI SDK', () => {
  const modelOf = ({ server }: Served) =>
    createOpenAICompatible({ name: 'ingot', baseURL: `${server.url}/v1`, supportsStructuredOutputs: true })(TEST_MODEL);
  const base = { prompt: 'the wafer', maxOutputTokens: 8, seed: 7, maxRetries: 0 } as const;

  it('generates and streams the same text, with usage', async () => {
    const model = modelOf(await serve());
    const whole = await generateText({ ...base, model });
    const streamed = streamText({ ...base, model });
    expect(await streamed.text).toBe(whole.text);
    expect((await streamed.usage).outputTokens).toBe(whole.usage.outputTokens);
    expect(await streamed.finishReason).toBe(whole.finishReason);
  });

  it('generates objects, and runs tools', async () => {
    const model = modelOf(await serve());
    const { output } = await generateText({
      ...base,
      model,
      maxOutputTokens: 100,
      output: Output.object({ schema: jsonSchema<Paint>(paint) }),
    });
    expect(['red', 'green']).toContain(output.color);
    const seen: Paint[] = [];
    const tools = {
      paint: tool({
        description: 'paints',
        inputSchema: jsonSchema<Paint>(paint),
        execute: (input) => {
          seen.push(input);
          return Promise.resolve('done');
        },
      }),
    };
    const called = await generateText({ ...base, model, maxOutputTokens: 900, tools, toolChoice: 'required' });
    expect(called.finishReason).toBe('tool-calls');
    expect(seen.length).toBe(called.toolCalls.length);
    expect(seen[0].count).toBeGreaterThan(0);
    const streamed = streamText({ ...base, model, maxOutputTokens: 900, tools, toolChoice: 'required' });
    expect((await streamed.toolCalls).map(({ input }) => input)).toEqual(called.toolCalls.map(({ input }) => input));
  });

  it('hears of refusals, failures and its own abort', async () => {
    const served = await serve(slowly);
    await expect(generateText({ ...base, model: modelOf(served), temperature: 9 })).rejects.toThrow('temperature');
    const errors: unknown[] = [];
    const broken = streamText({
      ...base,
      model: modelOf(await failing()),
      maxOutputTokens: 60,
      onError: ({ error }) => void errors.push(error),
    });
    await broken.consumeStream();
    expect(JSON.stringify(errors)).toContain('executor_failed');

    const aborter = new AbortController();
    const long = streamText({ ...base, model: modelOf(served), maxOutputTokens: 3000, abortSignal: aborter.signal });
    for await (const piece of long.textStream) {
      if (piece !== '') aborter.abort();
    }
    await until(() => served.engine.counts.running === 0);
    expect(served.engine.counts.generatedTokens).toBeLessThan(3000);
  });
});

describe('LangChain', () => {
  const modelOf = ({ server }: Served, over: object = {}): ChatOpenAI =>
    new ChatOpenAI({
      model: TEST_MODEL,
      apiKey: 'none',
      maxTokens: 8,
      maxRetries: 0,
      configuration: { baseURL: `${server.url}/v1` },
      modelKwargs: { seed: 7 },
      ...over,
    });

  it('invokes and streams', async () => {
    const model = modelOf(await serve());
    const whole = await model.invoke('the wafer');
    expect(whole.usage_metadata?.output_tokens).toBeGreaterThan(0);
    let text = '';
    for await (const chunk of await model.stream('the wafer')) text += chunk.text;
    expect(text).toBe(whole.text);
  });

  it('gets structured answers, and calls with their results', async () => {
    const served = await serve();
    const structured = modelOf(served, { maxTokens: 100 }).withStructuredOutput<Paint>(paint, {
      name: 'paint',
      method: 'jsonSchema',
    });
    expect((await structured.invoke('the wafer')).count).toBeGreaterThan(0);
    const calling = modelOf(served, { maxTokens: 900 }).bindTools(
      [{ type: 'function', function: { name: 'paint', parameters: paint } }],
      { tool_choice: 'required' },
    );
    const question = new HumanMessage('the wafer');
    const called = await calling.invoke([question]);
    expect(called.tool_calls?.[0].name).toBe('paint');
    const results = (called.tool_calls ?? []).map(
      ({ id }) => new ToolMessage({ tool_call_id: id ?? '', content: 'done' }),
    );
    const after = await calling.invoke([question, called, ...results]);
    expect(after.usage_metadata?.input_tokens).toBeGreaterThan(called.usage_metadata?.input_tokens ?? 0);
  });

  it('throws on refusals and on streams that fail', async () => {
    await expect(modelOf(await serve(), { temperature: 9 }).invoke('x')).rejects.toThrow('temperature');
    const broken = modelOf(await failing(), { maxTokens: 60 });
    const read = async (): Promise<void> => {
      for await (const _ of await broken.stream('x'));
    };
    await expect(read()).rejects.toThrow();
  });
});

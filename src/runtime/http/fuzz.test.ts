// Bodies that nobody would write: whatever comes, the answer is one of the API's, and no failure is the server's.
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import type { ErrorBody } from '../../protocol/index.ts';
import { chatTemplates } from '../testing/chat-templates.ts';
import { call, createTestApi, TEST_MODEL } from '../testing/test-api.ts';
import { schemas } from '../grammar/grammar.laws.ts';

/** Mostly what a client could mean. */
const mostly = (arbitrary: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 12, arbitrary }, { weight: 1, arbitrary: fc.jsonValue() });

const schema = mostly(schemas);
const tool = (name: string): fc.Arbitrary<unknown> =>
  fc
    .record({ parameters: schema, strict: fc.boolean() })
    .map((rest) => ({ type: 'function', function: { name, ...rest } }));
const message = mostly(
  fc.oneof(
    fc.record({ role: fc.constantFrom('user', 'assistant', 'system'), content: fc.string() }),
    fc.string().map((content) => ({ role: 'tool', tool_call_id: 'a', content })),
    fc.jsonValue().map((given) => ({
      role: 'assistant',
      content: null,
      tool_calls: [{ id: 'a', type: 'function', function: { name: 'f', arguments: JSON.stringify(given) } }],
    })),
  ),
);

const fields: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  messages: fc.array(message, { minLength: 1, maxLength: 3 }).map((list) => [{ role: 'user', content: 'x' }, ...list]),
  tools: fc.tuple(tool('f'), tool('g')),
  response_format: mostly(
    fc.oneof(
      fc.constant({ type: 'json_object' }),
      schema.map((given) => ({ type: 'json_schema', json_schema: { name: 'x', schema: given } })),
    ),
  ),
  logit_bias: mostly(fc.dictionary(fc.nat(275).map(String), fc.double({ noNaN: true, min: -100, max: 100 }))),
  frequency_penalty: mostly(fc.double({ noNaN: true, min: -2, max: 2 })),
  repetition_penalty: mostly(fc.double({ noNaN: true, min: 0, max: 10 })),
  min_tokens: mostly(fc.nat(10)),
  temperature: mostly(fc.double({ noNaN: true, min: 0, max: 2 })),
  top_p: mostly(fc.double({ noNaN: true, min: 0.01, max: 1 })),
  stop: mostly(fc.string({ minLength: 1, maxLength: 3 })),
  n: mostly(fc.integer({ min: 1, max: 3 })),
  logprobs: mostly(fc.boolean()),
  prediction: mostly(fc.constant({ type: 'content', content: 'the' })),
  reasoning_effort: mostly(fc.constantFrom('none', 'high')),
  reasoning_format: mostly(fc.constantFrom('raw', 'hidden', 'parsed')),
  service_tier: mostly(fc.constantFrom('flex', 'auto')),
  stream: mostly(fc.boolean()),
  seed: mostly(fc.integer()),
};
const choices = mostly(fc.constantFrom('none', 'auto', 'required', { type: 'function', function: { name: 'f' } }));

/** Some of the fields; a choice of tools only with tools. */
const bodies = fc
  .record({
    names: fc.uniqueArray(fc.constantFrom(...Object.keys(fields)), { maxLength: 4 }),
    values: fc.record(fields),
    choice: choices,
    parallel: fc.boolean(),
  })
  .map(({ names, values, choice, parallel }) => ({
    ...Object.fromEntries(names.map((name) => [name, values[name]])),
    ...(names.includes('tools') ? { tool_choice: choice, parallel_tool_calls: parallel } : {}),
  }));

describe('bodies that nobody would write', () => {
  it('are answered, or refused as the client deserves', async () => {
    const statuses: number[] = [];
    await fc.assert(
      fc.asyncProperty(bodies, fc.constantFrom('hermes', 'thinking', 'llama3', 'plain'), async (over, template) => {
        const { api, failures, engine } = createTestApi(
          { maxContext: 2048, blocks: 1024, maxStepTokens: 512 },
          {},
          { chat: chatTemplates[template as keyof typeof chatTemplates] },
        );
        const given = { model: TEST_MODEL, messages: [{ role: 'user', content: 'x' }], max_tokens: 9, ...over };
        const { status, text, error } = await call(api, '/v1/chat/completions', given);
        expect(failures).toEqual([]);
        expect(error).toBeUndefined();
        statuses.push(status);
        if (status !== 200) {
          expect(status, text).toBe(400);
          expect((JSON.parse(text) as ErrorBody).error.param, text).not.toBeNull();
        }
        expect(engine.counts).toMatchObject({ running: 0, waiting: 0, blocksUsed: 0 });
      }),
      { numRuns: 120 },
    );
    // Both happen, or nothing was tried.
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThan(20);
    expect(statuses).toContain(400);
  });

  it('are no worse as responses', async () => {
    const item = fc.oneof(
      fc.jsonValue(),
      fc.record(
        {
          type: fc.constantFrom('message', 'function_call', 'function_call_output', 'reasoning', 'other'),
          role: fc.constantFrom('user', 'assistant', 'robot'),
          content: fc.oneof(fc.string(), fc.jsonValue()),
          call_id: fc.string(),
          name: fc.string(),
          arguments: fc.string(),
          output: fc.oneof(fc.string(), fc.jsonValue()),
        },
        { requiredKeys: ['type'] },
      ),
    );
    const body = fc.record(
      {
        input: fc.oneof(fc.string(), fc.array(item, { maxLength: 4 }), fc.jsonValue()),
        instructions: fc.oneof(fc.string(), fc.jsonValue()),
        text: fc.oneof(
          fc.jsonValue(),
          schema.map((given) => ({ format: { type: 'json_schema', name: 'x', schema: given } })),
        ),
        tools: fc.array(fc.oneof(fc.jsonValue(), fc.constant({ type: 'function', name: 'f' })), { maxLength: 2 }),
        tool_choice: fc.oneof(fc.constantFrom('required', { type: 'function', name: 'f' }), fc.jsonValue()),
        reasoning: fc.oneof(fc.constant({ effort: 'low' }), fc.jsonValue()),
        stream: fc.boolean(),
      },
      { requiredKeys: [] },
    );
    await fc.assert(
      fc.asyncProperty(body, async (over) => {
        const { api, failures } = createTestApi({ maxContext: 2048, blocks: 1024, maxStepTokens: 512 });
        const given = { model: TEST_MODEL, input: 'x', max_output_tokens: 9, ...over };
        const { status, text, error } = await call(api, '/v1/responses', given);
        expect(failures).toEqual([]);
        expect(error).toBeUndefined();
        if (status !== 200) expect(status, text).toBe(400);
      }),
      { numRuns: 120 },
    );
  });
});

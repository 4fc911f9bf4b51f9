import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import type { AssistantMessage } from '../../../protocol/index.ts';
import { chatTemplates } from '../../testing/chat-templates.ts';
import { createMessageReader, messageOf } from '../message-reader.ts';
import { createThoughtReader, thoughtState } from '../reasoning.ts';
import { toolFormatOf, type ToolFormat } from './index.ts';
import { tellTools } from './told.ts';

const formatOf = (name: keyof typeof chatTemplates): ToolFormat => toolFormatOf(chatTemplates[name]).format;

/** What a text comes to, cut into pieces at these places. */
function read(name: keyof typeof chatTemplates, text: string, cuts: readonly number[] = []): AssistantMessage {
  let calls = 0;
  const thoughts = name === 'thinking' ? createThoughtReader('possible') : undefined;
  const reader = createMessageReader(
    thoughts,
    formatOf(name).createReader(() => `id${calls++}`),
    false,
  );
  const places = [...new Set(cuts.map((cut) => cut % (text.length + 1)))].sort((a, b) => a - b);
  const pieces = [0, ...places].map((from, i) => text.slice(from, places[i]));
  return messageOf([...pieces.flatMap((piece) => reader.push(piece)), ...reader.end()]);
}

const callOf = (id: number, name: string, given: string): object => ({
  id: `id${id}`,
  type: 'function',
  function: { name, arguments: given },
});

const texts: readonly [keyof typeof chatTemplates, string, object][] = [
  [
    'hermes',
    'Let me see.\n<tool_call>\n{"name": "f", "arguments": {"a": "}\\"{", "b": [1, {}]}}\n</tool_call>\n<tool_call>{"arguments": {}, "name": "g"}</tool_call>\n',
    { content: 'Let me see.', tool_calls: [callOf(0, 'f', '{"a":"}\\"{","b":[1,{}]}'), callOf(1, 'g', '{}')] },
  ],
  ['hermes', '<tool_call>{"name": "f"}</tool_call>', { content: null, tool_calls: [callOf(0, 'f', '{}')] }],
  ['hermes', '<tool_call>{"name": "f", "arguments": "{\\"a\\": 1}"}</tool_call>', { tool_calls: [callOf(0, 'f', '{"a":1}')] }],
  ['hermes', 'a <tool_cal of {"name": "f"}', { content: 'a <tool_cal of {"name": "f"}' }],
  ['hermes', '<tool_call>{"nam', { content: '{"nam' }],
  ['mistral', '[TOOL_CALLS][{"name": "f", "arguments": {"a": 1}}, {"name": "g", "arguments": {}}]', {
    content: null,
    tool_calls: [callOf(0, 'f', '{"a":1}'), callOf(1, 'g', '{}')],
  }],
  ['mistral', '[1, 2] is a list', { content: '[1, 2] is a list' }],
  ['llama3', ' {"name": "f", "parameters": {"a": null}}', { content: null, tool_calls: [callOf(0, 'f', '{"a":null}')] }],
  ['llama3', '<|python_tag|>{"name": "f", "parameters": {}}; {"name": "g", "parameters": {}}', {
    tool_calls: [callOf(0, 'f', '{}'), callOf(1, 'g', '{}')],
  }],
  ['llama3', '{"answer": {"x": 1}} is JSON', { content: '{"answer": {"x": 1}} is JSON' }],
  ['llama3', 'text {"name": "f", "parameters": {}}', { content: 'text {"name": "f", "parameters": {}}' }],
  ['thinking', '<think>\nshould I?\n</think>\n\n<tool_call>{"name": "f", "arguments": {"t": "</think>"}}</tool_call>', {
    content: null,
    reasoning: 'should I?',
    tool_calls: [callOf(0, 'f', '{"t":"</think>"}')],
  }],
  ['thinking', '<think>only thoughts, cut', { content: '', reasoning: 'only thoughts, cut' }],
  ['thinking', '<thin air', { content: '<thin air' }],
  ['thinking', '  no thoughts', { content: '  no thoughts' }],
]; // prettier-ignore

/** Blanks between members go with the model; what they mean does not. */
const compact = (message: AssistantMessage): object =>
  message.tool_calls === undefined
    ? message
    : {
        ...message,
        tool_calls: message.tool_calls.map((call) => ({
          ...call,
          function: { ...call.function, arguments: JSON.stringify(JSON.parse(call.function.arguments)) },
        })),
      };

describe('formats', () => {
  it('are those of the template, or told in a system message', () => {
    expect(toolFormatOf('{{ messages }}').isNative).toBe(false);
    const tools = [{ name: 'f', description: 'd', parameters: { type: 'object' }, strict: false }];
    const messages = [
      { role: 'system', content: 'Be brief.' },
      {
        role: 'assistant',
        content: 'so',
        tool_calls: [{ id: 'a', type: 'function', function: { name: 'f', arguments: '{"x":1}' } }],
      },
      { role: 'tool', content: 'done', tool_call_id: 'a' },
    ] as const;
    const told = tellTools(messages, tools);
    expect(told.map(({ role }) => role)).toEqual(['system', 'assistant', 'user']);
    expect(told[0].content).toMatch(/^Be brief\.\n\n.*<tools>\n\{"name":"f","description":"d"/s);
    // What is told back is read as what it was.
    const reader = toolFormatOf('').format.createReader(() => 'id');
    expect(messageOf(reader.push(told[1].content)).tool_calls?.[0].function).toEqual({
      name: 'f',
      arguments: '{"x":1}',
    });
    expect(told[2].content).toContain('done');
    expect(tellTools(messages.slice(1), tools)[0].role).toBe('system');
    expect(tellTools(messages, [])[0].content).toBe('Be brief.');
  });
});

describe('answers', () => {
  it.each(texts)('of %s: %j, however they are cut', (name, text, expected) => {
    expect(compact(read(name, text))).toMatchObject(expected);
    fc.assert(
      fc.property(fc.array(fc.nat(200), { maxLength: 12 }), (cuts) => {
        expect(read(name, text, cuts)).toEqual(read(name, text));
      }),
      { numRuns: 60 },
    );
  });

  it('begin within thoughts where the prompt ends there', () => {
    expect(thoughtState(chatTemplates.thinking, '…<|assistant|><think>\n')).toBe('open');
    expect(thoughtState(chatTemplates.thinking, '…<think>\n\n</think>\n\n')).toBe('done');
    expect(thoughtState(chatTemplates.thinking, '…<|assistant|>')).toBe('possible');
    expect(thoughtState(chatTemplates.hermes, '…<think>')).toBe('done');
    const reader = createThoughtReader('open');
    expect(reader.isThinking).toBe(true);
    expect([...reader.push('so\n</thi'), ...reader.push('nk>\n'), ...reader.push('\nyes'), ...reader.end()]).toEqual([
      { kind: 'reasoning', text: 'so' },
      { kind: 'content', text: 'yes' },
    ]);
  });
});

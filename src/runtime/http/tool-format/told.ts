// Tools for models whose chat template knows none: they are told in a system message in the words of Hermes' function calling
// (https://github.com/NousResearch/Hermes-Function-Calling), and calls and results stand in the text of messages. Whether a model
// that was not trained on it calls well is another question; calls that are forced have their form all the same.

import type { ChatMessage, Tool } from '../../../protocol/index.ts';

const PREAMBLE =
  'You may call functions to answer. Their signatures, as JSON Schema, are within <tools></tools>:\n<tools>\n';
const INSTRUCTION =
  '\n</tools>\nFor each call write a JSON object with its name and arguments within <tool_call></tool_call>:\n' +
  '<tool_call>\n{"name": "the function", "arguments": {"an argument": "its value"}}\n</tool_call>';

/**
 * The same conversation without roles and members that a plain template lacks.
 * @param tools none where the model is not to call any
 */
export function tellTools(messages: readonly ChatMessage[], tools: readonly Tool[]): ChatMessage[] {
  const plain = messages.map(({ role, content, name, tool_calls: calls = [] }): ChatMessage => {
    if (role === 'tool') return { role: 'user', content: `<tool_response>\n${content}\n</tool_response>` };
    const written = calls.map(
      ({ function: fn }) =>
        `<tool_call>\n{"name": ${JSON.stringify(fn.name)}, "arguments": ${fn.arguments || '{}'}}\n</tool_call>`,
    );
    const text = [content, ...written].filter((part) => part !== '').join('\n');
    return { role, content: text, ...(name === undefined ? {} : { name }) };
  });
  if (tools.length === 0) return plain;
  const told =
    PREAMBLE +
    tools
      .map(({ name, description, parameters = {} }) => JSON.stringify({ name, description, parameters }))
      .join('\n') +
    INSTRUCTION;
  const [first] = plain;
  // Templates that take a system message take one, at the beginning.
  return first.role === 'system'
    ? [{ ...first, content: `${first.content}\n\n${told}` }, ...plain.slice(1)]
    : [{ role: 'system', content: told }, ...plain];
}

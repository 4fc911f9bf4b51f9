// Llama 3.1 and later: the answer is one JSON object with `parameters`
// (https://llama.meta.com/docs/model-cards-and-prompt-formats/llama3_1).

import { choice, literal, sequence } from '../../grammar/index.ts';
import { createCallReader } from './call-reader.ts';
import type { ToolFormat } from './tool-format.ts';

const MARK = '<|python_tag|>';

export const llama3: ToolFormat = {
  fits: (template) => template.includes('<|start_header_id|>') && template.includes('"parameters"'),
  marks: [MARK],
  begin: undefined,
  // The format has one call per answer, whether more are allowed or not.
  calls: (callables) =>
    choice(
      ...callables.map(({ name, arguments: given }) =>
        sequence(literal(`{"name": ${JSON.stringify(name)}, "parameters": `), given, literal('}')),
      ),
    ),
  createReader: (newId) => createCallReader({ open: MARK, bare: true }, newId),
  callId: (hex) => `call_${hex}`,
};

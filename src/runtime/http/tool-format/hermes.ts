// Hermes and Qwen: `<tool_call>` around each call
// (https://github.com/NousResearch/Hermes-Function-Calling; the chat templates of Qwen2.5 and Qwen3).

import { choice, EMPTY, literal, repeat, rule, sequence } from '../../grammar/index.ts';
import { createCallReader } from './call-reader.ts';
import type { ToolFormat } from './tool-format.ts';

const OPEN = '<tool_call>';
const CLOSE = '</tool_call>';

export const hermes: ToolFormat = {
  fits: (template) => template.includes(OPEN),
  marks: [OPEN, CLOSE],
  begin: OPEN,
  calls(callables, { parallel, begun, json }) {
    const rest = sequence(
      literal('\n'),
      choice(
        ...callables.map(({ name, arguments: given }) =>
          sequence(literal(`{"name": ${JSON.stringify(name)}, "arguments": `), given, literal('}')),
        ),
      ),
      literal(`\n${CLOSE}`),
    );
    const call = rule('call', sequence(literal(OPEN), rest));
    const more = parallel ? repeat(sequence(json.blank, call), 0) : EMPTY;
    return sequence(begun ? rest : call, more);
  },
  createReader: (newId) => createCallReader({ open: OPEN, close: CLOSE }, newId),
  callId: (hex) => `call_${hex}`,
};

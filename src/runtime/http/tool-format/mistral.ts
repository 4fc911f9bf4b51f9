// Mistral: `[TOOL_CALLS]` and a list (https://docs.mistral.ai, the templates of Mistral 7B v0.3 and Nemo).

import { choice, EMPTY, literal, repeat, sequence } from '../../grammar/index.ts';
import { createCallReader } from './call-reader.ts';
import type { ToolFormat } from './tool-format.ts';

const OPEN = '[TOOL_CALLS]';
/** The templates refuse ids of another length. */
const ID_LENGTH = 9;

export const mistral: ToolFormat = {
  fits: (template) => template.includes(OPEN),
  marks: [OPEN],
  begin: OPEN,
  calls(callables, { parallel, begun }) {
    const call = choice(
      ...callables.map(({ name, arguments: given }) =>
        sequence(literal(`{"name": ${JSON.stringify(name)}, "arguments": `), given, literal('}')),
      ),
    );
    const more = parallel ? repeat(sequence(literal(', '), call), 0) : EMPTY;
    return sequence(literal(begun ? '[' : `${OPEN}[`), call, more, literal(']'));
  },
  createReader: (newId) => createCallReader({ open: OPEN }, newId),
  callId: (hex) => hex.slice(0, ID_LENGTH),
};

// Models in the forms that directories of providers read, as Cerebras' API has them.

import { badValue, type ModelRecord } from '../../protocol/index.ts';

/** Nobody pays here. */
const FREE = { openrouter: { prompt: '0', completion: '0' }, huggingface: { input: 0, output: 0 } };

/** By the name that `?format=` has. */
const formats: Readonly<Record<string, (record: ModelRecord) => object>> = {
  default: (record) => record,
  openrouter: ({ id, created, owned_by, limits, capabilities }) => ({
    id: `${owned_by}/${id}`,
    name: id,
    created,
    context_length: limits.max_context_length,
    max_output_length: limits.max_completion_tokens,
    pricing: FREE.openrouter,
    input_modalities: ['text'],
    output_modalities: ['text'],
    supported_features: [
      ...(capabilities.tools ? ['tools'] : []),
      'json_mode',
      'structured_outputs',
      ...(capabilities.reasoning ? ['reasoning'] : []),
    ],
  }),
  huggingface: ({ id, object, created, owned_by, limits, capabilities }) => ({
    id,
    object,
    created,
    owned_by,
    context_length: limits.max_context_length,
    pricing: FREE.huggingface,
    capabilities: {
      function_calling: capabilities.tools,
      streaming: capabilities.streaming,
      structured_outputs: capabilities.structured_outputs,
      vision: false,
    },
  }),
};

/**
 * The form that a query asks for.
 * @throws ApiError 400 of forms and parameters that are not known
 */
export function modelFormat(query: string): (record: ModelRecord) => object {
  const asked = new URLSearchParams(query);
  for (const name of asked.keys()) if (name !== 'format') throw badValue(name, `only 'format' in the query`, name);
  const name = asked.get('format') ?? 'default';
  if (!Object.hasOwn(formats, name)) throw badValue('format', Object.keys(formats).join(', '), name);
  return formats[name];
}

// Tools that a client offers, and whether the model must call one.

import { badValue, isRecord, refuseOthers } from './body.ts';
import { ApiError } from './error.ts';

export interface Tool {
  readonly name: string;
  readonly description?: string;
  /** JSON Schema of the arguments; absent where there are none. */
  readonly parameters?: Readonly<Record<string, unknown>>;
  /** Arguments are held to the schema while they are written. */
  readonly strict: boolean;
}

export type ToolChoice =
  | { readonly kind: 'none' | 'auto' | 'required' }
  | { readonly kind: 'named'; readonly name: string };

/** OpenAI's bound. */
export const MAX_TOOLS = 128;
const NAME = /^[a-zA-Z0-9_-]{1,64}$/;

/**
 * @param flat the form of the Responses API, without `function` in between
 * @throws ApiError 400
 */
export function parseTools(value: readonly unknown[], flat = false): Tool[] {
  const tools = value.map((tool, i) => parseTool(tool, `tools[${i}]`, flat));
  const names = new Set<string>();
  tools.forEach(({ name }, i) => {
    if (names.has(name)) throw badValue(`tools[${i}]`, 'names that differ', name);
    names.add(name);
  });
  return tools;
}

function parseTool(value: unknown, where: string, flat: boolean): Tool {
  if (!isRecord(value)) throw badValue(where, 'an object with type and function', value);
  const { type, ...rest } = value;
  if (type !== 'function') throw badValue(`${where}.type`, `'function', the only kind that is run by clients`, type);
  const at = flat ? where : `${where}.function`;
  if (!flat) refuseOthers(rest, ['function'], where);
  const definition = flat ? rest : rest['function'];
  if (!isRecord(definition)) throw badValue(at, 'an object with a name', definition);
  refuseOthers(definition, ['name', 'description', 'parameters', 'strict'], at);
  const { name, description, parameters, strict } = definition;
  if (typeof name !== 'string' || !NAME.test(name)) {
    throw badValue(`${at}.name`, '1 to 64 letters, digits, underscores and hyphens', name);
  }
  if (description !== undefined && description !== null && typeof description !== 'string') {
    throw badValue(`${at}.description`, 'a string', description);
  }
  if (parameters !== undefined && parameters !== null && !isRecord(parameters)) {
    throw badValue(`${at}.parameters`, 'a JSON Schema', parameters);
  }
  if (strict !== undefined && strict !== null && typeof strict !== 'boolean') {
    throw badValue(`${at}.strict`, 'a boolean', strict);
  }
  return {
    name,
    ...(typeof description === 'string' ? { description } : {}),
    ...(isRecord(parameters) ? { parameters } : {}),
    strict: strict === true,
  };
}

/**
 * Whether and which of the tools may be called: all, or those of `allowed_tools`, which alone the model is then told of.
 * @throws ApiError 400
 */
export function parseToolUse(
  value: unknown,
  tools: readonly Tool[],
  flat = false,
): { readonly tools: readonly Tool[]; readonly toolChoice: ToolChoice } {
  if (!isRecord(value) || value['type'] !== 'allowed_tools') {
    return { tools, toolChoice: parseToolChoice(value, tools, flat) };
  }
  const { type: _, ...rest } = value;
  const where = flat ? 'tool_choice' : 'tool_choice.allowed_tools';
  if (!flat) refuseOthers(rest, ['allowed_tools'], 'tool_choice');
  const allowed = flat ? rest : rest['allowed_tools'];
  if (!isRecord(allowed)) throw badValue(where, 'an object with mode and tools', allowed);
  refuseOthers(allowed, ['mode', 'tools'], where);
  const { mode, tools: named } = allowed;
  if (mode !== 'auto' && mode !== 'required') throw badValue(`${where}.mode`, `'auto' or 'required'`, mode);
  if (!Array.isArray(named) || named.length === 0) throw badValue(`${where}.tools`, 'a list of functions', named);
  const names = new Set(
    named.map((tool: unknown) => {
      const choice = parseToolChoice(isRecord(tool) ? tool : {}, tools, flat);
      return choice.kind === 'named' ? choice.name : undefined;
    }),
  );
  const callable = tools.filter(({ name }) => names.has(name));
  return { tools: callable, toolChoice: { kind: mode } };
}

function parseToolChoice(value: unknown, tools: readonly Tool[], flat: boolean): ToolChoice {
  if (value === undefined) return { kind: tools.length > 0 ? 'auto' : 'none' };
  if (value === 'none') return { kind: 'none' };
  if (value === 'auto') return { kind: tools.length > 0 ? 'auto' : 'none' };
  if (tools.length === 0) {
    throw new ApiError({
      status: 400,
      code: 'invalid_value',
      param: 'tool_choice',
      message: `'tool_choice' asks for a call, but there are no tools.`,
      suggestion: `Send 'tools' with it.`,
    });
  }
  if (value === 'required') return { kind: 'required' };
  const named = isRecord(value) && value['type'] === 'function' ? (flat ? value : value['function']) : undefined;
  const name = isRecord(named) ? named['name'] : undefined;
  if (typeof name !== 'string') {
    throw badValue(
      'tool_choice',
      `'none', 'auto', 'required', or an object that names a function or allowed tools`,
      value,
    );
  }
  if (!tools.some((tool) => tool.name === name)) {
    throw badValue('tool_choice', `one of the tools: ${tools.map((tool) => tool.name).join(', ')}`, name);
  }
  return { kind: 'named', name };
}

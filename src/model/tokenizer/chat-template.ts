// Chat templates: Jinja text from the checkpoint that turns messages into a prompt. The environment is the one
// that transformers gives (`apply_chat_template`), except that time is passed in.

import { Environment, parse, tokenize } from '@huggingface/jinja';

import { fail, IngotError, nearest, type Seconds } from '../../core/index.ts';
import { isJsonObject } from '../format/json.ts';
import { BoundedInterpreter } from './bounded-interpreter.ts';

/** The longest published templates are near 20,000 characters. */
export const MAX_TEMPLATE_LENGTH = 512 * 1024;
/** Numbers that one `range` in a template may make; real templates count messages. */
const MAX_RANGE = 100_000;
/** Blanks in a row. Published templates have some 20; the library's search takes the square of their number. */
const MAX_BLANKS = 1000;

/** As in the OpenAI API; templates may read other keys (`tool_calls`, `name`). */
export interface ChatMessage {
  readonly role: string;
  readonly content?: unknown;
  readonly [key: string]: unknown;
}

export interface RenderOptions {
  /** End with the opening of an assistant message. */
  readonly addGenerationPrompt: boolean;
  /** Seconds since 1970-01-01 UTC, for templates that state the date. */
  readonly now: Seconds;
  readonly tools?: readonly unknown[];
  /** Further variables, as `chat_template_kwargs` in other servers. */
  readonly variables?: Readonly<Record<string, unknown>>;
}

export interface ChatTemplate {
  /** All templates' text. */
  readonly source: string;
  /** @throws IngotError CHAT_TEMPLATE_INVALID, also where rendering takes too long; CHAT_MESSAGES_REFUSED when the template itself refuses them */
  render(messages: readonly ChatMessage[], options: RenderOptions): string;
}

/** What a template's `raise_exception(…)` throws. */
class Refusal extends Error {}

/**
 * @param source `chat_template` of tokenizer_config.json: a text, or a list of named ones, or the text of
 *   chat_template.jinja. It is parsed at the first use, so that a broken template stops chat only.
 * @param specials variables such as `bos_token`
 */
export function createChatTemplate(
  source: unknown,
  specials: Readonly<Record<string, string>>,
  where: string,
): ChatTemplate {
  const templates = namedTemplates(source, where);
  const parsed = new Map<string, ReturnType<typeof parse>>();
  const invalid = (error: unknown, doing: string): never =>
    fail({
      code: 'CHAT_TEMPLATE_INVALID',
      message: `the chat template cannot be ${doing}`,
      where,
      found: (error instanceof Error ? error.message : String(error)).slice(0, 300),
      suggestion: 'use /v1/completions with a prompt, or repair the template of the checkpoint',
    });

  const programOf = (name: string): ReturnType<typeof parse> => {
    let program = parsed.get(name);
    if (program === undefined) {
      const text = templates.get(name) ?? '';
      try {
        if (new RegExp(`\\s{${MAX_BLANKS + 1}}`).test(text)) throw new Error(`more than ${MAX_BLANKS} blanks in a row`);
        // Both options as in transformers.
        program = parse(tokenize(text, { lstrip_blocks: true, trim_blocks: true }));
      } catch (error) {
        return invalid(error, 'parsed');
      }
      parsed.set(name, program);
    }
    return program;
  };

  return {
    source: [...templates.values()].join('\n'),
    render(messages, { addGenerationPrompt, now, tools, variables }) {
      const name = tools !== undefined && templates.has('tool_use') ? 'tool_use' : 'default';
      const program = programOf(name);
      const environment = new Environment();
      const globals: Record<string, unknown> = {
        ...specials,
        ...variables,
        true: true,
        True: true,
        false: false,
        False: false,
        none: null,
        None: null,
        messages,
        tools: tools ?? null,
        documents: null,
        add_generation_prompt: addGenerationPrompt,
        range: boundedRange,
        strftime_now: (format: unknown) => formatTime(now, String(format)),
        raise_exception: (message: unknown) => {
          throw new Refusal(String(message));
        },
      };
      try {
        for (const [key, value] of Object.entries(globals)) environment.set(key, value);
        return String(new BoundedInterpreter(environment).run(program).value);
      } catch (error) {
        if (!(error instanceof Refusal)) return invalid(error, 'rendered');
        throw new IngotError(
          {
            code: 'CHAT_MESSAGES_REFUSED',
            message: 'the chat template refuses these messages',
            where: 'messages',
            found: error.message.slice(0, 300),
            suggestion: 'send roles in the order that the model was trained on',
          },
          { cause: error },
        );
      }
    },
  };
}

function namedTemplates(source: unknown, where: string): ReadonlyMap<string, string> {
  const templates = new Map<string, string>();
  if (typeof source === 'string') templates.set('default', source);
  else if (isJsonObject(source)) {
    for (const [name, text] of Object.entries(source)) if (typeof text === 'string') templates.set(name, text);
  } else if (Array.isArray(source)) {
    for (const item of source as unknown[]) {
      if (isJsonObject(item) && typeof item['name'] === 'string' && typeof item['template'] === 'string') {
        templates.set(item['name'], item['template']);
      }
    }
  }
  const names = [...templates.keys()];
  if (!templates.has('default')) {
    fail({
      code: 'CHAT_TEMPLATE_INVALID',
      message: 'there is no default chat template',
      where,
      expected: 'a text, or a list of {"name": …, "template": …} with the name "default"',
      found: names.length === 0 ? typeof source : names.join(', ').slice(0, 100),
      suggestion: nearest('default', names),
    });
  }
  for (const [name, text] of templates) {
    if (text.length <= MAX_TEMPLATE_LENGTH) continue;
    fail({
      code: 'CHAT_TEMPLATE_INVALID',
      message: `the chat template ${name} is too long`,
      where,
      expected: `at most ${MAX_TEMPLATE_LENGTH} characters`,
      found: `${text.length} characters`,
    });
  }
  return templates;
}

/** Python's range. The library's own has no bound. */
function boundedRange(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  if (step === 0 || !((stop - start) / step <= MAX_RANGE)) throw new Error(`range of more than ${MAX_RANGE} numbers`);
  const numbers: number[] = [];
  for (let i = start; step > 0 ? i < stop : i > stop; i += step) numbers.push(i);
  return numbers;
}

const MONTHS = 'January February March April May June July August September October November December'.split(' ');
const DAYS = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday'.split(' ');

/** Python's strftime in UTC and the C locale, for the directives that templates use; others stay as they are. */
export function formatTime(now: Seconds, format: string): string {
  const date = new Date(now * 1000);
  const two = (n: number): string => String(n).padStart(2, '0');
  const day = DAYS[date.getUTCDay()];
  const month = MONTHS[date.getUTCMonth()];
  const directives: Record<string, string> = {
    Y: String(date.getUTCFullYear()),
    y: two(date.getUTCFullYear() % 100),
    m: two(date.getUTCMonth() + 1),
    d: two(date.getUTCDate()),
    H: two(date.getUTCHours()),
    I: two(date.getUTCHours() % 12 || 12),
    p: date.getUTCHours() < 12 ? 'AM' : 'PM',
    M: two(date.getUTCMinutes()),
    S: two(date.getUTCSeconds()),
    B: month,
    b: month.slice(0, 3),
    A: day,
    a: day.slice(0, 3),
    '%': '%',
  };
  return format.replace(/%(-?)([a-zA-Z%])/g, (whole, unpadded: string, letter: string) => {
    const text = directives[letter] ?? whole;
    return unpadded === '' ? text : text.replace(/^0(?=\d)/, '');
  });
}

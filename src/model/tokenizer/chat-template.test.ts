import { describe, expect, it } from 'vitest';

import { IngotError, seconds } from '../../core/index.ts';
import { createChatTemplate, formatTime } from './chat-template.ts';

const now = seconds(Date.UTC(2024, 6, 4, 15, 5, 9) / 1000);
const options = { addGenerationPrompt: true, now };
const user = { role: 'user', content: 'Hi' };
const codeOf = (action: () => unknown): string => {
  try {
    return String(action());
  } catch (error) {
    if (!(error instanceof IngotError)) throw error;
    return error.code;
  }
};

describe('chat template', () => {
  it('sees messages, special tokens, tools and the flag, as in transformers', () => {
    // The form that ChatML models ship.
    const chatml = createChatTemplate(
      `{{ bos_token }}{% for message in messages %}
{{ '<|im_start|>' + message['role'] + '\\n' + message.content | trim + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if tools is not none %}[{{ tools | length }} tools]{% endif %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}`,
      { bos_token: '<s>' },
      'f',
    );
    const opening = '<|im_start|>assistant\n';
    expect(chatml.render([{ role: 'user', content: ' Hi ' }], options)).toBe(
      `<s><|im_start|>user\nHi<|im_end|>\n${opening}`,
    );
    expect(chatml.render([user], { ...options, addGenerationPrompt: false, tools: [{}, {}] })).toContain('[2 tools]');
  });

  it('takes named templates and picks the one for tools', () => {
    const named = createChatTemplate(
      [
        { name: 'default', template: 'plain' },
        { name: 'tool_use', template: 'tools' },
      ],
      {},
      'f',
    );
    expect(named.render([user], options)).toBe('plain');
    expect(named.render([user], { ...options, tools: [] })).toBe('tools');
    expect(codeOf(() => createChatTemplate([{ name: 'rag', template: 'x' }], {}, 'f'))).toBe('CHAT_TEMPLATE_INVALID');
    expect(codeOf(() => createChatTemplate(7, {}, 'f'))).toBe('CHAT_TEMPLATE_INVALID');
  });

  it('passes further variables', () => {
    const template = createChatTemplate('{% if enable_thinking %}think{% else %}no{% endif %}', {}, 'f');
    expect(template.render([], { ...options, variables: { enable_thinking: true } })).toBe('think');
    expect(template.render([], options)).toBe('no');
  });

  it('tells a refusal of the template from a fault of it', () => {
    const render = (text: string): string => codeOf(() => createChatTemplate(text, {}, 'f').render([user], options));
    expect(render("{{ raise_exception('roles must alternate') }}")).toBe('CHAT_MESSAGES_REFUSED');
    expect(render('{% for %}')).toBe('CHAT_TEMPLATE_INVALID');
    expect(render('{{ messages | nosuchfilter }}')).toBe('CHAT_TEMPLATE_INVALID');
    expect(render('{% for i in range(1000000000) %}x{% endfor %}')).toBe('CHAT_TEMPLATE_INVALID');
    expect(render("{% for i in range(3) %}{{ i }}{% endfor %}{{ range(5, 0, -2) | join('') }}")).toBe('012531');
  });

  it('ends a rendering that would take too long, however the template makes it so', () => {
    const render = (text: string): string =>
      codeOf(() => createChatTemplate(text, {}, 'f').render([user], options)).slice(0, 40);
    const loops = (depth: number, body: string): string =>
      `${'{% for i in range(100000) %}'.repeat(depth)}${body}${'{% endfor %}'.repeat(depth)}`;
    const doubled = (first: string, step: string): string =>
      `{% set a = ${first} %}${`{% set a = ${step} %}`.repeat(60)}`;
    for (const text of [
      loops(2, 'x'),
      loops(2, '{% break %}'),
      `{% set r = range(100000) %}{% for i in r %}{{ i in r }}{% endfor %}`,
      `{% macro m(n) %}{{ m(n - 1) if n > 0 }}{{ m(n - 1) if n > 0 }}{% endmacro %}{{ m(100) }}`,
      doubled("'x'", 'a + a'),
      `${doubled('[1]', '[a, a]')}{{ a | tojson }}`,
      `${doubled('namespace(x=1)', 'namespace(x=a, y=a)')}{{ a | tojson }}`,
      `{% set n = namespace(x=1) %}{% set n.x = namespace(y=2) %}`,
      `${"{% set a = 'x' %}"}${'{% set a = a + a %}'.repeat(20)}{% for i in range(100000) %}{{ a.split('x') | length }}{% endfor %}`,
      `${"{% set a = ' ' %}"}${'{% set a = a + a %}'.repeat(20)}{% set f = a.strip %}{% for i in range(100000) %}{{ f() }}{% endfor %}`,
      `{{ 'x' }}${' '.repeat(400_000)}x`,
    ]) {
      expect(render(text), text.slice(0, 60)).toBe('CHAT_TEMPLATE_INVALID');
    }
  });

  it('renders long conversations with the template of a published form', () => {
    // As Qwen 3 does: from the last message to the first, with the number of messages asked each time.
    const template = createChatTemplate(
      `{%- set ns = namespace(last=messages|length - 1) %}{%- for message in messages[::-1] %}` +
        `{%- set index = (messages|length - 1) - loop.index0 %}` +
        `{%- if message.role == 'user' and message.content is string and not message.content.startswith('<x>') %}` +
        `{%- set ns.last = index %}{%- endif %}{%- endfor %}` +
        `{%- for message in messages %}{{- '<|im_start|>' + message.role + '\n' + message.content | trim }}{%- endfor %}`,
      {},
      'f',
    );
    const messages = Array.from({ length: 10_000 }, () => ({ role: 'user', content: 'x'.repeat(100) }));
    expect(template.render(messages, options)).toHaveLength(10_000 * ('<|im_start|>user\n'.length + 100));
  });

  it('parses at the first use, so that a broken template does not stop completions', () => {
    expect(() => createChatTemplate('{% for %}', {}, 'f')).not.toThrow();
  });

  it('states the time that it was given', () => {
    const template = createChatTemplate("{{ strftime_now('%d %b %Y') }}", {}, 'f');
    expect(template.render([], options)).toBe('04 Jul 2024');
    expect(formatTime(now, '%A %B %-d, %H:%M:%S %I%p %y %% %Q')).toBe('Thursday July 4, 15:05:09 03PM 24 % %Q');
  });
});

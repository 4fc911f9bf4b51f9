// Chat templates in the manner of the families whose tool calls and thoughts are read, for the test tokenizer.

const turns =
  `{% for m in messages %}<|{{ 'user' if m.role == 'tool' else m.role }}|>{{ m.content }}` +
  `{% for c in m.tool_calls or [] %}{{ CALL }}{% endfor %}<|end|>{% endfor %}<|assistant|>`;
const withCalls = (call: string): string => turns.replace('{{ CALL }}', call);
const tools = `{% if tools %}<|system|>{{ tools | tojson }}<|end|>{% endif %}`;

export const chatTemplates = {
  /** Knows no tools. */
  plain: withCalls(''),
  hermes: `${tools}${withCalls('<tool_call>{{ c.function | tojson }}</tool_call>')}`,
  mistral: `${tools}${withCalls('[TOOL_CALLS][{{ c.function | tojson }}]')}`,
  llama3: `{# <|start_header_id|> "parameters" #}${tools}${withCalls('{{ c.function | tojson }}')}`,
  thinking:
    `${tools}${withCalls('<tool_call>{{ c.function | tojson }}</tool_call>')}` +
    `{% if enable_thinking is defined and not enable_thinking %}<think></think>{% else %}<think>{% endif %}`,
} as const;

// A small real tokenizer for tests: bytes, a few merges, special tokens and a chat template.

import { BYTE_CHARACTERS, createTokenizer, type Tokenizer } from '../../model/index.ts';

// A merge joins what earlier ones made.
const merges = ['e r', 't h', 'th e', 'i n', 'in g', 'o t', 'Ġ w', 'Ġw a', 'Ġwa f', 'Ġwaf er', 'Ġ the', 'ing ot'];

const CHAT_TEMPLATE =
  `{% for message in messages %}{% if message.role == 'assistant' and loop.first %}` +
  `{{ raise_exception('an assistant cannot begin') }}{% endif %}<|{{ message.role }}|>{{ message.content }}<|end|>` +
  `{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}`;

const SPECIAL = ['<|end|>', '<|system|>', '<|user|>', '<|assistant|>'];

/**
 * Vocabulary of 272 tokens: 256 bytes, 12 merges, 4 special ones, of which the first ends an answer.
 * @param chat whether there is a chat template, or the template
 * @param marks further special tokens
 */
export function createTestTokenizer({
  chat = true,
  marks = [],
}: { readonly chat?: boolean | string; readonly marks?: readonly string[] } = {}): Tokenizer {
  const tokens = [...BYTE_CHARACTERS, ...merges.map((merge) => merge.replace(' ', ''))];
  return createTokenizer({
    tokenizer: {
      model: {
        type: 'BPE',
        vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
        merges,
      },
      added_tokens: [...SPECIAL, ...marks].map((content, i) => ({
        id: tokens.length + i,
        content,
        special: true,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
      })),
      pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
      decoder: { type: 'ByteLevel' },
    },
    config: {
      eos_token: '<|end|>',
      ...(chat === false ? {} : { chat_template: chat === true ? CHAT_TEMPLATE : chat }),
    },
    where: 'test tokenizer',
  });
}

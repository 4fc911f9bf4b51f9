import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { bool, f32, list, sourceOf, text, u32, writeGguf, type TypedValue } from '../../../test/gguf.ts';
import { sharedFolder } from '../../../test/shared-data.ts';
import { IngotError, seconds } from '../../core/index.ts';
import { BYTE_CHARACTERS } from '../tokenizer/index.ts';
import { ggufTokenizer, type GgufTokenizer } from './gguf-tokenizer.ts';
import { readGgufHeader } from './gguf.ts';

type Metadata = Readonly<Record<string, TypedValue | undefined>>;
function open(metadata: Metadata): GgufTokenizer {
  const present = Object.entries(metadata).flatMap(([key, value]) =>
    value === undefined ? [] : [[key, value] as const],
  );
  const header = readGgufHeader(sourceOf(writeGguf({ metadata: present, tensors: [] })), 'f');
  return ggufTokenizer(header.metadata, 'f');
}
const code = (metadata: Metadata): string => {
  try {
    open(metadata);
    return 'accepted';
  } catch (error) {
    if (!(error instanceof IngotError)) throw error;
    return error.code;
  }
};

const [NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE] = [1, 2, 3, 4, 6];
const prefixed = (values: Metadata): Metadata =>
  Object.fromEntries(Object.entries(values).map(([key, value]) => [`tokenizer.ggml.${key}`, value]));

const anyText = fc
  .array(fc.oneof(fc.nat(0x7f), fc.nat(0x10ffff)))
  .map((points) => String.fromCodePoint(...points).toWellFormed());

/** All bytes, two merges, one special token and one that people write. */
const byteTokens = [...BYTE_CHARACTERS, 'he', 'Ġhe', '<|end|>', '<note é>'];
const byteLevel = prefixed({
  model: text('gpt2'),
  pre: text('gpt-2'),
  tokens: list('string', byteTokens),
  token_type: list(
    'i32',
    byteTokens.map((_, id) => (id === 258 ? CONTROL : id === 259 ? USER_DEFINED : NORMAL)),
  ),
  merges: list('string', ['h e', 'Ġ he']),
  eos_token_id: u32(258),
});
const bytePieces = Array.from({ length: 256 }, (_, b) => `<0x${b.toString(16).toUpperCase().padStart(2, '0')}>`);
const spmTokens = ['<unk>', '<s>', '</s>', ...bytePieces, '▁', 'h', 'e', 'he', '▁he', '<sep>', '', ''];
const spm = prefixed({
  model: text('llama'),
  tokens: list('string', spmTokens),
  token_type: list(
    'i32',
    spmTokens.map((token, id) =>
      id === 0 ? UNKNOWN : id < 3 ? CONTROL : id < 259 ? BYTE : token === '<sep>' ? USER_DEFINED : NORMAL,
    ),
  ),
  scores: list(
    'f32',
    spmTokens.map((_, id) => (id < 262 ? 0 : 262 - id)),
  ),
  bos_token_id: u32(1),
  eos_token_id: u32(2),
});

describe('byte-level tokenizer', () => {
  const { tokenizer, eosIds } = open(byteLevel);

  it('cuts, merges, and finds whole tokens', () => {
    expect(tokenizer.encode('he he<|end|><note é>')).toEqual([256, 257, 258, 259]);
    expect(tokenizer.decode([256, 257, 258, 259])).toBe('he he<note é>');
    expect(tokenizer.decode([256, 257, 258], { skipSpecial: false })).toBe('he he<|end|>');
    expect([tokenizer.vocabSize, eosIds, tokenizer.eosIds, [...tokenizer.specialIds]]).toEqual([
      260,
      [258],
      [258],
      [258],
    ]);
  });

  it('gives back every text', () => {
    fc.assert(
      fc.property(anyText, (whole) => {
        expect(tokenizer.decode(tokenizer.encode(whole), { skipSpecial: false })).toBe(whole);
      }),
    );
  });

  it('adds a token at the start or the end where the file, or the kind of text cutting, says so', () => {
    const ids = (changes: Metadata): number[] => open({ ...byteLevel, ...prefixed(changes) }).tokenizer.encode('he');
    expect(ids({})).toEqual([256]);
    expect(ids({ bos_token_id: u32(258), add_bos_token: bool(true) })).toEqual([258, 256]);
    expect(ids({ add_eos_token: bool(true) })).toEqual([256, 258]);
    expect(ids({ pre: text('llama-bpe'), bos_token_id: u32(258) })).toEqual([258, 256]);
    expect(ids({ pre: text('llama-bpe') })).toEqual([256]);
    expect(ids({ pre: text('llama-bpe'), bos_token_id: u32(258), add_bos_token: bool(false) })).toEqual([256]);
    expect(code({ ...byteLevel, ...prefixed({ add_bos_token: bool(true) }) })).toBe('GGUF_TOKENIZER_INVALID');
  });

  it('takes a piece that is a token whole, where the vocabulary is of that kind', () => {
    // 'eh' is a token that no merge makes.
    const tokens = [...byteTokens.slice(0, 256), 'eh'];
    const changes = {
      tokens: list('string', tokens),
      token_type: undefined,
      merges: list('string', []),
      eos_token_id: undefined,
    };
    const ids = (pre: string): number[] =>
      open({ ...byteLevel, ...prefixed({ ...changes, pre: text(pre) }) }).tokenizer.encode('eh');
    expect(ids('llama-bpe')).toEqual([256]);
    expect(ids('gpt-2')).toEqual([101, 104]);
  });
});

describe('SentencePiece tokenizer', () => {
  const { tokenizer } = open(spm);

  it('puts a space in front, joins by score, and spells in bytes', () => {
    expect(tokenizer.encode('he')).toEqual([1, 263]);
    expect(tokenizer.encode('he', { addSpecial: false })).toEqual([263]);
    expect(tokenizer.encode('he hé', { addSpecial: false })).toEqual([263, 259, 260, 3 + 0xc3, 3 + 0xa9]);
    expect(tokenizer.encode('', { addSpecial: false })).toEqual([]);
    expect(tokenizer.decode(tokenizer.encode('he hé'))).toBe('he hé');
  });

  it('takes tokens within a text whole, and puts a space behind each', () => {
    expect(tokenizer.encode('he<sep>he</s>', { addSpecial: false })).toEqual([263, 264, 263, 2]);
    expect(tokenizer.specialIds).toEqual(new Set([0, 1, 2]));
  });

  it('does without the space where the file says so', () => {
    const plain = open({
      ...spm,
      ...prefixed({ add_space_prefix: bool(false), add_bos_token: bool(false) }),
    }).tokenizer;
    expect(plain.encode('he he')).toEqual([262, 263]);
    expect(plain.decode([263])).toBe(' he');
  });

  it('gives back every text', () => {
    const part = fc.oneof(fc.constantFrom('he', ' ', 'h', '<sep', '▁'), anyText);
    fc.assert(
      fc.property(fc.array(part), (parts) => {
        const whole = parts.join('').toWellFormed();
        if (whole.includes('<sep>') || whole.includes('▁')) return;
        expect(tokenizer.decode(tokenizer.encode(whole), { skipSpecial: false }).replace(/^<s> ?/, '')).toBe(whole);
      }),
    );
  });
});

describe('tokenizer metadata', () => {
  it('carries chat templates', () => {
    const now = seconds(0);
    const messages = [{ role: 'user', content: 'x' }];
    const one = open({ ...spm, 'tokenizer.chat_template': text('{{ bos_token }}{{ messages[0].content }}') }).tokenizer;
    expect(one.renderChat(messages, { addGenerationPrompt: true, now })).toBe('<s>x');
    const two = open({
      ...spm,
      'tokenizer.chat_template': text('plain'),
      'tokenizer.chat_template.tool_use': text('tools'),
    }).tokenizer;
    expect(two.renderChat(messages, { addGenerationPrompt: true, now, tools: [] })).toBe('tools');
    expect(open(spm).tokenizer.hasChatTemplate).toBe(false);
  });

  it('is refused where texts would become other ids', () => {
    const cases: readonly (readonly [Metadata, Metadata, string])[] = [
      [byteLevel, {}, 'accepted'],
      [spm, {}, 'accepted'],
      [spm, { model: text('t5') }, 'GGUF_TOKENIZER_UNSUPPORTED'],
      [spm, { model: undefined }, 'GGUF_TOKENIZER_UNSUPPORTED'],
      [spm, { remove_extra_whitespaces: bool(true) }, 'GGUF_TOKENIZER_UNSUPPORTED'],
      [spm, { new_key: u32(1) }, 'GGUF_TOKENIZER_UNSUPPORTED'],
      [spm, { padding_token_id: u32(0) }, 'accepted'],
      [spm, { padding_token_id: u32(spmTokens.length) }, 'GGUF_TOKENIZER_INVALID'],
      [spm, { add_bos_token: u32(1) }, 'GGUF_TOKENIZER_INVALID'],
      [spm, { scores: undefined }, 'GGUF_TOKENIZER_INVALID'],
      [spm, { scores: list('f32', [1]) }, 'GGUF_TOKENIZER_INVALID'],
      [
        spm,
        {
          scores: list(
            'f32',
            spmTokens.map(() => NaN),
          ),
        },
        'GGUF_TOKENIZER_INVALID',
      ],
      [spm, { token_type: list('i32', [1]) }, 'GGUF_TOKENIZER_INVALID'],
      [spm, { tokens: list('string', spmTokens.with(10, 'x')) }, 'GGUF_TOKENIZER_INVALID'],
      [spm, { tokens: list('string', spmTokens.with(260, 'he')) }, 'GGUF_TOKENIZER_INVALID'],
      [spm, { tokens: f32(1) }, 'GGUF_TOKENIZER_INVALID'],
      [byteLevel, { pre: text('jina-v9') }, 'GGUF_TOKENIZER_UNSUPPORTED'],
      [byteLevel, { pre: undefined }, 'accepted'],
      [byteLevel, { merges: undefined }, 'GGUF_TOKENIZER_INVALID'],
      [byteLevel, { merges: list('string', ['he']) }, 'GGUF_TOKENIZER_INVALID'],
      [byteLevel, { merges: list('string', ['h h']) }, 'GGUF_TOKENIZER_INVALID'],
      [byteLevel, { tokens: list('string', byteTokens.with(97, 'xx')) }, 'GGUF_TOKENIZER_INVALID'],
    ];
    for (const [base, changes, expected] of cases)
      expect(code({ ...base, ...prefixed(changes) }), JSON.stringify(Object.keys(changes))).toBe(expected);
  });
});

// Vocabularies and expected ids as llama.cpp publishes them for its own tests (models/ggml-vocab-*.gguf, .inp, .out).
const vocabularies = sharedFolder('tokenizers');
if (vocabularies === undefined) console.warn('skipped: published vocabularies: set INGOT_SHARED to the shared data');
describe.skipIf(vocabularies === undefined)('published vocabularies', () => {
  it.each(['gpt-2', 'llama-spm'])('%s gives the published ids', (name) => {
    const path = join(vocabularies!, `${name}.gguf`);
    const { metadata } = readGgufHeader(sourceOf(readFileSync(path)), name);
    const { tokenizer } = ggufTokenizer(metadata, name);
    const texts = readFileSync(`${path}.inp`, 'utf8').split('\n__ggml_vocab_test__\n');
    const lines = readFileSync(`${path}.out`, 'utf8').split('\n');
    expect(texts.length).toBeGreaterThan(40);
    expect(lines).toHaveLength(texts.length);
    for (const [i, line] of lines.entries()) {
      const ids = line
        .split(' ')
        .filter((id) => id !== '')
        .map(Number);
      expect(tokenizer.encode(texts[i], { addSpecial: false }), JSON.stringify(texts[i])).toEqual(ids);
      expect(tokenizer.decode(ids), JSON.stringify(texts[i])).toBe(texts[i]);
    }
  });
});

// How byte-level vocabularies cut a text before merging, by the names in `tokenizer.ggml.pre`. Patterns and names:
// llm_tokenizer_bpe and llama_vocab::impl::load in src/llama-vocab.cpp of https://github.com/ggml-org/llama.cpp, which
// took them from the tokenizer.json of each model. White space is Unicode's (\p{White_Space}), as there; JavaScript's
// \s differs in U+0085 and U+FEFF.

export interface PreTokenizer {
  /** Applied one after another, each to the pieces that those before left. */
  readonly patterns: readonly string[];
  /** A piece that is a token is not built by merges. */
  readonly wholeTokens: boolean;
  /** Where `tokenizer.ggml.add_bos_token` is absent. */
  readonly addBos: boolean;
}

/** GPT-2, encoder.py. */
const gpt2 = [
  "'s|'t|'re|'ve|'m|'ll|'d",
  ' ?\\p{L}+',
  ' ?\\p{N}+',
  ' ?[^\\p{White_Space}\\p{L}\\p{N}]+',
  '\\p{White_Space}+(?!\\P{White_Space})',
  '\\p{White_Space}+',
].join('|');

const contractions = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";
const letters = '[^\\r\\n\\p{L}\\p{N}]?\\p{L}+';
const spaces = '\\p{White_Space}*[\\r\\n]+|\\p{White_Space}+(?!\\P{White_Space})|\\p{White_Space}+';
const symbols = ' ?[^\\p{White_Space}\\p{L}\\p{N}]+[\\r\\n]*';

/** tiktoken's cl100k with digits in threes, as in Llama 3. */
const llama3: PreTokenizer = {
  patterns: [[contractions, letters, '\\p{N}{1,3}', symbols, spaces].join('|')],
  wholeTokens: true,
  addBos: true,
};
/** The same with single digits. */
const qwen2: PreTokenizer = {
  patterns: [[contractions, letters, '\\p{N}', symbols, spaces].join('|')],
  wholeTokens: false,
  addBos: false,
};
/** Mistral's tekken: words break before a capital. */
const upper = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]';
const lower = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]';
const tekken: PreTokenizer = {
  patterns: [
    [
      `[^\\r\\n\\p{L}\\p{N}]?${upper}*${lower}+`,
      `[^\\r\\n\\p{L}\\p{N}]?${upper}+${lower}*`,
      '\\p{N}',
      ' ?[^\\p{White_Space}\\p{L}\\p{N}]+[\\r\\n/]*',
      spaces,
    ].join('|'),
  ],
  wholeTokens: true,
  addBos: true,
};

const like = (patterns: readonly string[]): PreTokenizer => ({ patterns, wholeTokens: false, addBos: false });

/** By name. A name that is not here is refused: text cut in another way is other text to the model. */
export const preTokenizers: ReadonlyMap<string, PreTokenizer> = new Map([
  // What llama.cpp does where a file names nothing.
  ['default', like(['[\\p{P}\\$\\+<=>\\^~\\|]+', gpt2, '\\p{N}+', '[0-9][0-9][0-9]'])],
  ['gpt-2', like([gpt2])],
  ['smollm', like(['\\p{N}', gpt2])],
  ['llama-bpe', llama3],
  ['llama3', llama3],
  ['llama-v3', llama3],
  ['falcon3', llama3],
  ['pixtral', llama3],
  ['qwen2', qwen2],
  ['deepseek-r1-qwen', qwen2],
  ['tekken', tekken],
]);

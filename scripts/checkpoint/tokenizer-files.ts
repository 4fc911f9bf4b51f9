import { chatTemplate, config, PLAIN, SPECIAL } from './config.ts';
import type { Passage } from './corpus.ts';
import { trainBpe } from './train-bpe.ts';

type Json = Record<string, unknown>;

/** tokenizer.json and tokenizer_config.json of a byte-level vocabulary trained on the corpus. */
export function makeTokenizerFiles(corpus: readonly Passage[]): { readonly tokenizer: Json; readonly config: Json } {
  const texts = corpus.flatMap((p) => (typeof p === 'string' ? [p] : [p.user, p.assistant]));
  const { tokens, merges } = trainBpe(texts, PLAIN);
  if (tokens.length !== PLAIN) throw new Error(`the corpus gives only ${tokens.length} tokens of ${PLAIN}`);
  const [bos, eos] = SPECIAL;
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  const begin = { SpecialToken: { id: bos, type_id: 0 } };
  const sequence = (id: string, type: number): Json => ({ Sequence: { id, type_id: type } });
  return {
    tokenizer: {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: SPECIAL.map((content, i) => ({ id: PLAIN + i, content, ...flags })),
      normalizer: null,
      pre_tokenizer: byteLevel,
      post_processor: {
        type: 'TemplateProcessing',
        single: [begin, sequence('A', 0)],
        pair: [begin, sequence('A', 0), sequence('B', 1)],
        special_tokens: { [bos]: { id: bos, ids: [PLAIN], tokens: [bos] } },
      },
      decoder: byteLevel,
      model: {
        type: 'BPE',
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
        merges: merges.map(([left, right]) => `${left} ${right}`),
      },
    },
    config: {
      bos_token: bos,
      eos_token: eos,
      chat_template: chatTemplate,
      clean_up_tokenization_spaces: false,
      model_max_length: config.max_position_embeddings,
      tokenizer_class: 'PreTrainedTokenizerFast',
    },
  };
}

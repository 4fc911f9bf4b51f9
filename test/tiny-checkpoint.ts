// A whole checkpoint of a few kilobytes, to be damaged by tests.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import {
  BYTE_CHARACTERS,
  DTYPE_BYTES,
  encodeSafetensors,
  parseConfig,
  randomWeights,
  type TensorToWrite,
} from '../src/model/index.ts';

export const tinyConfig = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: 8,
  intermediate_size: 16,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  vocab_size: 264,
  bos_token_id: 256,
  eos_token_id: 257,
};

const special = ['<s>', '</s>'].map((content, i) => ({
  id: 256 + i,
  content,
  special: true,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
}));

export const tinyTokenizer = {
  version: '1.0',
  added_tokens: special,
  normalizer: null,
  pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
  post_processor: null,
  decoder: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
  model: {
    type: 'BPE',
    vocab: Object.fromEntries(BYTE_CHARACTERS.map((c, id) => [c, id])),
    merges: [],
    unk_token: null,
  },
};

/** The tensors that `tinyConfig` asks for, in bf16, random. */
export function tinyTensors(): TensorToWrite[] {
  const weights = randomWeights(parseConfig(tinyConfig).shape, 1, 'bf16');
  return weights.names.map((name) => {
    const shape = weights.shape(name);
    const dtype = weights.dtype(name);
    const bytes = new Uint8Array(shape.reduce((a, b) => a * b, DTYPE_BYTES[dtype]));
    weights.readRows(name, 0, shape[0], bytes);
    return { name, dtype, shape, bytes };
  });
}

/** Write a sound checkpoint into a new folder. */
export function writeTinyCheckpoint(dir: string): void {
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'config.json'), JSON.stringify(tinyConfig, null, 2));
  writeFileSync(join(dir, 'tokenizer.json'), JSON.stringify(tinyTokenizer));
  writeFileSync(join(dir, 'tokenizer_config.json'), JSON.stringify({ bos_token: '<s>', eos_token: '</s>' }));
  writeFileSync(join(dir, 'model.safetensors'), encodeSafetensors(tinyTensors()));
}

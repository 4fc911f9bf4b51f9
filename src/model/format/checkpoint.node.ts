// A Hugging Face folder as one value: what the model is, its weights, its tokenizer. Everything is checked
// against everything else before anybody computes with it.

import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { join } from 'node:path';

import { fail, formatCount, nearest } from '../../core/index.ts';
import type { LlmShape } from '../../spec/index.ts';
import { graphOf, parseConfig } from '../arch/index.ts';
import type { Graph, WeightSource } from '../graph.ts';
import { createTokenizer, type Tokenizer } from '../tokenizer/index.ts';
import { weightSpecs } from '../weights.ts';
import { hasFile, openFile, readText } from './bounded-file.node.ts';
import { parseJsonObject, type JsonObject } from './json.ts';
import { createProblems, MAX_PROBLEMS } from './problems.ts';
import { INDEX_FILE, openWeightFiles } from './weight-files.node.ts';

/** config.json, generation_config.json: a few kilobytes in every published model. */
export const MAX_CONFIG_BYTES = 2 ** 20;
/** The largest published tokenizer.json (262,144 tokens) is near 33 MB. */
export const MAX_TOKENIZER_BYTES = 128 * 2 ** 20;
/** tokenizer_config.json repeats added tokens and holds templates; chat_template.jinja holds one. */
export const MAX_TOKENIZER_CONFIG_BYTES = 8 * 2 ** 20;

const HASH_CHUNK_BYTES = 2 ** 20;
/** Missing tensors among which a misspelt one is looked for. */
const MAX_CANDIDATES = 64;

/** What the publisher suggests for sampling; absent where it says nothing. */
export interface GenerationDefaults {
  /** Any of these ends a text: of generation_config.json or else config.json, and of the tokenizer. */
  readonly eosIds: readonly number[];
  readonly temperature?: number;
  readonly topP?: number;
  readonly topK?: number;
}

export interface Provenance {
  /** Every file that was read. */
  readonly files: readonly { readonly name: string; readonly bytes: number }[];
  /** Hexadecimal SHA-256 of one of them; reads the file. */
  sha256(name: string): string;
}

export interface Checkpoint {
  readonly dir: string;
  readonly config: JsonObject;
  readonly shape: LlmShape;
  readonly graph: Graph;
  readonly weights: WeightSource;
  readonly tokenizer: Tokenizer;
  readonly bosId: number | undefined;
  readonly generation: GenerationDefaults;
  readonly provenance: Provenance;
  /** Closes the weight files; `weights` cannot be read after it. */
  close(): void;
}

/**
 * Tensors that some releases carry and no model of ours reads: rotary frequencies follow from the configuration,
 * and a tied head is the embedding.
 */
const inertTensors: readonly { readonly pattern: RegExp; readonly when: (shape: LlmShape) => boolean }[] = [
  { pattern: /^model\.(layers\.\d+\.self_attn\.)?rotary_emb\.inv_freq$/, when: () => true },
  { pattern: /^lm_head\.weight$/, when: (shape) => shape.tiedEmbeddings },
];

/**
 * Open a folder in Hugging Face format (a snapshot of the Hugging Face cache is one).
 * @throws IngotError CHECKPOINT_*, SAFETENSORS_*, CONFIG_*, ARCH_*, TOKENIZER_*
 */
export function openCheckpoint(dir: string): Checkpoint {
  requireFolder(dir);
  const path = (name: string): string => join(dir, name);
  const readObject = (name: string, maxBytes: number): JsonObject =>
    parseJsonObject(readText(dir, name, maxBytes), path(name), { large: maxBytes > MAX_CONFIG_BYTES });
  const config = readObject('config.json', MAX_CONFIG_BYTES);
  const { shape, bosTokenId, eosTokenIds } = parseConfig(config, path('config.json'));
  const graph = graphOf(shape);

  const weightFiles = openWeightFiles(dir);
  try {
    checkTensors(weightFiles.source, shape, dir);
    const read: string[] = ['config.json'];
    const optional = <T>(name: string, reader: () => T): T | undefined => {
      if (!hasFile(dir, name)) return undefined;
      read.push(name);
      return reader();
    };
    const tokenizer = createTokenizer({
      tokenizer: parseJsonObject(
        readText(dir, 'tokenizer.json', MAX_TOKENIZER_BYTES, tokenizerSuggestion(dir)),
        path('tokenizer.json'),
        { large: true },
      ),
      config:
        optional('tokenizer_config.json', () => readObject('tokenizer_config.json', MAX_TOKENIZER_CONFIG_BYTES)) ?? {},
      chatTemplate: optional('chat_template.jinja', () =>
        readText(dir, 'chat_template.jinja', MAX_TOKENIZER_CONFIG_BYTES),
      ),
      where: path('tokenizer.json'),
    });
    read.push('tokenizer.json');
    if (tokenizer.vocabSize > shape.vocab) {
      fail({
        code: 'TOKENIZER_MISMATCH',
        message: 'the tokenizer makes token ids that the model does not have',
        where: path('tokenizer.json'),
        expected: `at most ${formatCount(shape.vocab)} tokens (vocab_size)`,
        found: formatCount(tokenizer.vocabSize),
        suggestion: 'use the tokenizer that was published with these weights',
      });
    }
    const generation = readGeneration(
      optional('generation_config.json', () => readObject('generation_config.json', MAX_CONFIG_BYTES)) ?? {},
      path('generation_config.json'),
      shape.vocab,
      { eosIds: eosTokenIds, tokenizerEosIds: tokenizer.eosIds },
    );
    optional(INDEX_FILE, () => undefined);
    return {
      dir,
      config,
      shape,
      graph,
      weights: weightFiles.source,
      tokenizer,
      bosId: tokenizer.bosId ?? bosTokenId,
      generation,
      provenance: {
        files: [...read.map((name) => ({ name, bytes: statSync(path(name)).size })), ...weightFiles.files],
        sha256: (name) => sha256(dir, name),
      },
      close: weightFiles.close,
    };
  } catch (error) {
    weightFiles.close();
    throw error;
  }
}

function requireFolder(dir: string): void {
  const found = statSync(dir, { throwIfNoEntry: false });
  if (found?.isDirectory() !== true) {
    fail({
      code: 'CHECKPOINT_FOLDER_MISSING',
      message: found === undefined ? 'there is no such folder' : 'the path is a file, not a folder',
      where: dir,
      expected: 'a folder with config.json, *.safetensors and tokenizer.json',
      suggestion: 'check the path',
    });
  }
  if (!hasFile(dir, 'config.json') && statSync(join(dir, 'snapshots'), { throwIfNoEntry: false }) !== undefined) {
    fail({
      code: 'CHECKPOINT_FILE_MISSING',
      message: 'this is an entry of the Hugging Face cache, not a checkpoint',
      where: dir,
      suggestion: `pass one of the folders in ${join(dir, 'snapshots')}`,
    });
  }
}

const tokenizerSuggestion = (dir: string): string | undefined =>
  hasFile(dir, 'tokenizer.model')
    ? 'there is a tokenizer.model: load it with transformers and call save_pretrained to get a tokenizer.json'
    : undefined;

/** Every weight that the shape asks for is there in its shape, and there is nothing that nobody reads. */
function checkTensors(weights: WeightSource, shape: LlmShape, dir: string): void {
  const wanted = new Map(weightSpecs(shape).map((spec) => [spec.name, spec.shape]));
  const problems = createProblems();
  for (const [name, dims] of wanted) {
    const where = `${dir}, tensor ${name}`;
    const expected = `[${dims.join(', ')}]`;
    if (!weights.has(name)) {
      problems.add({
        code: 'CHECKPOINT_TENSOR_MISSING',
        message: 'a weight that config.json asks for is not in the checkpoint',
        where,
        expected,
        suggestion: 'fetch all weights of the model',
      });
    } else if (weights.shape(name).join() !== dims.join()) {
      problems.add({
        code: 'CHECKPOINT_TENSOR_SHAPE',
        message: 'a weight has another shape than config.json asks for',
        where,
        expected,
        found: `[${weights.shape(name).join(', ')}]`,
        suggestion: 'use the config.json that was published with these weights',
      });
    }
  }
  const missing = [...wanted.keys()].filter((name) => !weights.has(name)).slice(0, MAX_CANDIDATES);
  for (const name of weights.names) {
    if (wanted.has(name) || inertTensors.some(({ pattern, when }) => pattern.test(name) && when(shape))) continue;
    // A problem that is only counted needs no suggestion.
    const near = problems.count < MAX_PROBLEMS ? nearest(name, missing) : undefined;
    problems.add({
      code: 'CHECKPOINT_TENSOR_UNKNOWN',
      message: 'the checkpoint has a weight that this architecture does not use',
      where: `${dir}, tensor ${name}`,
      suggestion: near === undefined ? 'check model_type in config.json' : `did you mean ${near}?`,
    });
  }
  problems.throwIfAny();
}

function readGeneration(
  json: JsonObject,
  where: string,
  vocab: number,
  from: { readonly eosIds: readonly number[]; readonly tokenizerEosIds: readonly number[] },
): GenerationDefaults {
  const problems = createProblems();
  /** A key may be absent or null; a value that is neither and does not hold is a problem. */
  const take = <T>(key: string, holds: (value: unknown) => value is T, expected: string): T | undefined => {
    const value = json[key] ?? undefined;
    if (value === undefined || holds(value)) return value;
    problems.add({
      code: 'CHECKPOINT_GENERATION_INVALID',
      message: 'a value is not of the kind that its key asks for',
      where: `${where}, key ${key}`,
      expected,
      found: JSON.stringify(value).slice(0, 80),
    });
    return undefined;
  };
  const isId = (value: unknown): value is number =>
    Number.isInteger(value) && Number(value) >= 0 && Number(value) < vocab;
  const isIds = (value: unknown): value is number | number[] =>
    isId(value) || (Array.isArray(value) && value.every(isId));
  const isNumber = (value: unknown): value is number => typeof value === 'number' && value >= 0;
  const isShare = (value: unknown): value is number => isNumber(value) && value > 0 && value <= 1;
  const isCount = (value: unknown): value is number => isNumber(value) && Number.isInteger(value);

  const eos = take('eos_token_id', isIds, `token ids below ${vocab}`);
  const temperature = take('temperature', isNumber, 'a number from 0 on');
  const topP = take('top_p', isShare, 'a number above 0, at most 1');
  const topK = take('top_k', isCount, 'a whole number from 0 on');
  problems.throwIfAny();
  return {
    eosIds: [...new Set([eos ?? from.eosIds, from.tokenizerEosIds].flat())],
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { topP }),
    ...(topK === undefined ? {} : { topK }),
  };
}

function sha256(dir: string, name: string): string {
  const file = openFile(dir, name);
  try {
    const hash = createHash('sha256');
    const chunk = new Uint8Array(HASH_CHUNK_BYTES);
    for (let at = 0; at < file.bytes; at += chunk.length) {
      const part = chunk.subarray(0, Math.min(chunk.length, file.bytes - at));
      file.read(part, at);
      hash.update(part);
    }
    return hash.digest('hex');
  } finally {
    file.close();
  }
}

// A Hugging Face folder, or a GGUF file, as one value: what the model is, its weights, its tokenizer. Everything is checked
// against everything else before anybody computes with it.

import { statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

import { fail } from '../../core/index.ts';
import { graphOf, parseConfig } from '../arch/index.ts';
import { createTokenizer } from '../tokenizer/index.ts';
import { filesOf, readText, sha256, type Files } from './bounded-file.node.ts';
import { checkTensors, checkTokenizer } from './cross-checks.ts';
import { readEmbedding } from './embedding-rule.ts';
import { readGeneration } from './generation.ts';
import { isGgufFile, openGguf } from './gguf-file.node.ts';
import type { ModelContent } from './gguf-model.ts';
import { parseJson, parseJsonObject, type JsonObject } from './json.ts';
import { onnxFileOf, openOnnx } from './onnx/onnx-file.node.ts';
import { hasSafetensors, INDEX_FILE, openWeightFiles } from './weight-files.node.ts';

/** config.json, generation_config.json: a few kilobytes in every published model. */
export const MAX_CONFIG_BYTES = 2 ** 20;
/** The largest published tokenizer.json (262,144 tokens) is near 33 MB. */
export const MAX_TOKENIZER_BYTES = 128 * 2 ** 20;
/** tokenizer_config.json repeats added tokens and holds templates; chat_template.jinja holds one. */
export const MAX_TOKENIZER_CONFIG_BYTES = 8 * 2 ** 20;

export interface Provenance {
  /** Every file that was read. */
  readonly files: readonly { readonly name: string; readonly bytes: number }[];
  /** Hexadecimal SHA-256 of one of them; reads the file. */
  sha256(name: string): string;
}

export interface Checkpoint extends ModelContent {
  /** The folder, or the GGUF file. */
  readonly dir: string;
  /** Where the files of `provenance` lie. */
  readonly files: Files;
  readonly provenance: Provenance;
  /** Closes the weight files; `weights` cannot be read after it. */
  close(): void;
}

/**
 * Open a folder in Hugging Face format (a snapshot of the Hugging Face cache is one), a GGUF file, or one of the ONNX files
 * of a folder, beside its config.json or in a folder there.
 * @throws IngotError CHECKPOINT_*, SAFETENSORS_*, GGUF_*, CONFIG_*, ARCH_*, TOKENIZER_*
 */
export function openCheckpoint(dir: string): Checkpoint {
  if (isGgufFile(dir)) return openGguf(filesOf(dirname(dir)), basename(dir));
  if (dir.endsWith('.onnx') && statSync(dir, { throwIfNoEntry: false })?.isFile() === true) return openOnnxFile(dir);
  requireFolder(dir);
  return openFiles(filesOf(dir));
}

function openOnnxFile(path: string): Checkpoint {
  const folder = dirname(path);
  const isBeside = filesOf(folder).has('config.json');
  const files = filesOf(isBeside ? folder : dirname(folder));
  const name = isBeside ? basename(path) : `${basename(folder)}/${basename(path)}`;
  return { ...openFiles(files, name), dir: path };
}

/** As `openCheckpoint`, of files that lie anywhere: those of a folder, or a single GGUF file. */
export function openCheckpointFiles(files: Files): Checkpoint {
  const [only, ...others] = files.names();
  return others.length === 0 && only?.endsWith('.gguf') ? openGguf(files, only) : openFiles(files);
}

/** @param named the ONNX file to take, whatever else there is */
function openFiles(files: Files, named?: string): Checkpoint {
  const path = files.where;
  const readObject = (name: string, maxBytes: number): JsonObject =>
    parseJsonObject(readText(files, name, maxBytes), path(name), { large: maxBytes > MAX_CONFIG_BYTES });
  const config = readObject('config.json', MAX_CONFIG_BYTES);
  const { shape: stated, bosTokenId, eosTokenIds } = parseConfig(config, path('config.json'));
  const onnx = named ?? (hasSafetensors(files) ? undefined : onnxFileOf(files));
  const { shape, ...weightFiles } =
    onnx === undefined ? { shape: stated, ...openWeightFiles(files) } : openOnnx(files, onnx, stated);
  const graph = graphOf(shape);
  try {
    checkTensors(weightFiles.source, shape, {
      where: files.path,
      config: 'config.json',
      architectureKey: 'model_type',
      mend: 'use the config.json that was published with these weights',
      nameOf: (tensor) => tensor,
    });
    const read: string[] = ['config.json'];
    const optional = <T>(name: string, reader: () => T): T | undefined => {
      if (!files.has(name)) return undefined;
      read.push(name);
      return reader();
    };
    const tokenizer = createTokenizer({
      tokenizer: parseJsonObject(
        readText(files, 'tokenizer.json', MAX_TOKENIZER_BYTES, tokenizerSuggestion(files)),
        path('tokenizer.json'),
        { large: true },
      ),
      config:
        optional('tokenizer_config.json', () => readObject('tokenizer_config.json', MAX_TOKENIZER_CONFIG_BYTES)) ?? {},
      chatTemplate: optional('chat_template.jinja', () =>
        readText(files, 'chat_template.jinja', MAX_TOKENIZER_CONFIG_BYTES),
      ),
      where: path('tokenizer.json'),
      chatTemplateWhere: path(files.has('chat_template.jinja') ? 'chat_template.jinja' : 'tokenizer_config.json'),
    });
    read.push('tokenizer.json');
    checkTokenizer(tokenizer, shape, path('tokenizer.json'));
    const generation = readGeneration(
      optional('generation_config.json', () => readObject('generation_config.json', MAX_CONFIG_BYTES)) ?? {},
      path('generation_config.json'),
      shape.vocab,
      { eosIds: eosTokenIds, tokenizerEosIds: tokenizer.eosIds },
    );
    const embedding = readEmbedding(files, config, (name) => {
      read.push(name);
      return parseJson(readText(files, name, MAX_CONFIG_BYTES), path(name));
    });
    optional(INDEX_FILE, () => undefined);
    return {
      dir: files.path,
      files,
      config,
      shape,
      graph,
      weights: weightFiles.source,
      tokenizer,
      bosId: tokenizer.bosId ?? bosTokenId,
      generation,
      embedding,
      provenance: {
        files: [...read.map((name) => ({ name, bytes: bytesOf(files, name) })), ...weightFiles.files],
        sha256: (name) => sha256(files, name),
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
      message: found === undefined ? 'there is no such folder' : 'the path is a file, and not a GGUF file',
      where: dir,
      expected:
        'a folder with config.json, tokenizer.json and *.safetensors or model.onnx; a GGUF file; or an artifact',
      suggestion: 'check the path',
    });
  }
  if (!filesOf(dir).has('config.json') && statSync(join(dir, 'snapshots'), { throwIfNoEntry: false }) !== undefined) {
    fail({
      code: 'CHECKPOINT_FILE_MISSING',
      message: 'this is an entry of the Hugging Face cache, not a checkpoint',
      where: dir,
      suggestion: `pass one of the folders in ${join(dir, 'snapshots')}`,
    });
  }
}

function bytesOf(files: Files, name: string): number {
  const file = files.open(name);
  file.close();
  return file.bytes;
}

const tokenizerSuggestion = (files: Files): string | undefined =>
  files.has('tokenizer.model')
    ? 'there is a tokenizer.model: load it with transformers and call save_pretrained to get a tokenizer.json'
    : undefined;

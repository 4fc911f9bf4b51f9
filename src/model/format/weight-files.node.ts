// The weights of a folder as one WeightSource, whether they lie in one safetensors file or in shards with an
// index. Every file is opened once. Tensor bytes go from the file to the caller's buffer, with no copy between.

import { assert, fail, formatCount } from '../../core/index.ts';
import type { WeightSource } from '../graph.ts';
import { readText, type Files, type OpenFile } from './bounded-file.node.ts';
import { DTYPE_BYTES, widenInto } from './float-formats.ts';
import { isJsonObject, parseJsonObject } from './json.ts';
import { createProblems } from './problems.ts';
import { separateExperts, type StoredTensors } from './fused-experts.ts';
import { headerLength, parseSafetensorsHeader, STORED_BYTES, type TensorEntry } from './safetensors.ts';

export const SINGLE_FILE = 'model.safetensors';
export const INDEX_FILE = 'model.safetensors.index.json';
/** The index of a model with 100,000 tensors is under 10 MB. */
export const MAX_INDEX_BYTES = 32 * 2 ** 20;
/** Open files; the largest open models come in under 200 shards. */
export const MAX_SHARDS = 1024;
/** Stored elements that `read` holds beside its result. */
const WIDEN_CHUNK_BYTES = 2 ** 20;

export interface WeightFiles {
  readonly source: WeightSource;
  readonly files: readonly { readonly name: string; readonly bytes: number }[];
  close(): void;
}

export const hasSafetensors = (files: Files): boolean => files.has(SINGLE_FILE) || files.has(INDEX_FILE);

interface Located {
  readonly entry: TensorEntry;
  readonly file: OpenFile;
}

/**
 * Open the safetensors files among others. A single file wins over an index, as in the transformers library.
 * @throws IngotError CHECKPOINT_WEIGHTS_MISSING, CHECKPOINT_SHARD_MISSING, CHECKPOINT_INDEX_MALFORMED,
 *   CHECKPOINT_INDEX_MISMATCH, SAFETENSORS_*
 */
export function openWeightFiles(folder: Files): WeightFiles {
  const index = folder.has(SINGLE_FILE) ? undefined : readIndex(folder);
  const names = index === undefined ? [SINGLE_FILE] : [...new Set(index.values())].sort();
  const open: OpenFile[] = [];
  const close = (): void => {
    for (const file of open.splice(0)) file.close();
  };
  try {
    const located = new Map<string, Located>();
    const seen = new Set<string>();
    const problems = createProblems();
    for (const name of names) {
      const file = folder.open(name);
      open.push(file);
      for (const entry of readHeader(file)) {
        seen.add(entry.name);
        const listed = index === undefined ? name : index.get(entry.name);
        if (listed === name) located.set(entry.name, { entry, file });
        else {
          problems.add({
            code: 'CHECKPOINT_INDEX_MISMATCH',
            message:
              listed === undefined
                ? 'a shard holds a tensor that the index lacks'
                : 'a tensor is in another shard than the index says',
            where: `${folder.where(INDEX_FILE)}, tensor ${entry.name}`,
            expected: listed ?? 'no such tensor',
            found: name,
            suggestion: 'fetch the index and all shards of one revision',
          });
        }
      }
    }
    for (const [tensor, name] of index ?? []) {
      if (seen.has(tensor)) continue;
      problems.add({
        code: 'CHECKPOINT_INDEX_MISMATCH',
        message: 'the index names a tensor that no shard holds',
        where: `${folder.where(INDEX_FILE)}, tensor ${tensor}`,
        expected: name,
        suggestion: 'fetch the index and all shards of one revision',
      });
    }
    problems.throwIfAny();
    const files = names.map((name, i) => ({ name, bytes: open[i].bytes }));
    return { source: separateExperts(createSource(withBody(located)), folder.path), files, close };
  } catch (error) {
    close();
    throw error;
  }
}

const BODY = 'model.';
const EMBEDDING = 'embed_tokens.weight';

/** Libraries that save a model without its head, as those for embeddings do, leave out the name of its body. */
function withBody(located: ReadonlyMap<string, Located>): ReadonlyMap<string, Located> {
  if (!located.has(EMBEDDING) || located.has(BODY + EMBEDDING)) return located;
  return new Map([...located].map(([name, tensor]) => [name.startsWith('lm_head.') ? name : BODY + name, tensor]));
}

/** Tensor name to file name, every file present. */
function readIndex(folder: Files): Map<string, string> {
  const path = folder.where(INDEX_FILE);
  if (!folder.has(INDEX_FILE)) {
    const others = folder.names().filter((name) => /\.(bin|pt|pth|gguf|onnx)$/.test(name));
    fail({
      code: 'CHECKPOINT_WEIGHTS_MISSING',
      message: 'the folder has no weights that Ingot reads',
      where: folder.path,
      expected: `${SINGLE_FILE}, or ${INDEX_FILE} and its shards, or model.onnx`,
      found: others.length === 0 ? undefined : others.slice(0, 4).join(', '),
      suggestion: others.length === 0 ? 'fetch the whole repository of the model' : 'fetch the safetensors release',
    });
  }
  const weightMap = parseJsonObject(readText(folder, INDEX_FILE, MAX_INDEX_BYTES), path)['weight_map'];
  // A shard's name comes from the file: it must not lead out of the folder.
  const isShard = (name: unknown): name is string => typeof name === 'string' && /^[\w.-]+\.safetensors$/.test(name);
  if (!isJsonObject(weightMap) || !Object.values(weightMap).every(isShard)) {
    fail({
      code: 'CHECKPOINT_INDEX_MALFORMED',
      message: 'the index does not map tensor names to safetensors files of this folder',
      where: `${path}, key weight_map`,
      expected: '{"tensor": "model-00001-of-0000N.safetensors", …}',
    });
  }
  const index = new Map(Object.entries(weightMap as Record<string, string>));
  const shards = [...new Set(index.values())].sort();
  if (shards.length > MAX_SHARDS) {
    fail({
      code: 'CHECKPOINT_INDEX_MALFORMED',
      message: 'the index names too many shards',
      where: path,
      expected: `at most ${formatCount(MAX_SHARDS)}`,
      found: formatCount(shards.length),
    });
  }
  const problems = createProblems();
  for (const shard of shards) {
    if (folder.has(shard)) continue;
    problems.add({
      code: 'CHECKPOINT_SHARD_MISSING',
      message: 'a shard that the index names is not in the folder',
      where: folder.where(shard),
      expected: `${shards.length} shards`,
      suggestion: 'fetch the missing shard',
    });
  }
  problems.throwIfAny();
  return index;
}

function readHeader(file: OpenFile): readonly TensorEntry[] {
  const prefix = new Uint8Array(Math.min(8, file.bytes));
  file.read(prefix, 0);
  const head = new Uint8Array(8 + headerLength(prefix, file.bytes, file.path));
  file.read(head, 0);
  return parseSafetensorsHeader(head, file.bytes, file.path).tensors;
}

function createSource(located: ReadonlyMap<string, Located>): StoredTensors {
  const get = (name: string): Located => {
    const found = located.get(name);
    assert(found !== undefined, `tensor ${name} is in the checkpoint`);
    return found;
  };
  return {
    names: [...located.keys()],
    has: (name) => located.has(name),
    shape: (name) => get(name).entry.shape,
    dtype: (name) => get(name).entry.dtype,
    read(name) {
      const { entry, file } = get(name);
      const stored = entry.end - entry.begin;
      assert(entry.dtype !== 'u8', `${name} holds floats`);
      const values = new Float32Array(stored / DTYPE_BYTES[entry.dtype]);
      if (entry.dtype === 'f32') {
        file.read(new Uint8Array(values.buffer), entry.begin);
        return values;
      }
      const chunk = new Uint8Array(Math.min(stored, WIDEN_CHUNK_BYTES));
      for (let done = 0; done < stored; done += chunk.length) {
        const part = chunk.subarray(0, Math.min(chunk.length, stored - done));
        file.read(part, entry.begin + done);
        widenInto(values, done / DTYPE_BYTES[entry.dtype], part, entry.dtype);
      }
      return values;
    },
    readRows(name, from, to, target) {
      const { entry, file } = get(name);
      assert(entry.shape.length > 0 && from >= 0 && from <= to && to <= entry.shape[0], `rows of ${name} exist`);
      const rowBytes = entry.shape.slice(1).reduce((product, n) => product * n, STORED_BYTES[entry.dtype]);
      assert(target.length === (to - from) * rowBytes, `the target holds rows [${from}, ${to}) of ${name} exactly`);
      file.read(target, entry.begin + from * rowBytes);
    },
  };
}

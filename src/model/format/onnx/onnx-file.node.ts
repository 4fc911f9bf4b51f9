// ONNX files of a folder, with the files that hold their tensors.

import { fail, formatCount } from '../../../core/index.ts';
import type { LlmShape } from '../../../spec/index.ts';
import type { Files, OpenFile } from '../bounded-file.node.ts';
import type { WeightFiles } from '../weight-files.node.ts';
import { MAX_EXTERNAL_FILES } from './model-file.ts';
import { readOnnxWeights } from './onnx-model.ts';

/** Where exporters put a decoder, in the order in which it is looked for; those of transformers.js by how much they keep. */
const candidates = ['model.onnx', ...['', '_fp16', '_q4f16', '_q4'].map((precision) => `onnx/model${precision}.onnx`)];

/** The ONNX file of a folder: the only one there is, where none has a usual name. */
export function onnxFileOf(files: Files): string | undefined {
  const usual = candidates.find((name) => files.has(name));
  if (usual !== undefined) return usual;
  const [only, ...others] = files.names().filter((name) => name.endsWith('.onnx'));
  return others.length === 0 ? only : undefined;
}

/** Names in a folder, or in folders of it. */
const isInside = (location: string): boolean =>
  /^[\w.@+ -]+(\/[\w.@+ -]+)*$/.test(location) && !location.split('/').some((part) => part === '..' || part === '.');

/**
 * The weights of `shape` in an ONNX file.
 * @returns the shape with them: a head that is stored apart is not tied
 * @throws IngotError ONNX_*, CHECKPOINT_FILE_*
 */
export function openOnnx(files: Files, name: string, shape: LlmShape): WeightFiles & { readonly shape: LlmShape } {
  const open = new Map<string, OpenFile>();
  const close = (): void => {
    for (const file of open.values()) file.close();
    open.clear();
  };
  const folder = name.slice(0, name.lastIndexOf('/') + 1);
  const external = (location: string): OpenFile => {
    if (!isInside(location) || location.length > 200) {
      fail({
        code: 'ONNX_EXTERNAL_DATA',
        message: 'a tensor lies in a file outside the folder of the model, or in one with an odd name',
        expected: 'letters, digits and ._-+@, without ..',
        found: location.slice(0, 100),
      });
    }
    const path = folder + location;
    const known = open.get(path);
    if (known !== undefined) return known;
    if (open.size > MAX_EXTERNAL_FILES) {
      fail({
        code: 'ONNX_LIMIT',
        message: 'tensors lie in more files than Ingot opens',
        expected: `at most ${formatCount(MAX_EXTERNAL_FILES)}`,
      });
    }
    const file = files.open(path, 'fetch the data files that belong to the model');
    open.set(path, file);
    return file;
  };
  try {
    const model = files.open(name);
    open.set(name, model);
    const { weights, shape: found } = readOnnxWeights(model, shape, { where: files.where(name), external });
    return {
      source: weights,
      shape: found,
      files: [...open].map(([path, { bytes }]) => ({ name: path, bytes })),
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

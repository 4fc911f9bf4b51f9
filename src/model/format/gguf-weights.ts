// The tensors of a GGUF file as a WeightSource under Hugging Face names: block formats widened as they are read, rows
// of rotary projections put back in the order of Hugging Face.

import { assert } from '../../core/index.ts';
import type { WeightSource } from '../graph.ts';
import { DTYPE_BYTES, widenInto } from './float-formats.ts';
import type { ByteSource } from './gguf-cursor.ts';
import type { GgufTensor } from './gguf.ts';
import { EXPERT, isRotary, type GgufNames } from './gguf-names.ts';
import { dimensionLimits } from '../arch/index.ts';

/** Stored bytes that reading holds beside its result, if one row is not more. */
const CHUNK_BYTES = 2 ** 20;

/** How a file departs from Hugging Face. */
export interface GgufConventions {
  readonly names: GgufNames;
  /** Rows of a head where rows of query and key are interleaved; absent where they are not. */
  readonly rotaryHeadDim?: number | undefined;
  /** What was added to the weights of norms; absent: nothing. */
  readonly normOffset?: number;
}

export function ggufWeights(
  source: ByteSource,
  tensors: readonly GgufTensor[],
  { names, rotaryHeadDim, normOffset = 0 }: GgufConventions,
): WeightSource {
  const byName = new Map(
    tensors.flatMap((tensor) => {
      const name = names.huggingFace(tensor.name) ?? tensor.name;
      return name.includes(EXPERT) ? eachExpert(name, tensor) : [[name, tensor] as const];
    }),
  );
  const get = (name: string): GgufTensor => {
    const found = byName.get(name);
    assert(found !== undefined, `tensor ${name} is in the checkpoint`);
    return found;
  };

  /** Hand on rows [from, to) as they lie in the file, widened if they are blocks, in pieces. */
  const eachPiece = (
    tensor: GgufTensor,
    from: number,
    to: number,
    piece: (bytes: Uint8Array, row: number) => void,
  ): void => {
    const { type, shape, begin } = tensor;
    const rowElements = elementsOf(shape.slice(1));
    if (shape.length === 1 && type.blockElements > 1) {
      // One row for the format, many for us.
      const values = new Float32Array(shape[0]);
      const stored = new Uint8Array(tensor.end - begin);
      source.read(stored, begin);
      type.widen(values, 0, stored);
      piece(new Uint8Array(values.buffer, 4 * from, 4 * (to - from)), from);
      return;
    }
    const storedRow = (rowElements / type.blockElements) * type.blockBytes;
    const rows = Math.max(1, Math.floor(CHUNK_BYTES / Math.max(1, storedRow)));
    const stored = new Uint8Array(Math.min(rows, to - from) * storedRow);
    const isPlain = type.blockElements === 1;
    const values = new Float32Array(isPlain ? 0 : Math.min(rows, to - from) * rowElements);
    for (let row = from; row < to; row += rows) {
      const count = Math.min(rows, to - row);
      const bytes = stored.subarray(0, count * storedRow);
      source.read(bytes, begin + row * storedRow);
      if (!isPlain) type.widen(values, 0, bytes);
      piece(isPlain ? bytes : new Uint8Array(values.buffer, 0, 4 * count * rowElements), row);
    }
  };

  const readRows = (name: string, from: number, to: number, target: Uint8Array): void => {
    const tensor = get(name);
    const { shape, type } = tensor;
    assert(shape.length > 0 && from >= 0 && from <= to && to <= shape[0], `rows of ${name} exist`);
    const rowBytes = elementsOf(shape.slice(1)) * DTYPE_BYTES[type.dtype];
    assert(target.length === (to - from) * rowBytes, `the target holds rows [${from}, ${to}) of ${name} exactly`);
    const half = rotaryHeadDim !== undefined && isRotary(name) ? rotaryHeadDim / 2 : 0;
    if (half === 0) {
      eachPiece(tensor, from, to, (bytes, row) => target.set(bytes, (row - from) * rowBytes));
      return;
    }
    // A run of rows within one half of a head lies on every second row of the file: read the span, keep every second.
    for (let start = from; start < to; ) {
      const end = Math.min(to, (Math.floor(start / half) + 1) * half);
      const fileRow = (row: number): number => {
        const within = row % (2 * half);
        return row - within + (within < half ? 2 * within : 2 * (within - half) + 1);
      };
      const first = fileRow(start);
      const out = (start - from) * rowBytes;
      eachPiece(tensor, first, fileRow(end - 1) + 1, (bytes, row) => {
        for (let at = (row - first) % 2; at * rowBytes < bytes.length; at += 2) {
          const kept = bytes.subarray(at * rowBytes, (at + 1) * rowBytes);
          target.set(kept, out + ((row + at - first) / 2) * rowBytes);
        }
      });
      start = end;
    }
  };

  const stored: WeightSource = {
    names: [...byName.keys()],
    has: (name) => byName.has(name),
    shape: (name) => get(name).shape,
    dtype: (name) => get(name).type.dtype,
    read(name) {
      const { shape, type } = get(name);
      const values = new Float32Array(elementsOf(shape));
      if (type.dtype === 'f32') {
        readRows(name, 0, shape[0], new Uint8Array(values.buffer));
        return values;
      }
      const rowElements = elementsOf(shape.slice(1));
      const rowBytes = rowElements * DTYPE_BYTES[type.dtype];
      const rows = Math.max(1, Math.floor(CHUNK_BYTES / Math.max(1, rowBytes)));
      for (let row = 0; row < shape[0]; row += rows) {
        const count = Math.min(rows, shape[0] - row);
        const stored = new Uint8Array(count * rowBytes);
        readRows(name, row, row + count, stored);
        widenInto(values, row * rowElements, stored, type.dtype);
      }
      return values;
    },
    readRows,
  };
  return normOffset === 0 ? stored : withoutNormOffset(stored, normOffset);
}

/** The tensor of all experts of a layer, [experts, …], as one tensor for each, or as it is where that cannot be. */
function eachExpert(name: string, tensor: GgufTensor): (readonly [string, GgufTensor])[] {
  const [experts, ...shape] = tensor.shape;
  const bytes = (tensor.end - tensor.begin) / experts;
  const rows = elementsOf(shape.slice(0, -1));
  const isWhole = shape.length > 0 && experts >= 1 && rows >= 1 && Number.isInteger(bytes / rows);
  // More experts than any model has are reported as a tensor that is not known.
  if (!isWhole || experts > dimensionLimits.experts) return [[tensor.name, tensor]];
  return Array.from({ length: experts }, (_, expert) => {
    const begin = tensor.begin + expert * bytes;
    return [name.replace(EXPERT, String(expert)), { ...tensor, shape, begin, end: begin + bytes }] as const;
  });
}

/** Norm weights less `offset`, as f32. */
function withoutNormOffset(stored: WeightSource, offset: number): WeightSource {
  const isNorm = (name: string): boolean => name.endsWith('norm.weight');
  const read = (name: string): Float32Array =>
    isNorm(name) ? stored.read(name).map((x) => x - offset) : stored.read(name);
  return {
    ...stored,
    dtype: (name) => (isNorm(name) ? 'f32' : stored.dtype(name)),
    read,
    readRows(name, from, to, target) {
      if (isNorm(name)) target.set(new Uint8Array(read(name).slice(from, to).buffer));
      else stored.readRows(name, from, to, target);
    },
  };
}

const elementsOf = (shape: readonly number[]): number => shape.reduce((product, extent) => product * extent, 1);

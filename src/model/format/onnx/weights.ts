// Weights of an ONNX file as rows [n, k]: what is stored [k, n] is turned as it is read, blocks are widened.

import { assert } from '../../../core/index.ts';
import type { WeightSource } from '../../graph.ts';
import { DTYPE_BYTES, widenInto } from '../float-formats.ts';
import { dtypeOf, type Held } from './bind.ts';
import type { Matrix } from './patterns.ts';
import { readFloats, typeOf } from './tensor.ts';

/** Bytes of columns that are turned at once and kept for the next rows; a matrix of a large model has some 100 MB. */
const STRIP_BYTES = 16 * 2 ** 20;
/** Bytes that are read at once. */
const CHUNK_BYTES = 2 ** 20;

type Plain = Extract<Matrix, { kind: 'plain' }>;
type Blocks = Extract<Matrix, { kind: 'blocks' }>;

export function onnxWeights(held: ReadonlyMap<string, Held>): WeightSource {
  /** Turned rows of one matrix, for callers that ask for few at a time. */
  let strip: { matrix: Plain; from: number; to: number; bytes: Uint8Array } | undefined;

  const get = (name: string): Held => {
    const found = held.get(name);
    assert(found !== undefined, `tensor ${name} is in the checkpoint`);
    return found;
  };
  const shape = (name: string): readonly number[] => {
    const found = get(name);
    return found.kind === 'vector' ? [found.count] : [found.rows, found.matrix.k];
  };

  const turned = (matrix: Plain, row: number): NonNullable<typeof strip> => {
    if (strip?.matrix === matrix && row >= strip.from && row < strip.to) return strip;
    const size = typeOf(matrix.tensor).bytes;
    const rows = Math.max(1, Math.floor(STRIP_BYTES / (matrix.k * size)));
    const from = row - (row % rows);
    const to = Math.min(matrix.n, from + rows);
    strip = { matrix, from, to, bytes: turnColumns(matrix, from, to) };
    return strip;
  };

  const readRows = (name: string, from: number, to: number, target: Uint8Array): void => {
    const found = get(name);
    const dims = shape(name);
    assert(from >= 0 && from <= to && to <= dims[0], `rows of ${name} exist`);
    const rowBytes = (dims[1] ?? 1) * DTYPE_BYTES[dtypeOf(found)];
    assert(target.length === (to - from) * rowBytes, `the target holds rows [${from}, ${to}) of ${name} exactly`);
    if (found.kind === 'vector') {
      const { tensor } = found;
      if (target.length > 0) tensor.source.read(target, tensor.begin + (found.from + from) * rowBytes);
      return;
    }
    const { matrix } = found;
    const [first, last] = [found.from + from, found.from + to];
    if (matrix.kind === 'blocks') {
      readBlocks(matrix, first, last, target);
    } else if (!matrix.isTransposed) {
      if (target.length > 0) matrix.tensor.source.read(target, matrix.tensor.begin + first * rowBytes);
    } else {
      for (let row = first; row < last; ) {
        const { from: begin, to: end, bytes } = turned(matrix, row);
        const until = Math.min(end, last);
        target.set(bytes.subarray((row - begin) * rowBytes, (until - begin) * rowBytes), (row - first) * rowBytes);
        row = until;
      }
    }
  };

  return {
    names: [...held.keys()],
    has: (name) => held.has(name),
    shape,
    dtype: (name) => dtypeOf(get(name)),
    read(name) {
      const [rows, width = 1] = shape(name);
      const dtype = dtypeOf(get(name));
      const values = new Float32Array(rows * width);
      const rowBytes = width * DTYPE_BYTES[dtype];
      const step = Math.max(1, Math.floor(CHUNK_BYTES / rowBytes));
      for (let row = 0; row < rows; row += step) {
        const count = Math.min(step, rows - row);
        const stored = new Uint8Array(count * rowBytes);
        readRows(name, row, row + count, stored);
        widenInto(values, row * width, stored, dtype);
      }
      return values;
    },
    readRows,
  };
}

/** Columns [from, to) of a matrix that is stored [k, n], as rows. */
function turnColumns({ tensor, n, k }: Plain, from: number, to: number): Uint8Array {
  const size = typeOf(tensor).bytes;
  const rows = to - from;
  const out = size === 4 ? new Uint32Array(rows * k) : new Uint16Array(rows * k);
  // Whole lines where most of each is wanted, else a piece of each.
  const isWhole = rows * 2 >= n;
  const lines = isWhole ? Math.max(1, Math.floor(CHUNK_BYTES / (n * size))) : 1;
  const width = isWhole ? n : rows;
  const stored = size === 4 ? new Uint32Array(lines * width) : new Uint16Array(lines * width);
  for (let line = 0; line < k; line += lines) {
    const count = Math.min(lines, k - line);
    const bytes = new Uint8Array(stored.buffer, 0, count * width * size);
    tensor.source.read(bytes, tensor.begin + (line * n + (isWhole ? 0 : from)) * size);
    for (let i = 0; i < count; i++) {
      const start = i * width + (isWhole ? from : 0);
      for (let row = 0; row < rows; row++) out[row * k + line + i] = stored[start + row];
    }
  }
  return new Uint8Array(out.buffer);
}

/** Rows of quantized blocks as float32: (q - zero point) · scale, rounded once. */
function readBlocks(matrix: Blocks, from: number, to: number, target: Uint8Array): void {
  const { packed, scales, zeroPoints, bits, block, k } = matrix;
  const blocks = Math.ceil(k / block);
  const rowBytes = (blocks * block * bits) / 8;
  const perByte = 8 / bits;
  const mask = 2 ** bits - 1;
  const middle = 2 ** (bits - 1);
  const values = new Float32Array(k);
  const stored = new Uint8Array(rowBytes);
  const isFloatZero = zeroPoints !== undefined && typeOf(zeroPoints).isFloat;
  const zeroBytes = new Uint8Array(zeroPoints === undefined || isFloatZero ? 0 : Math.ceil(blocks / perByte));
  for (let row = from; row < to; row++) {
    packed.source.read(stored, packed.begin + row * rowBytes);
    const scale = readFloats(scales, row * blocks, (row + 1) * blocks);
    const floatZeros = isFloatZero ? readFloats(zeroPoints, row * blocks, (row + 1) * blocks) : undefined;
    if (zeroBytes.length > 0) zeroPoints!.source.read(zeroBytes, zeroPoints!.begin + row * zeroBytes.length);
    const zeroOf = (at: number): number => {
      if (floatZeros !== undefined) return floatZeros[at];
      if (zeroPoints === undefined) return middle;
      return (zeroBytes[Math.floor(at / perByte)] >> (bits * (at % perByte))) & mask;
    };
    for (let at = 0; at < blocks; at++) {
      const zero = zeroOf(at);
      const end = Math.min(k, (at + 1) * block);
      for (let i = at * block; i < end; i++) {
        const q = (stored[Math.floor(i / perByte)] >> (bits * (i % perByte))) & mask;
        values[i] = (q - zero) * scale[at];
      }
    }
    target.set(new Uint8Array(values.buffer), (row - from) * 4 * k);
  }
}

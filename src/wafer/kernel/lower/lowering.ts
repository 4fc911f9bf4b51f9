// What every lowered kernel is, whichever op it does.

import type { Dsd, MachineProgram, MemoryImage, MemoryReader } from '../../machine/index.ts';
import type { Phase, VectorType } from '../../phase.ts';
import type { Axis } from '../../reduction.ts';
import { along, type KernelContext } from '../kernel.ts';
import { expVectors } from './exponential.ts';
import type { Mesh } from './sequence.ts';

/** Tensors by name, row-major. */
export type Tensors = Readonly<Record<string, ArrayLike<number>>>;

/** A kernel as a PE-level program, with how its tensors lie over the PEs and its counts. */
export interface LoweredKernel {
  readonly program: MachineProgram;
  /** The counts of the kernel's closed form for the same shape. */
  readonly phases: readonly Phase[];
  /** What the PEs' memory holds at the start; each image is valid until the next is asked for. */
  inputs(tensors: Tensors): Iterable<MemoryImage>;
  /** The outcome, from the PEs' memory at the end. */
  readback(memory: MemoryReader): Float64Array;
}

/** Where and in what type a kernel runs. */
export interface Placement extends Mesh {
  /** Along which the op's input is cut. */
  readonly axis: Axis;
  readonly type: VectorType;
}

/** The context in which a kernel's closed form counts one token of what a lowered kernel runs. */
export const loweredContext = (placement: Placement, allReduce: readonly Phase[] = []): KernelContext => ({
  width: placement.width,
  height: placement.height,
  tokens: 1,
  cached: 0,
  type: placement.type,
  // The phases are given: no group is asked for.
  group: () => 1,
  expVectors,
  allReduce: () => allReduce,
});

/** Position of PE (x, y) along an axis. */
export const positionAlong = (axis: Axis, x: number, y: number): number => (axis === 'x' ? x : y);

/** Every PE; neighbours along `inner` follow one another. */
export function* pesOfMesh({ width, height }: Mesh, inner: Axis = 'x'): Generator<readonly [x: number, y: number]> {
  if (inner === 'x') for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) yield [x, y];
  else for (let x = 0; x < width; x++) for (let y = 0; y < height; y++) yield [x, y];
}

/** Piece `index` of a vector cut in tiles; zeros past its end. */
export const pieceOf = (vector: ArrayLike<number>, index: number, tile: number): Float64Array =>
  Float64Array.from({ length: tile }, (_, i) => vector[index * tile + i] ?? 0);

type Pair = readonly [number, number];

/**
 * A tile of a row-major matrix as a list of its columns, each `pitch` elements; zeros past the matrix' edges.
 * @param shape rows and columns of the matrix
 * @param from first row and column of the tile
 * @param size rows and columns of the tile
 */
export function tileColumns(
  matrix: ArrayLike<number>,
  [rows, columns]: Pair,
  [fromRow, fromColumn]: Pair,
  [height, width]: Pair,
  pitch = height,
): Float64Array {
  const tile = new Float64Array(width * pitch);
  for (let column = 0; column < Math.min(width, columns - fromColumn); column++)
    for (let row = 0; row < Math.min(height, rows - fromRow); row++)
      tile[column * pitch + row] = matrix[(fromRow + row) * columns + fromColumn + column];
  return tile;
}

/** The same as a list of its rows. */
export function tileRows(
  matrix: ArrayLike<number>,
  [rows, columns]: Pair,
  [fromRow, fromColumn]: Pair,
  [height, width]: Pair,
): Float64Array {
  const tile = new Float64Array(height * width);
  for (let row = 0; row < Math.min(height, rows - fromRow); row++)
    for (let column = 0; column < Math.min(width, columns - fromColumn); column++)
      tile[row * width + column] = matrix[(fromRow + row) * columns + fromColumn + column];
  return tile;
}

/** Puts a tile that is a list of columns into a row-major matrix; see `tileColumns`. */
export function putColumns(
  tile: ArrayLike<number>,
  matrix: Float64Array,
  [rows, columns]: Pair,
  [fromRow, fromColumn]: Pair,
  [height, width]: Pair,
  pitch: number,
): void {
  for (let column = 0; column < Math.min(width, columns - fromColumn); column++)
    for (let row = 0; row < Math.min(height, rows - fromRow); row++)
      matrix[(fromRow + row) * columns + fromColumn + column] = tile[column * pitch + row];
}

/** The same piece of a vector on all PEs at one position along `axis`. */
export function* cutAlong(vector: ArrayLike<number>, object: string, axis: Axis, mesh: Mesh): Generator<MemoryImage> {
  const tile = Math.ceil(vector.length / along(axis, mesh));
  for (const [x, y] of pesOfMesh(mesh))
    yield { x, y, object, values: pieceOf(vector, positionAlong(axis, x, y), tile) };
}

/** A vector that lies cut along `axis`, from the first PE at each position. */
export function gatherAlong(
  memory: MemoryReader,
  object: string,
  axis: Axis,
  mesh: Mesh,
  length: number,
): Float64Array {
  const tile = Math.ceil(length / along(axis, mesh));
  const vector = new Float64Array(length);
  for (let from = 0, i = 0; from < length; from += tile, i++) {
    const piece = axis === 'x' ? memory.read(i, 0, object) : memory.read(0, i, object);
    vector.set(piece.subarray(0, Math.min(tile, length - from)), from);
  }
  return vector;
}

/** DSDs over whole objects of one length, each with its object's name. */
export const whole = (length: number, ...names: readonly string[]): Record<string, Dsd> =>
  Object.fromEntries(names.map((name) => [name, { kind: 'memory', object: name, extents: [length] }]));

/** A DSD that stays on one element: a vector instruction accumulates into it. */
export const single = (object: string, length: number): Dsd => ({
  kind: 'memory',
  object,
  extents: [length],
  strides: [0],
});

/** A vector that begins inside a memory object. */
export interface Slice {
  readonly object: string;
  readonly offset: number;
}

export const sliceOf = ({ object, offset }: Slice, length: number): Dsd => ({
  kind: 'memory',
  object,
  offset,
  extents: [length],
});

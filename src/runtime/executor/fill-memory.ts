// Fills the kernels' memory: control block, instructions, orders of addition, rope tables, and the weights, which
// stream from the checkpoint through a staging buffer straight into their packed place.

import { fail } from '../../core/index.ts';
import { definitionOf, headElement, type HeadLinearOp, type LinearOp, type WeightSource } from '../../model/index.ts';
import { heldRow, heldTable, ropeAngles, requireWeight, roundingTo, type Numerics } from '../../wafer/index.ts';
import type { Kernels } from '../wasm/kernels.ts';
import * as layout from '../wasm/layout.ts';
import { formatBytes, formats, type Lowered, type MatrixLoad, type TableLookup } from './lowered.ts';

const storedFormats = { f32: layout.formatF32, bf16: layout.formatBf16, f16: layout.formatF16 };

/** Everything but the weights. */
export function fillTables(
  buffer: SharedArrayBuffer,
  kernels: Kernels,
  lowered: Lowered,
  threads: number,
  maxContext: number,
): void {
  const words = new Uint32Array(buffer);
  const { addresses, body, epilogue } = lowered;
  const set = (offset: number, value: number): void => {
    words[offset / 4] = value;
  };
  set(layout.ctlThreads, threads);
  set(layout.ctlScratch, addresses.scratch);
  set(layout.ctlScratchBytes, addresses.scratchBytes);
  set(layout.ctlScoresOffset, addresses.scoresOffset);
  set(layout.ctlValueRowsOffset, addresses.valueRowsOffset);
  set(layout.ctlPanelOffset, addresses.panelOffset);
  set(layout.ctlBody, addresses.body);
  set(layout.ctlBodyEnd, addresses.body + body.length * layout.instructionBytes);
  set(layout.ctlEpilogue, addresses.epilogue);
  set(layout.ctlEpilogueEnd, addresses.epilogue + epilogue.length * layout.instructionBytes);
  set(layout.ctlRowToken, addresses.rowToken);
  set(layout.ctlRowPosition, addresses.rowPosition);
  set(layout.ctlRowTable, addresses.rowTable);
  set(layout.ctlWantedRow, addresses.wantedRow);
  for (const [i, instruction] of body.entries()) {
    words.set(instruction, (addresses.body + i * layout.instructionBytes) / 4);
  }
  for (const [i, instruction] of epilogue.entries()) {
    words.set(instruction, (addresses.epilogue + i * layout.instructionBytes) / 4);
  }
  for (const { plan, from, to, list, order } of lowered.runs) {
    const first = list + layout.runListHeader;
    const end = kernels.makeRuns(from, to, plan.tile, plan.parts, plan.group, first) >>> 0;
    set(list, end);
    words.set(elementOrder(words.subarray(first / 4, end / 4)), order / 4);
  }
  for (const { order, length, group, address } of lowered.groupOffsets) {
    for (let i = 0; i < length; i++)
      set(address + 4 * i, Math.floor(words[order / 4 + i] / group) * layout.blockRows * 4);
  }
  for (const { plan, groups, step, length, runs, bounds } of lowered.partRuns) {
    let at = runs;
    set(bounds, at);
    for (let group = 0; group < groups; group++) {
      at = kernels.makeRuns(group * step, group * step + length, plan.tile, plan.parts, plan.group, at) >>> 0;
      set(bounds + 4 * (group + 1), at);
    }
  }
  const floats = new Float32Array(buffer);
  for (const { op, address } of lowered.ropes) {
    const angles = ropeAngles(op);
    for (let position = 0; position < maxContext; position++) {
      const { cos, sin } = angles(position);
      const row = address / 4 + position * 2 * cos.length;
      floats.set(cos, row);
      floats.set(sin, row + cos.length);
    }
  }
}

/** The elements in the order in which the runs visit them. */
export function elementOrder(runs: Uint32Array): number[] {
  const order: number[] = [];
  for (let run = 0; run < runs.length; run += layout.runBytes / 4) {
    const [first, tiles, tile, code] = runs.subarray(run, run + 4);
    for (let i = 0; i < tiles; i++) {
      const start = code & layout.runDescending ? first - i * tile : first + i * tile;
      for (let j = 0; j < tile; j++) order.push(start + j);
    }
  }
  return order;
}

/** Bytes of the checkpoint loaded so far and in all. */
export type OnProgress = (done: number, total: number) => void;

/**
 * Stream every weight to its place. Yields after each piece of at most the staging buffer's size, so that the
 * caller decides when other work gets its turn.
 * @throws IngotError WEIGHT_MISSING, WEIGHT_SHAPE, WEIGHT_NOT_FINITE
 */
export function* loadWeights(
  buffer: SharedArrayBuffer,
  kernels: Kernels,
  lowered: Lowered,
  weights: WeightSource,
  numerics: Numerics,
): Generator<{ readonly bytes: number }, void, undefined> {
  const floats = new Float32Array(buffer);
  const { staging, stagingBytes } = lowered.addresses;
  const converted = staging + stagingBytes;
  const bytesOf = (name: string): number => formatBytes[storedFormats[weights.dtype(name)]];

  /** Rows [from, to) of `width` elements, in `format`, at `converted`. */
  const stage = (name: string, from: number, to: number, width: number, format: number): void => {
    const stored = storedFormats[weights.dtype(name)];
    const count = (to - from) * width;
    weights.readRows(name, from, to, new Uint8Array(buffer, staging, count * formatBytes[stored]));
    const bad = kernels.convert(converted, format, staging, stored, count);
    if (bad > 0) notFinite(name, bad);
  };

  for (const { name, length, offset, address } of lowered.vectors) {
    requireWeight(weights, name, [length]);
    const values = finite(name, weights.read(name));
    floats.set(offset === 0 ? values : values.map((x) => x + offset), address / 4);
    yield { bytes: length * bytesOf(name) };
  }
  for (const table of lowered.tables) {
    // Only to check it.
    const { weight, vocab, width } = table.op;
    requireWeight(weights, weight, [vocab, width]);
    yield* pieces(weight, vocab, width, (from, to) => stage(weight, from, to, width, stagedAs(formats[table.format])));
  }
  for (const { op, address } of lowered.headMatrices) {
    const [{ name, shape }] = definitionOf(op).weights(op);
    requireWeight(weights, name, shape);
    const held = finite(name, weights.read(name).map(roundingTo(heldTable(numerics, weights.dtype(name)))));
    packHeads(floats.subarray(address / 4), op, held);
    yield { bytes: definitionOf(op).weightElements(op) * bytesOf(name) };
  }
  for (const matrix of lowered.matrices) {
    for (const { op, firstBlock } of matrix.parts) {
      if (op.bias !== undefined) {
        requireWeight(weights, op.bias, [op.n]);
        const address = matrix.bias + firstBlock * layout.blockRows * 4;
        floats.set(finite(op.bias, weights.read(op.bias)), address / 4);
        yield { bytes: op.n * bytesOf(op.bias) };
      }
      requireWeight(weights, op.weight, [op.rows?.of ?? op.n, op.k]);
      yield* pieces(op.weight, op.n, op.k, (from, to) => placeRows(matrix, op, firstBlock, from, to));
    }
  }

  /** Call `place` for whole blocks of rows, as many as fit the staging buffer. */
  function* pieces(name: string, rows: number, width: number, place: (from: number, to: number) => void) {
    const fit = Math.floor(stagingBytes / (width * 4 * layout.blockRows)) * layout.blockRows;
    for (let from = 0; from < rows; from += fit) {
      const to = Math.min(rows, from + fit);
      place(from, to);
      yield { bytes: (to - from) * width * bytesOf(name) };
    }
  }

  function placeRows(matrix: MatrixLoad, op: LinearOp, firstBlock: number, from: number, to: number): void {
    const { format, k, order, group, scaleBytes } = matrix;
    const isInt8 = format === layout.formatInt8;
    const staged = stagedAs(format);
    const first = op.rows?.from ?? 0;
    stage(op.weight, first + from, first + to, k, staged);
    const blockBytes = layout.blockRows * (isInt8 ? 2 * Math.ceil(k / 2) : k) * formatBytes[format];
    for (let row = from; row < to; row += layout.blockRows) {
      const block = firstBlock + row / layout.blockRows;
      const input = converted + (row - from) * k * formatBytes[staged];
      const out = matrix.address + block * blockBytes;
      const count = Math.min(layout.blockRows, to - row);
      const scales = matrix.scales + block * scaleBytes;
      if (isInt8) kernels.packBlockInt8(out, scales, input, count, k);
      else if (format === layout.formatFp8) {
        const bad = kernels.packBlockFp8(out, scales, input, count, k, order);
        if (bad > 0) notFinite(op.weight, bad);
      } else if (format === layout.formatInt4) kernels.packBlockInt4(out, scales, input, count, k, order, group);
      else kernels.packBlock(out, format, input, count, k, order);
    }
  }
}

/** What rows are converted to before they are packed: formats with scales start from fp32. */
const stagedAs = (format: number): number => (format >= layout.formatInt8 ? layout.formatF32 : format);

/** The matrices of the heads as the kernels want them: blocks of 16 outputs, [k][16], rows past the last output 0. */
function packHeads(out: Float32Array, op: HeadLinearOp, weight: Float32Array): void {
  const blocks = Math.ceil(op.n / layout.blockRows);
  for (let head = 0; head < op.heads; head++) {
    for (let o = 0; o < op.n; o++) {
      const block = head * blocks + Math.floor(o / layout.blockRows);
      const first = block * op.k * layout.blockRows + (o % layout.blockRows);
      for (let i = 0; i < op.k; i++) out[first + i * layout.blockRows] = weight[headElement(op, head, i, o)];
    }
  }
}

/** Put the embeddings of `tokens` into the first rows of their value. */
export function lookUp(
  buffer: SharedArrayBuffer,
  kernels: Kernels,
  lowered: Lowered,
  weights: WeightSource,
  { op, format, address, stride }: TableLookup,
  tokens: Iterable<number>,
): void {
  const stored = storedFormats[weights.dtype(op.weight)];
  const { staging, stagingBytes } = lowered.addresses;
  const held = staging + stagingBytes;
  const row = new Uint8Array(buffer, staging, op.width * formatBytes[stored]);
  let out = address;
  for (const token of tokens) {
    weights.readRows(op.weight, token, token + 1, row);
    const staged = stagedAs(formats[format]);
    kernels.convert(held, staged, staging, stored, op.width);
    kernels.convert(out, layout.formatF32, held, staged, op.width);
    if (formats[format] >= layout.formatInt8) {
      const values = new Float32Array(buffer, out, op.width);
      values.set(heldRow(format, values));
    }
    out += stride;
  }
}

/** Bytes that `loadWeights` will report. */
export function checkpointBytes(lowered: Lowered, weights: WeightSource): number {
  const size = (name: string): number => formatBytes[storedFormats[weights.dtype(name)]];
  let bytes = 0;
  for (const { name, length } of lowered.vectors) bytes += length * size(name);
  for (const { op } of lowered.tables) bytes += op.vocab * op.width * size(op.weight);
  for (const { op } of lowered.headMatrices) bytes += definitionOf(op).weightElements(op) * size(op.weight);
  for (const { op } of lowered.matrices.flatMap(({ parts }) => parts)) {
    bytes += op.n * op.k * size(op.weight);
    if (op.bias !== undefined) bytes += op.n * size(op.bias);
  }
  return bytes;
}

function finite(name: string, values: Float32Array): Float32Array {
  const bad = values.reduce((count, x) => (Number.isFinite(x) ? count : count + 1), 0);
  if (bad > 0) notFinite(name, bad);
  return values;
}

function notFinite(name: string, count: number): never {
  fail({
    code: 'WEIGHT_NOT_FINITE',
    message: 'a weight has values that are infinite or not numbers in the type in which the program holds it',
    where: name,
    found: `${count} such values`,
    suggestion: 'check the checkpoint; f16 programs cannot hold magnitudes from 65,520 up, fp8 none from 114,688',
  });
}

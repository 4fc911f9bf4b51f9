// The weights of a pruned model, read through from the checkpoint: nothing is written anywhere.

import { assert } from '../../core/index.ts';
import { DTYPE_BYTES, widenInto } from '../format/float-formats.ts';
import type { Graph, LinearOp, Op, WeightSource } from '../graph.ts';
import { expertOps } from '../op/index.ts';
import type { Pruning } from './pruning.ts';

/**
 * The weights that `graph` wants, which is the pruned one.
 * @param weights of the whole model
 */
export function prunedWeights(weights: WeightSource, graph: Graph, pruning: Pruning): WeightSource {
  return pruning.kind === 'channels' ? withoutChannels(weights, graph) : withZeros(weights, graph, pruning);
}

/** Sets what is left out of a row to 0. */
type Thin = (row: Float32Array) => void;

/** Zero the `count` smallest magnitudes of row[from, to), the first of equals. */
function zeroSmallest(row: Float32Array, from: number, to: number, count: number): void {
  if (count <= 0) return;
  const magnitudes = row.slice(from, to).map(Math.abs).sort();
  const limit = magnitudes[count - 1];
  let atLimit = count;
  for (const magnitude of magnitudes.subarray(0, count)) if (magnitude < limit) atLimit--;
  for (let i = from; i < to; i++) {
    const magnitude = Math.abs(row[i]);
    if (magnitude < limit || (magnitude === limit && atLimit-- > 0)) row[i] = 0;
  }
}

function thinner(pruning: Exclude<Pruning, { kind: 'channels' }>): Thin {
  if (pruning.kind === 'magnitude')
    return (row) => zeroSmallest(row, 0, row.length, Math.floor(pruning.share * row.length));
  const { keep, of } = pruning;
  return (row) => {
    for (let at = 0; at < row.length; at += of) {
      const end = Math.min(at + of, row.length);
      // Of a short rest as many are kept, if there are as many.
      zeroSmallest(row, at, end, end - at - keep);
    }
  };
}

/** Names of the matrices that are thinned. */
function thinnedNames(graph: Graph): ReadonlySet<string> {
  const names = new Set<string>();
  const add = (op: Op): void => {
    if (op.kind === 'linear') names.add(op.weight);
    if (op.kind !== 'moe') return;
    for (let expert = 0; expert < op.experts; expert++)
      for (const { weight } of Object.values(expertOps(op, expert)) as LinearOp[]) names.add(weight);
  };
  for (const op of graph.layers.flat()) add(op);
  return names;
}

function withZeros(weights: WeightSource, graph: Graph, pruning: Exclude<Pruning, { kind: 'channels' }>): WeightSource {
  const names = thinnedNames(graph);
  const thin = thinner(pruning);
  return {
    ...weights,
    read(name) {
      if (!names.has(name)) return weights.read(name);
      const values = weights.read(name).slice();
      const width = widthOf(weights, name);
      for (let at = 0; at < values.length; at += width) thin(values.subarray(at, at + width));
      return values;
    },
    readRows(name, from, to, target) {
      weights.readRows(name, from, to, target);
      if (!names.has(name)) return;
      const width = widthOf(weights, name);
      const dtype = weights.dtype(name);
      const bytes = DTYPE_BYTES[dtype];
      const row = new Float32Array(width);
      for (let at = 0; at < (to - from) * width * bytes; at += width * bytes) {
        // As a copy: a target may lie in shared memory.
        widenInto(row, 0, target.slice(at, at + width * bytes), dtype);
        thin(row);
        for (let i = 0; i < width; i++) if (row[i] === 0) target.fill(0, at + i * bytes, at + (i + 1) * bytes);
      }
    },
  };
}

const widthOf = (weights: WeightSource, name: string): number =>
  weights
    .shape(name)
    .slice(1)
    .reduce((a, b) => a * b, 1);

/** What stays of a tensor: rows, or columns. */
interface Kept {
  readonly rows?: Int32Array;
  readonly columns?: Int32Array;
}

/** The matrices around the gated unit of a layer's MLP. */
function mlpOf(ops: readonly Op[]): { readonly gate: LinearOp; readonly up: LinearOp; readonly down: LinearOp } {
  const glu = ops.find((op) => op.kind === 'glu');
  const linears = ops.filter((op) => op.kind === 'linear');
  const gate = linears.find(({ out }) => out === glu?.gate);
  const up = linears.find(({ out }) => out === glu?.up);
  const down = linears.find(({ input }) => input === glu?.out);
  assert(
    gate !== undefined && up !== undefined && down !== undefined,
    'a dense MLP has a gate, an up and a down matrix',
  );
  return { gate, up, down };
}

function withoutChannels(weights: WeightSource, graph: Graph): WeightSource {
  const layerOf = new Map<string, readonly Op[]>();
  for (const ops of graph.layers) {
    const { gate, up, down } = mlpOf(ops);
    for (const { weight, bias } of [gate, up]) {
      layerOf.set(weight, ops);
      if (bias !== undefined) layerOf.set(bias, ops);
    }
    layerOf.set(down.weight, ops);
  }
  const channels = new Map<readonly Op[], Int32Array>();
  const channelsOf = (ops: readonly Op[]): Int32Array => {
    let kept = channels.get(ops);
    if (kept === undefined) channels.set(ops, (kept = heaviestChannels(weights, ops)));
    return kept;
  };
  const keptOf = (name: string): Kept => {
    const ops = layerOf.get(name);
    if (ops === undefined) return {};
    const { gate, down } = mlpOf(ops);
    const kept = channelsOf(ops);
    if (name === down.weight) return { columns: kept };
    // Gate and up may be one tensor, one behind the other.
    if (gate.rows === undefined || name !== gate.weight) return { rows: kept };
    const half = weights.shape(name)[0] / 2;
    return { rows: Int32Array.from([...kept, ...kept.map((channel) => channel + half)]) };
  };
  const shape = (name: string): readonly number[] => {
    const whole = weights.shape(name);
    const { rows, columns } = keptOf(name);
    return rows !== undefined
      ? [rows.length, ...whole.slice(1)]
      : columns !== undefined
        ? [whole[0], columns.length]
        : whole;
  };
  const readRows: WeightSource['readRows'] = (name, from, to, target) => {
    const { rows, columns } = keptOf(name);
    const bytes = DTYPE_BYTES[weights.dtype(name)];
    const width = widthOf(weights, name) * bytes;
    if (rows !== undefined) {
      for (let row = from; row < to; row++)
        weights.readRows(
          name,
          rows[row],
          rows[row] + 1,
          target.subarray((row - from) * width, (row - from + 1) * width),
        );
    } else if (columns !== undefined) {
      const whole = new Uint8Array(width);
      let at = 0;
      for (let row = from; row < to; row++) {
        weights.readRows(name, row, row + 1, whole);
        for (const column of columns) {
          target.set(whole.subarray(column * bytes, (column + 1) * bytes), at);
          at += bytes;
        }
      }
    } else weights.readRows(name, from, to, target);
  };
  return {
    ...weights,
    shape,
    readRows,
    read(name) {
      if (!layerOf.has(name)) return weights.read(name);
      const [rows, ...rest] = shape(name);
      const values = new Float32Array(rest.reduce((a, b) => a * b, rows));
      const stored = new Uint8Array(values.length * DTYPE_BYTES[weights.dtype(name)]);
      readRows(name, 0, rows, stored);
      widenInto(values, 0, stored, weights.dtype(name));
      return values;
    },
  };
}

/**
 * The channels that stay, in order: those with the largest |gate row| · |up row| · |down column|, a bound of what a channel
 * can add to the output; the first of equals.
 */
function heaviestChannels(weights: WeightSource, ops: readonly Op[]): Int32Array {
  const { gate, up, down } = mlpOf(ops);
  const wide = weights.shape(down.weight)[1];
  const weight = new Float64Array(wide).fill(1);
  const byRows = ({ weight: name, rows, k }: LinearOp): void => {
    const values = weights.read(name);
    const first = rows === undefined || rows.from === 0 ? 0 : wide;
    for (let channel = 0; channel < wide; channel++) {
      let squares = 0;
      for (let i = 0; i < k; i++) squares += values[(first + channel) * k + i] ** 2;
      weight[channel] *= Math.sqrt(squares);
    }
  };
  byRows(gate);
  byRows(up);
  const squares = new Float64Array(wide);
  for (const [i, x] of weights.read(down.weight).entries()) squares[i % wide] += x ** 2;
  for (let channel = 0; channel < wide; channel++) weight[channel] *= Math.sqrt(squares[channel]);
  const order = Array.from({ length: wide }, (_, channel) => channel).sort((a, b) => weight[b] - weight[a] || a - b);
  return Int32Array.from(order.slice(0, down.k)).sort();
}

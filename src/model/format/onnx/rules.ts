// One rule for each op that exporters put around weights: the extents of its outputs, and their elements where those of its
// inputs are known. Elements are numbers in float64, rounded where the op's type is float32.

import type { Known } from './evaluate.ts';
import { MAX_DIMENSIONS, type OnnxNode } from './model-file.ts';
import { BOOL, elementsOf, elementTypes, FLOAT, INT64, readElements } from './tensor.ts';

/** @param room elements that a result may have */
type Rule = (node: OnnxNode, ins: readonly (Known | undefined)[], room: number) => readonly (Known | undefined)[];

const isFloat = (type: number): boolean => elementTypes.get(type)?.isFloat ?? false;

function broadcast(a: readonly number[], b: readonly number[]): number[] | undefined {
  const rank = Math.max(a.length, b.length);
  const out: number[] = [];
  for (let i = 0; i < rank; i++) {
    const x = a[a.length - rank + i] ?? 1;
    const y = b[b.length - rank + i] ?? 1;
    if (x !== y && x !== 1 && y !== 1) return undefined;
    out.push(x === 1 ? y : x);
  }
  return out;
}

const stridesOf = (dims: readonly number[]): number[] => {
  const strides = dims.map(() => 1);
  for (let i = dims.length - 2; i >= 0; i--) strides[i] = strides[i + 1] * dims[i + 1];
  return strides;
};

/** Calls `visit` with the index of every element of `out` in a tensor of `dims` that is broadcast to it. */
function eachBroadcast(
  out: readonly number[],
  dims: readonly number[],
  visit: (at: number, from: number) => void,
): void {
  const strides = stridesOf(dims);
  const steps = out.map((_, i) => {
    const axis = i - (out.length - dims.length);
    return axis < 0 || dims[axis] === 1 ? 0 : strides[axis];
  });
  const index = out.map(() => 0);
  const count = elementsOf(out);
  let from = 0;
  for (let at = 0; at < count; at++) {
    visit(at, from);
    for (let axis = out.length - 1; axis >= 0; axis--) {
      from += steps[axis];
      if (++index[axis] < out[axis]) break;
      from -= steps[axis] * out[axis];
      index[axis] = 0;
    }
  }
}

function spread(known: Known, out: readonly number[]): Float64Array {
  const target = new Float64Array(elementsOf(out));
  const data = known.data!;
  eachBroadcast(out, known.dims!, (at, from) => {
    target[at] = data[from];
  });
  return target;
}

const elementwise =
  (compute: (...values: number[]) => number, outType?: number, whole?: (...values: number[]) => number): Rule =>
  (_node, ins, room) => {
    let dims: number[] | undefined = [];
    for (const known of ins) dims = dims && known?.dims && broadcast(dims, known.dims);
    // Of a choice, the first input is the condition.
    const type = outType ?? ins.at(-1)?.type ?? 0;
    if (dims === undefined) return [{ type }];
    if (elementsOf(dims) > room || !ins.every((known) => known?.data !== undefined)) return [{ type, dims }];
    const of = whole !== undefined && !isFloat(type) ? whole : compute;
    const round = type === FLOAT ? Math.fround : (x: number) => x;
    const columns = ins.map((known) => spread(known!, dims));
    return [{ type, dims, data: Float64Array.from(columns[0], (_, i) => round(of(...columns.map((c) => c[i])))) }];
  };

/** Axes, or sizes of a Split. */
const MAX_LIST = 1_024;

const axisOf = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

/** Numbers of an input, or else of an attribute. */
const listOf = (node: OnnxNode, known: Known | undefined, name: string): readonly number[] | undefined => {
  if (known === undefined) return node.attributes.get(name)?.ints;
  return known.data === undefined || known.data.length > MAX_LIST ? undefined : [...known.data];
};

const withDims = (known: Known, dims: readonly number[] | undefined): Known => ({
  type: known.type,
  dims,
  ...(dims === undefined || known.data === undefined || known.data.length !== elementsOf(dims)
    ? {}
    : { data: known.data }),
});

const same: Rule = (_node, [x]) => [x && { type: x.type, dims: x.dims, data: x.data }];
/** Same extents, and nothing known of the elements. */
const sameDims: Rule = (_node, [x]) => [x && { type: x.type, dims: x.dims }];

const reshape: Rule = (_node, [x, shape]) => {
  if (x?.dims === undefined || shape?.data === undefined) return [x && { type: x.type }];
  const from = x.dims;
  if (shape.data.length > MAX_DIMENSIONS) return [{ type: x.type }];
  const dims = Array.from(shape.data, (n, i) => (n === 0 ? (from[i] ?? 0) : n));
  const open = dims.indexOf(-1);
  const known = dims.reduce((product, n) => (n === -1 ? product : product * n), 1);
  if (open >= 0) dims[open] = known === 0 ? 0 : elementsOf(from) / known;
  const fits = dims.every((n) => Number.isInteger(n) && n >= 0) && elementsOf(dims) === elementsOf(from);
  return [withDims(x, fits ? dims : undefined)];
};

const unsqueeze: Rule = (node, [x, axes]) => {
  const list = listOf(node, axes, 'axes');
  if (x?.dims === undefined || list === undefined) return [x && { type: x.type }];
  const dims = [...x.dims];
  const rank = dims.length + list.length;
  for (const axis of list.map((a) => axisOf(a, rank)).sort((a, b) => a - b)) dims.splice(axis, 0, 1);
  return [withDims(x, dims)];
};

const squeeze: Rule = (node, [x, axes]) => {
  if (x?.dims === undefined) return [x];
  const { dims } = x;
  const list = listOf(node, axes, 'axes')?.map((a) => axisOf(a, dims.length));
  return [
    withDims(
      x,
      dims.filter((n, i) => (list === undefined ? n !== 1 : !list.includes(i))),
    ),
  ];
};

const transpose: Rule = (node, [x], room) => {
  if (x?.dims === undefined) return [x && { type: x.type }];
  const { type, dims: from } = x;
  const perm = node.attributes.get('perm')?.ints ?? from.map((_, i) => from.length - 1 - i);
  const isPerm =
    perm.length === from.length && new Set(perm).size === perm.length && perm.every((p) => p >= 0 && p < from.length);
  if (!isPerm) return [{ type }];
  const dims = perm.map((p) => from[p]);
  if (elementsOf(dims) > room || x.data === undefined) return [{ type, dims }];
  const strides = stridesOf(from);
  const out = stridesOf(dims);
  const { data } = x;
  return [
    {
      type,
      dims,
      data: Float64Array.from(data, (_, at) => {
        let [rest, index] = [at, 0];
        for (const [axis, stride] of out.entries()) {
          index += Math.floor(rest / stride) * strides[perm[axis]];
          rest %= stride;
        }
        return data[index];
      }),
    },
  ];
};

/** Elements whose index along an axis is picked by `pick`. */
function take(x: Known, axis: number, indices: readonly number[], room: number): Known {
  const from = x.dims!;
  const dims = from.map((n, i) => (i === axis ? indices.length : n));
  const count = elementsOf(dims);
  if (count > room) return { type: x.type, dims };
  const inner = elementsOf(from.slice(axis + 1));
  const data = new Float64Array(count);
  if (x.data === undefined && x.tensor !== undefined && axis === 0) {
    // Rows of a table that is too large to be read as a whole.
    for (const [i, row] of indices.entries())
      data.set(readElements(x.tensor, row * inner, (row + 1) * inner), i * inner);
    return { type: x.type, dims, data };
  }
  if (x.data === undefined) return { type: x.type, dims };
  const outer = elementsOf(from.slice(0, axis));
  for (let o = 0; o < outer; o++) {
    for (const [i, index] of indices.entries()) {
      const start = (o * from[axis] + index) * inner;
      data.set(x.data.subarray(start, start + inner), (o * indices.length + i) * inner);
    }
  }
  return { type: x.type, dims, data };
}

const gather: Rule = (node, [x, indices], room) => {
  if (x?.dims === undefined || indices?.dims === undefined) return [x && { type: x.type }];
  const { dims: from, type } = x;
  const axis = axisOf(node.attributes.get('axis')?.int ?? 0, from.length);
  const dims = [...from.slice(0, axis), ...indices.dims, ...from.slice(axis + 1)];
  if (indices.data === undefined) return [{ type, dims }];
  const list = Array.from(indices.data, (i) => axisOf(i, from[axis]));
  if (list.length > room || !list.every((i) => i >= 0 && i < from[axis])) return [{ type, dims }];
  return [withDims(take(x, axis, list, room), dims)];
};

const slice: Rule = (node, [x, starts, ends, axes, steps], room) => {
  if (x?.dims === undefined || starts?.data === undefined || ends?.data === undefined) return [x && { type: x.type }];
  if (starts.data.length > MAX_DIMENSIONS) return [{ type: x.type }];
  if (node.inputs[3] !== undefined && node.inputs[3] !== '' && axes?.data === undefined) return [{ type: x.type }];
  const first = starts.data;
  const last = ends.data;
  let out: Known = x;
  for (const i of first.keys()) {
    const { dims } = out;
    const axis = axisOf(axes?.data?.[i] ?? i, x.dims.length);
    const step = steps?.data?.[i] ?? 1;
    if (dims === undefined || !(axis >= 0 && axis < dims.length) || step === 0) return [{ type: x.type }];
    const extent = dims[axis];
    const clamp = (n: number, low: number, high: number): number =>
      Math.min(high, Math.max(low, n < 0 ? n + extent : n));
    const begin = step > 0 ? clamp(first[i], 0, extent) : clamp(first[i], 0, extent - 1);
    const end = step > 0 ? clamp(last[i], 0, extent) : clamp(last[i], -1, extent - 1);
    const count = Math.max(0, Math.ceil((end - begin) / step));
    if (count === extent && step === 1) continue;
    const rest = dims.map((n, at) => (at === axis ? count : n));
    const isKnown = out.data !== undefined || (out.tensor !== undefined && axis === 0);
    out =
      isKnown && elementsOf(rest) <= room
        ? take(
            out,
            axis,
            Array.from({ length: count }, (_, k) => begin + k * step),
            room,
          )
        : { type: x.type, dims: rest };
  }
  return [out === x ? { type: x.type, dims: x.dims, data: x.data } : out];
};

const concat: Rule = (node, ins, room) => {
  const type = ins[0]?.type ?? 0;
  const list = ins.flatMap((known) =>
    known?.dims === undefined ? [] : [{ ...known, dims: known.dims, data: known.data }],
  );
  if (list.length === 0 || list.length !== ins.length) return [{ type }];
  const rank = list[0].dims.length;
  const axis = axisOf(node.attributes.get('axis')?.int ?? 0, rank);
  const matches = list.every(
    ({ dims }) => dims.length === rank && dims.every((n, i) => i === axis || n === list[0].dims[i]),
  );
  if (!matches || !(axis >= 0 && axis < rank)) return [{ type }];
  const dims = list[0].dims.map((n, i) => (i === axis ? list.reduce((sum, known) => sum + known.dims[axis], 0) : n));
  if (elementsOf(dims) > room || !list.every((known) => known.data !== undefined)) return [{ type, dims }];
  const outer = elementsOf(dims.slice(0, axis));
  const data = new Float64Array(elementsOf(dims));
  let at = 0;
  for (let o = 0; o < outer; o++) {
    for (const known of list) {
      const run = elementsOf(known.dims.slice(axis));
      data.set(known.data!.subarray(o * run, (o + 1) * run), at);
      at += run;
    }
  }
  return [{ type, dims, data }];
};

const expand: Rule = (_node, [x, shape], room) => {
  const dims =
    x?.dims && shape?.data && shape.data.length <= MAX_DIMENSIONS ? broadcast(x.dims, [...shape.data]) : undefined;
  if (x === undefined || dims === undefined) return [x && { type: x.type }];
  return [
    { type: x.type, dims, ...(x.data === undefined || elementsOf(dims) > room ? {} : { data: spread(x, dims) }) },
  ];
};

const shapeOf: Rule = (node, [x]) => {
  if (x?.dims === undefined) return [{ type: INT64 }];
  const dims = x.dims.slice(node.attributes.get('start')?.int ?? 0, node.attributes.get('end')?.int);
  return [{ type: INT64, dims: [dims.length], data: Float64Array.from(dims) }];
};

const constant: Rule = (node, _ins, room) => {
  const { tensor } = node.attributes.get('value') ?? {};
  const ints = node.attributes.get('value_ints')?.ints;
  const floats = node.attributes.get('value_floats')?.floats;
  const int = node.attributes.get('value_int')?.int;
  const float = node.attributes.get('value_float')?.float;
  if (tensor !== undefined) {
    const { type, dims } = tensor;
    const count = elementsOf(dims);
    return [{ type, dims, tensor, ...(count > room ? {} : { data: readElements(tensor, 0, count) }) }];
  }
  if (ints !== undefined) return [{ type: INT64, dims: [ints.length], data: Float64Array.from(ints) }];
  if (floats !== undefined) return [{ type: FLOAT, dims: [floats.length], data: Float64Array.from(floats) }];
  if (int !== undefined) return [{ type: INT64, dims: [], data: Float64Array.of(int) }];
  return [float === undefined ? undefined : { type: FLOAT, dims: [], data: Float64Array.of(float) }];
};

const constantOfShape: Rule = (node, [shape], room) => {
  const { tensor } = node.attributes.get('value') ?? {};
  const type = tensor?.type ?? FLOAT;
  if (shape?.data === undefined || shape.data.length > MAX_DIMENSIONS) return [{ type }];
  const dims = [...shape.data];
  const count = elementsOf(dims);
  if (!(count <= room)) return [{ type, dims }];
  const value = tensor === undefined ? 0 : readElements(tensor, 0, 1)[0];
  return [{ type, dims, data: new Float64Array(count).fill(value) }];
};

const cast: Rule = (node, [x]) => {
  const type = node.attributes.get('to')?.int ?? 0;
  const convert =
    type === BOOL
      ? (v: number) => Number(v !== 0)
      : type === FLOAT
        ? Math.fround
        : isFloat(type)
          ? (v: number) => v
          : Math.trunc;
  return [x && { type, dims: x.dims, data: x.data?.map(convert) }];
};

const range: Rule = (_node, [start, limit, delta], room) => {
  const type = start?.type ?? 0;
  const [a, b, d] = [start, limit, delta].map((known) => known?.data?.[0] ?? NaN);
  const count = Math.max(0, Math.ceil((b - a) / d));
  if (!(count <= room)) return [{ type }];
  return [{ type, dims: [count], data: Float64Array.from({ length: count }, (_, i) => a + i * d) }];
};

const trilu: Rule = (node, [x, offset]) => {
  if (x?.dims === undefined || x.data === undefined) return [x && { type: x.type, dims: x.dims }];
  const isUpper = (node.attributes.get('upper')?.int ?? 1) === 1;
  const k = offset?.data?.[0] ?? 0;
  const columns = x.dims.at(-1) ?? 1;
  const rows = x.dims.at(-2) ?? 1;
  const data = x.data.map((value, at) => {
    const distance = (at % columns) - (Math.floor(at / columns) % rows) - k;
    return (isUpper ? distance >= 0 : distance <= 0) ? value : 0;
  });
  return [{ type: x.type, dims: x.dims, data }];
};

const cumSum: Rule = (node, [x, axisInput]) => {
  if (x?.dims === undefined || x.data === undefined || axisInput?.data === undefined)
    return [x && { type: x.type, dims: x.dims }];
  const flags = ['exclusive', 'reverse'].some((name) => (node.attributes.get(name)?.int ?? 0) !== 0);
  if (flags) return [{ type: x.type, dims: x.dims }];
  const axis = axisOf(axisInput.data[0], x.dims.length);
  const inner = elementsOf(x.dims.slice(axis + 1));
  const data = x.data.slice();
  for (const at of data.keys()) if (Math.floor(at / inner) % x.dims[axis] > 0) data[at] += data[at - inner];
  return [{ type: x.type, dims: x.dims, data }];
};

const matmul: Rule = (_node, [a, b], room) => {
  const type = a?.type ?? 0;
  if (a?.dims === undefined || b?.dims === undefined || a.dims.length < 1 || b.dims.length < 2) return [{ type }];
  const k = a.dims.at(-1)!;
  const [rows, n] = b.dims.slice(-2);
  const batch = broadcast(a.dims.slice(0, -2), b.dims.slice(0, -2));
  if (rows !== k || batch === undefined) return [{ type }];
  const m = a.dims.length < 2 ? 1 : a.dims.at(-2)!;
  const dims = [...batch, ...(a.dims.length < 2 ? [] : [m]), n];
  // Angles are products of positions and frequencies; nothing larger is wanted.
  const isSmall = elementsOf(dims) * k <= room;
  if (!isSmall || a.data === undefined || b.data === undefined) return [{ type, dims }];
  const left = spread(a, [...batch, m, k]);
  const right = spread(b, [...batch, k, n]);
  const data = Float64Array.from({ length: elementsOf(dims) }, (_, at) => {
    const column = at % n;
    const row = Math.floor(at / n);
    const matrix = Math.floor(row / m) * k * n;
    let sum = 0;
    for (let i = 0; i < k; i++) sum += left[row * k + i] * right[matrix + i * n + column];
    return type === FLOAT ? Math.fround(sum) : sum;
  });
  return [{ type, dims, data }];
};

const gemm: Rule = (node, [a, b]) => {
  if (a?.dims?.length !== 2 || b?.dims?.length !== 2) return [a && { type: a.type }];
  const flag = (name: string): boolean => node.attributes.get(name)?.int === 1;
  return [{ type: a.type, dims: [a.dims[flag('transA') ? 1 : 0], b.dims[flag('transB') ? 0 : 1]] }];
};

/** The input's extents, the last one replaced by an attribute. */
const lastFrom =
  (attribute: string): Rule =>
  (node, [x]) => {
    const n = node.attributes.get(attribute)?.int;
    return [x && { type: x.type, dims: x.dims && n !== undefined ? [...x.dims.slice(0, -1), n] : undefined }];
  };

const reduce =
  (
    start: number,
    fold: (sum: number, x: number) => number,
    finish = (sum: number, _count: number): number => sum,
  ): Rule =>
  (node, [x, axesInput], room) => {
    if (x?.dims === undefined) return [x];
    const from = x.dims;
    const axes = (listOf(node, axesInput, 'axes') ?? from.map((_, i) => i)).map((a) => axisOf(a, from.length));
    const kept = from.map((n, i) => (axes.includes(i) ? 1 : n));
    const keeps = (node.attributes.get('keepdims')?.int ?? 1) === 1;
    const dims = keeps ? kept : from.filter((_, i) => !axes.includes(i));
    if (x.data === undefined || elementsOf(from) > room) return [{ type: x.type, dims }];
    const data = new Float64Array(elementsOf(kept)).fill(start);
    const values = x.data;
    eachBroadcast(from, kept, (at, into) => {
      data[into] = fold(data[into], values[at]);
    });
    const count = elementsOf(from) / Math.max(1, data.length);
    return [{ type: x.type, dims, data: data.map((sum) => finish(sum, count)) }];
  };

const split: Rule = (node, [x, sizes], room) => {
  if (x?.dims === undefined) return node.outputs.map(() => x);
  const { dims } = x;
  const axis = axisOf(node.attributes.get('axis')?.int ?? 0, dims.length);
  const each = Math.ceil(dims[axis] / node.outputs.length);
  const list = listOf(node, sizes, 'split') ?? node.outputs.map((_, i) => Math.min(each, dims[axis] - i * each));
  let begin = 0;
  return list.slice(0, node.outputs.length).map((size) => {
    const from = begin;
    begin += size;
    const part = dims.map((n, i) => (i === axis ? size : n));
    if (x.data === undefined || !(elementsOf(part) <= room)) return { type: x.type, dims: part };
    return take(
      x,
      axis,
      Array.from({ length: size }, (_, i) => from + i),
      room,
    );
  });
};

const tile: Rule = (_node, [x, repeats], room) => {
  if (x?.dims === undefined || repeats?.data === undefined) return [x && { type: x.type }];
  const counts = repeats.data;
  let out: Known = { type: x.type, dims: x.dims, data: x.data };
  for (const [axis, extent] of x.dims.entries()) {
    const count = extent * counts[axis];
    if (!(count <= room)) return [{ type: x.type }];
    out = take(
      out,
      axis,
      Array.from({ length: count }, (_, i) => i % extent),
      room,
    );
  }
  return [out];
};

const scatterNd: Rule = (_node, [x, indices, updates]) => {
  if (x?.dims === undefined) return [x];
  const { type, dims } = x;
  if (x.data === undefined || indices?.data === undefined || indices.dims === undefined || updates?.data === undefined)
    return [{ type, dims }];
  const depth = indices.dims.at(-1) ?? 0;
  const run = elementsOf(dims.slice(depth));
  const strides = stridesOf(dims);
  const data = x.data.slice();
  const count = depth === 0 ? 0 : indices.data.length / depth;
  if (depth > dims.length || updates.data.length !== count * run) return [{ type, dims }];
  for (let i = 0; i < count; i++) {
    let at = 0;
    for (let axis = 0; axis < depth; axis++) at += axisOf(indices.data[i * depth + axis], dims[axis]) * strides[axis];
    if (at >= 0 && at + run <= data.length) data.set(updates.data.subarray(i * run, (i + 1) * run), at);
  }
  return [{ type, dims, data }];
};

const attended: Rule = (node, [query, key, value, past]) => {
  const type = query?.type ?? 0;
  const heads = node.attributes.get('num_heads')?.int ?? 0;
  const kvHeads = node.attributes.get('kv_num_heads')?.int ?? heads;
  if (query?.dims === undefined) return [{ type }];
  const width = query.dims.at(-1)!;
  const headDim = key === undefined ? width / (heads + 2 * kvHeads) : width / heads;
  const present =
    past?.dims === undefined ? undefined : [1, kvHeads, (past.dims[2] ?? 0) + (query.dims[1] ?? 0), headDim];
  const cache = { type, dims: present };
  const out = value?.dims?.length === 3 && kvHeads === heads ? value.dims.at(-1)! : heads * headDim;
  return [{ type, dims: [...query.dims.slice(0, -1), out] }, cache, cache];
};

const unary = (compute: (x: number) => number): Rule => elementwise(compute);
const compare = (holds: (a: number, b: number) => boolean): Rule => elementwise((a, b) => Number(holds(a, b)), BOOL);

/** By op, with the domain where that is not ONNX's own. */
export const rules: Readonly<Record<string, Rule>> = {
  Constant: constant,
  ConstantOfShape: constantOfShape,
  Shape: shapeOf,
  Size: (_node, [x]) => [
    { type: INT64, dims: [], ...(x?.dims === undefined ? {} : { data: Float64Array.of(elementsOf(x.dims)) }) },
  ],
  Gather: gather,
  Slice: slice,
  Split: split,
  Concat: concat,
  Expand: expand,
  Tile: tile,
  Reshape: reshape,
  Unsqueeze: unsqueeze,
  Squeeze: squeeze,
  Transpose: transpose,
  Identity: same,
  Dropout: same,
  Cast: cast,
  Range: range,
  Trilu: trilu,
  CumSum: cumSum,
  ScatterND: scatterNd,
  Add: elementwise((a, b) => a + b),
  Sub: elementwise((a, b) => a - b),
  Mul: elementwise((a, b) => a * b),
  Div: elementwise(
    (a, b) => a / b,
    undefined,
    (a, b) => Math.trunc(a / b),
  ),
  Mod: elementwise((a, b) => a - b * Math.floor(a / b)),
  Pow: (node, [x, y], room) => elementwise((a, b) => a ** b, x?.type)(node, [x, y], room),
  Max: elementwise(Math.max),
  Min: elementwise(Math.min),
  Neg: unary((x) => -x),
  Abs: unary(Math.abs),
  Sqrt: unary(Math.sqrt),
  Reciprocal: unary((x) => 1 / x),
  Exp: unary(Math.exp),
  Log: unary(Math.log),
  Sin: unary(Math.sin),
  Cos: unary(Math.cos),
  Floor: unary(Math.floor),
  Ceil: unary(Math.ceil),
  Tanh: unary(Math.tanh),
  Erf: sameDims,
  Sigmoid: unary((x) => 1 / (1 + Math.exp(-x))),
  Not: elementwise((x) => Number(x === 0), BOOL),
  IsNaN: elementwise((x) => Number(Number.isNaN(x)), BOOL),
  And: compare((a, b) => a !== 0 && b !== 0),
  Or: compare((a, b) => a !== 0 || b !== 0),
  Equal: compare((a, b) => a === b),
  Less: compare((a, b) => a < b),
  LessOrEqual: compare((a, b) => a <= b),
  Greater: compare((a, b) => a > b),
  GreaterOrEqual: compare((a, b) => a >= b),
  Where: elementwise((condition, a, b) => (condition === 0 ? b : a)),
  MatMul: matmul,
  Gemm: gemm,
  ReduceMean: reduce(
    0,
    (sum, x) => sum + x,
    (sum, count) => sum / count,
  ),
  ReduceSum: reduce(0, (sum, x) => sum + x),
  ReduceMax: reduce(-Infinity, Math.max),
  ReduceMin: reduce(Infinity, Math.min),
  Softmax: sameDims,
  SimplifiedLayerNormalization: sameDims,
  RMSNormalization: sameDims,
  'com.microsoft.SimplifiedLayerNormalization': sameDims,
  'com.microsoft.RotaryEmbedding': sameDims,
  RotaryEmbedding: sameDims,
  'com.microsoft.QuickGelu': sameDims,
  'com.microsoft.FastGelu': sameDims,
  'com.microsoft.Gelu': sameDims,
  Gelu: sameDims,
  Swish: sameDims,
  'com.microsoft.MatMulNBits': lastFrom('N'),
  'com.microsoft.GroupQueryAttention': attended,
  'com.microsoft.MultiHeadAttention': (node, [query, key, value, ...rest], room) =>
    attended(node, [query, key, value, rest[3]], room),
};

const takesNone = new Set(['Constant']);
const takesTwo = new Set(
  (
    'Gather Expand Tile Reshape Trilu CumSum Add Sub Mul Div Mod Pow And Or Equal Less LessOrEqual Greater GreaterOrEqual MatMul ' +
    'Gemm SimplifiedLayerNormalization RMSNormalization com.microsoft.SimplifiedLayerNormalization'
  ).split(' '),
);
const takesThree = new Set(
  'Where Range ScatterND com.microsoft.RotaryEmbedding RotaryEmbedding com.microsoft.MatMulNBits'.split(' '),
);

/** The inputs that an op cannot do without; they come first. */
export const leastInputs = (op: string): number =>
  takesNone.has(op) ? 0 : takesTwo.has(op) ? 2 : takesThree.has(op) ? 3 : 1;

// One rule for each op that exporters put around weights: the extents of its outputs, and their elements where those of its
// inputs are known. Elements are numbers in float64, rounded where the op's type is float32.

import { MAX_DIMENSIONS } from './model-file.ts';
import {
  concat,
  expand,
  flatten,
  gather,
  gatherNd,
  reshape,
  scatterNd,
  slice,
  split,
  squeeze,
  tile,
  transpose,
  unsqueeze,
} from './moving-rules.ts';
import { axisOf, broadcast, eachBroadcast, isFloat, listOf, spread, type Rule } from './rule.ts';
import { BOOL, elementsOf, FLOAT, INT64, readElements } from './tensor.ts';

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

const same: Rule = (_node, [x]) => [x && { type: x.type, dims: x.dims, data: x.data }];
/** Same extents, and nothing known of the elements. */
const sameDims: Rule = (_node, [x]) => [x && { type: x.type, dims: x.dims }];

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

/** Of ONNX itself: heads may have an axis of their own. */
const standardAttention: Rule = (node, [query, key, value, , past]) => {
  const type = query?.type ?? 0;
  const [q, k, v] = [query?.dims, key?.dims, value?.dims];
  if (q === undefined || v === undefined) return [{ type }];
  const heads = node.attributes.get('q_num_heads')?.int ?? 1;
  const kvHeads = node.attributes.get('kv_num_heads')?.int ?? heads;
  const width = q.length === 4 ? v.at(-1)! : (v.at(-1)! / kvHeads) * heads;
  const behind = past?.dims?.[2] ?? 0;
  const cache = (dims: readonly number[] | undefined): { type: number; dims?: number[] } =>
    dims?.length === 4 ? { type, dims: [dims[0], dims[1], dims[2] + behind, dims[3]] } : { type };
  return [{ type, dims: [...q.slice(0, -1), width] }, cache(k), cache(v)];
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
  GatherND: gatherNd,
  Slice: slice,
  Split: split,
  Concat: concat,
  Expand: expand,
  Tile: tile,
  Reshape: reshape,
  Flatten: flatten,
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
  Attention: standardAttention,
  'com.microsoft.GroupQueryAttention': attended,
  'com.microsoft.MultiHeadAttention': (node, [query, key, value, ...rest], room) =>
    attended(node, [query, key, value, rest[3]], room),
};

const takesNone = new Set(['Constant']);
const takesTwo = new Set(
  (
    'Gather GatherND Expand Tile Reshape Trilu CumSum Add Sub Mul Div Mod Pow And Or Equal Less LessOrEqual Greater GreaterOrEqual MatMul ' +
    'Gemm SimplifiedLayerNormalization RMSNormalization com.microsoft.SimplifiedLayerNormalization'
  ).split(' '),
);
const takesThree = new Set(
  'Attention Where Range ScatterND com.microsoft.RotaryEmbedding RotaryEmbedding com.microsoft.MatMulNBits'.split(' '),
);

/** The inputs that an op cannot do without; they come first. */
export const leastInputs = (op: string): number =>
  takesNone.has(op) ? 0 : takesTwo.has(op) ? 2 : takesThree.has(op) ? 3 : 1;

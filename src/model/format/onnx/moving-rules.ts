// Rules of the ops that compute nothing: they move elements, repeat them, or leave some out.

import type { Known } from './evaluate.ts';
import { MAX_DIMENSIONS } from './model-file.ts';
import { axisOf, broadcast, listOf, spread, stridesOf, withDims, type Rule } from './rule.ts';
import { elementsOf, readElements } from './tensor.ts';

export const reshape: Rule = (_node, [x, shape]) => {
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

export const flatten: Rule = (node, [x]) => {
  if (x?.dims === undefined) return [x && { type: x.type }];
  const axis = axisOf(node.attributes.get('axis')?.int ?? 1, x.dims.length);
  return [withDims(x, [elementsOf(x.dims.slice(0, axis)), elementsOf(x.dims.slice(axis))])];
};

export const unsqueeze: Rule = (node, [x, axes]) => {
  const list = listOf(node, axes, 'axes');
  if (x?.dims === undefined || list === undefined) return [x && { type: x.type }];
  const dims = [...x.dims];
  const rank = dims.length + list.length;
  for (const axis of list.map((a) => axisOf(a, rank)).sort((a, b) => a - b)) dims.splice(axis, 0, 1);
  return [withDims(x, dims)];
};

export const squeeze: Rule = (node, [x, axes]) => {
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

export const transpose: Rule = (node, [x], room) => {
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

export const gather: Rule = (node, [x, indices], room) => {
  if (x?.dims === undefined || indices?.dims === undefined) return [x && { type: x.type }];
  const { dims: from, type } = x;
  const axis = axisOf(node.attributes.get('axis')?.int ?? 0, from.length);
  const dims = [...from.slice(0, axis), ...indices.dims, ...from.slice(axis + 1)];
  if (indices.data === undefined) return [{ type, dims }];
  const list = Array.from(indices.data, (i) => axisOf(i, from[axis]));
  if (list.length > room || !list.every((i) => i >= 0 && i < from[axis])) return [{ type, dims }];
  return [withDims(take(x, axis, list, room), dims)];
};

export const gatherNd: Rule = (node, [x, indices], room) => {
  if (x?.dims === undefined || indices?.dims === undefined) return [x && { type: x.type }];
  const { dims: from, type } = x;
  const batch = node.attributes.get('batch_dims')?.int ?? 0;
  const depth = indices.dims.at(-1) ?? 0;
  const isSound = batch >= 0 && batch < indices.dims.length && batch + depth <= from.length;
  if (!isSound) return [{ type }];
  const dims = [...indices.dims.slice(0, -1), ...from.slice(batch + depth)];
  const run = elementsOf(from.slice(batch + depth));
  const count = elementsOf(indices.dims.slice(0, -1));
  if (count * run > room || x.data === undefined || indices.data === undefined) return [{ type, dims }];
  const strides = stridesOf(from);
  const each = elementsOf(indices.dims.slice(batch, -1));
  const data = new Float64Array(count * run);
  for (let i = 0; i < count; i++) {
    let at = Math.floor(i / each) * elementsOf(from.slice(batch));
    for (let axis = 0; axis < depth; axis++) {
      const index = axisOf(indices.data[i * depth + axis], from[batch + axis]);
      if (!(index >= 0 && index < from[batch + axis])) return [{ type, dims }];
      at += index * strides[batch + axis];
    }
    data.set(x.data.subarray(at, at + run), i * run);
  }
  return [{ type, dims, data }];
};

export const slice: Rule = (node, [x, starts, ends, axes, steps], room) => {
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

export const concat: Rule = (node, ins, room) => {
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

export const expand: Rule = (_node, [x, shape], room) => {
  const dims =
    x?.dims && shape?.data && shape.data.length <= MAX_DIMENSIONS ? broadcast(x.dims, [...shape.data]) : undefined;
  if (x === undefined || dims === undefined) return [x && { type: x.type }];
  return [
    { type: x.type, dims, ...(x.data === undefined || elementsOf(dims) > room ? {} : { data: spread(x, dims) }) },
  ];
};

export const split: Rule = (node, [x, sizes], room) => {
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

export const tile: Rule = (_node, [x, repeats], room) => {
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

export const scatterNd: Rule = (_node, [x, indices, updates]) => {
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

// What rules about ops have in common: broadcasting, axes, and lists that are an input or an attribute.

import type { Known } from './evaluate.ts';
import type { OnnxNode } from './model-file.ts';
import { elementsOf, elementTypes } from './tensor.ts';

/** @param room elements that a result may have */
export type Rule = (
  node: OnnxNode,
  ins: readonly (Known | undefined)[],
  room: number,
) => readonly (Known | undefined)[];

export const isFloat = (type: number): boolean => elementTypes.get(type)?.isFloat ?? false;

export function broadcast(a: readonly number[], b: readonly number[]): number[] | undefined {
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

export const stridesOf = (dims: readonly number[]): number[] => {
  const strides = dims.map(() => 1);
  for (let i = dims.length - 2; i >= 0; i--) strides[i] = strides[i + 1] * dims[i + 1];
  return strides;
};

/** Calls `visit` with the index of every element of `out` in a tensor of `dims` that is broadcast to it. */
export function eachBroadcast(
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

export function spread(known: Known, out: readonly number[]): Float64Array {
  const target = new Float64Array(elementsOf(out));
  const data = known.data!;
  eachBroadcast(out, known.dims!, (at, from) => {
    target[at] = data[from];
  });
  return target;
}

/** Axes, or sizes of a Split. */
const MAX_LIST = 1_024;

export const axisOf = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

/** Numbers of an input, or else of an attribute. */
export const listOf = (node: OnnxNode, known: Known | undefined, name: string): readonly number[] | undefined => {
  if (known === undefined) return node.attributes.get(name)?.ints;
  return known.data === undefined || known.data.length > MAX_LIST ? undefined : [...known.data];
};

export const withDims = (known: Known, dims: readonly number[] | undefined): Known => ({
  type: known.type,
  dims,
  ...(dims === undefined || known.data === undefined || known.data.length !== elementsOf(dims)
    ? {}
    : { data: known.data }),
});

// An ONNX graph as the matchers see it: who writes a value, what is known of it, and what lies behind ops that only move or
// convert elements.

import { elementTypes, type OnnxTensor } from './tensor.ts';
import type { Known } from './evaluate.ts';
import type { OnnxModel, OnnxNode } from './model-file.ts';

/** Whether rows of one token, or of one head, lie together. */
export type Order = 'token' | 'head';

/** Cosines and sines that an attention op turns queries and keys by. */
export interface Rotation {
  readonly cos: string;
  readonly sin: string;
  readonly node: OnnxNode;
}

/** A value of the ONNX graph as a value of ours, [tokens, width]. */
export interface Value {
  readonly name: string;
  readonly order: Order;
  /** Elements of each row that it is, of a value that holds several. */
  readonly part?: { readonly from: number; readonly count: number };
  /** It is what comes out when the named value is turned so. */
  readonly rotation?: Rotation;
}

export interface WeightRef {
  readonly tensor: OnnxTensor;
  readonly transposed: boolean;
}

export interface View {
  readonly inputs: ReadonlySet<string>;
  known(name: string | undefined): Known;
  /** Elements that do not depend on tokens. */
  data(name: string | undefined): Float64Array | undefined;
  node(name: string): OnnxNode | undefined;
  /** The first value before ops that change neither elements nor their order. */
  strip(name: string): string;
  /** The same through transpositions of heads and tokens. */
  canonical(value: Value): Value;
  /** The node that writes the value, if it has one of these ops. */
  is(name: string, ...ops: string[]): OnnxNode | undefined;
  /** The single number that a value is, wherever it is the same. */
  scalar(name: string | undefined): number | undefined;
  /** The weight behind casts, and transpositions of matrices. */
  weight(name: string | undefined): WeightRef | undefined;
}

/** Ops that leave row-major elements as they are. */
const moving = new Set(['Identity', 'Reshape', 'Squeeze', 'Unsqueeze', 'Flatten', 'Dropout']);

export function createView(model: OnnxModel, values: ReadonlyMap<string, Known>): View {
  const writers = new Map<string, OnnxNode>();
  for (const node of model.nodes) for (const output of node.outputs) if (output !== '') writers.set(output, node);
  const known = (name: string | undefined): Known => (name === undefined ? undefined : values.get(name)) ?? { type: 0 };
  const isFloat = (type: number): boolean => elementTypes.get(type)?.isFloat ?? false;

  const strip = (name: string): string => {
    for (let at = name; ; ) {
      const node = writers.get(at);
      if (node === undefined || node.outputs[0] !== at || node.inputs.length === 0) return at;
      const [input] = node.inputs;
      const dims = known(input).dims?.join();
      const keeps =
        moving.has(node.op) ||
        (node.op === 'Concat' && node.inputs.length === 1) ||
        (node.op === 'Cast' && isFloat(known(at).type)) ||
        // To cut off nothing, or to repeat once.
        ((node.op === 'Slice' || node.op === 'Expand') && dims !== undefined && dims === known(at).dims?.join());
      if (!keeps || input === '') return at;
      at = input;
    }
  };
  const is: View['is'] = (name, ...ops) => {
    const node = writers.get(name);
    return node !== undefined && ops.includes(node.op) ? node : undefined;
  };

  return {
    inputs: new Set(model.inputs.map(({ name }) => name)),
    known,
    data: (name) => known(name).data,
    node: (name) => writers.get(name),
    strip,
    canonical(value) {
      let { name, order } = value;
      for (;;) {
        name = strip(name);
        const node = is(name, 'Transpose');
        const perm = node?.attributes.get('perm')?.ints;
        const dims = known(node?.inputs[0]).dims;
        if (node === undefined || perm === undefined || dims?.length !== perm.length) break;
        // Axes of one element do not matter.
        const left = perm.filter((axis) => dims[axis] !== 1);
        const sorted = left.toSorted((a, b) => a - b);
        const isSame = left.join() === sorted.join();
        const swaps = left.length === 3 && left.join() === [sorted[1], sorted[0], sorted[2]].join();
        if (!isSame && !swaps) break;
        if (swaps) order = order === 'token' ? 'head' : 'token';
        [name] = node.inputs;
      }
      return { ...value, name, order };
    },
    is,
    scalar(name) {
      const { data } = known(name);
      if (data === undefined || data.length === 0) return undefined;
      return data.every((x) => x === data[0]) ? data[0] : undefined;
    },
    weight(name) {
      let at = name;
      let transposed = false;
      while (at !== undefined && at !== '') {
        const { tensor } = known(at);
        if (tensor !== undefined)
          return elementTypes.get(tensor.type)?.dtype === undefined ? undefined : { tensor, transposed };
        const node: OnnxNode | undefined = writers.get(at);
        if (node === undefined) return undefined;
        const perm = node.attributes.get('perm')?.ints;
        const dims = known(node.inputs[0]).dims ?? [];
        const isMatrix = dims.length === 2 && (perm === undefined || perm.join() === '1,0');
        const reshapesVector = moving.has(node.op) && dims.filter((n) => n !== 1).length <= 1;
        if (node.op === 'Transpose' && isMatrix) transposed = !transposed;
        else if (node.op !== 'Identity' && node.op !== 'Cast' && !reshapesVector) return undefined;
        [at] = node.inputs;
      }
      return undefined;
    },
  };
}

/** Whether a value has these extents, axes of one element aside. */
export function hasDims(view: View, name: string, wanted: readonly number[]): boolean {
  const dims = view.known(name).dims;
  const without = (list: readonly number[]): string => list.filter((n) => n !== 1).join();
  return dims !== undefined && without(dims) === without(wanted);
}

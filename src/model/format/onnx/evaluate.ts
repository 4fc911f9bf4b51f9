// What a graph computes without its weights: extents of every value, and the elements of those that depend on neither
// tokens nor activations, such as masks, rotations and shapes, for one step of a known size. So these are compared with what
// they should be, however an exporter wrote them. Meaning of the ops: https://onnx.ai/onnx/operators/

import { MAX_DIMENSIONS, type OnnxModel, type OnnxNode } from './model-file.ts';
import { rules } from './rules.ts';
import { elementsOf, readElements, type OnnxTensor } from './tensor.ts';

/** Elements of one evaluated value; a mask of 7 queries over 32,768 keys is 229,376. */
export const MAX_VALUE_ELEMENTS = 2 ** 18;
/** Elements of all evaluated values together, 8 bytes each. */
export const MAX_TOTAL_ELEMENTS = 2 ** 24;

/** Elements that all nodes together read, some of which are read and make few. */
export const MAX_WORK_ELEMENTS = 2 ** 28;

/** What is known of a value. */
export interface Known {
  /** A key of `elementTypes`; 0 where it is not known. */
  readonly type: number;
  readonly dims?: readonly number[] | undefined;
  /** Row-major elements, where they are known. */
  readonly data?: Float64Array | undefined;
  /** The initializer that it is. */
  readonly tensor?: OnnxTensor;
  /** The node whose op is not known, because of which nothing is known here. */
  readonly blame?: OnnxNode | undefined;
}

/** @param inputs what the inputs of the graph are taken to be */
export function evaluateGraph(model: OnnxModel, inputs: ReadonlyMap<string, Known>): Map<string, Known> {
  const values = new Map<string, Known>(inputs);
  let total = 0;
  let work = 0;
  for (const [name, tensor] of model.initializers) {
    const { type, dims } = tensor;
    const count = elementsOf(dims);
    if (count > MAX_VALUE_ELEMENTS) {
      values.set(name, { type, dims, tensor });
      continue;
    }
    let data: Float64Array | undefined;
    values.set(name, {
      type,
      dims,
      tensor,
      // Read when it is first asked for: most are weights, which are not wanted here.
      get data() {
        if (data === undefined && total + count <= MAX_TOTAL_ELEMENTS) {
          data = readElements(tensor, 0, count);
          total += count;
        }
        return data;
      },
    });
  }
  for (const node of model.nodes) {
    const ins = node.inputs.map((name) => (name === '' ? undefined : (values.get(name) ?? { type: 0 })));
    for (const known of ins) {
      const count = known?.dims === undefined ? 0 : elementsOf(known.dims);
      if (count <= MAX_VALUE_ELEMENTS) work += count;
    }
    const isSpent = work > MAX_WORK_ELEMENTS || total > MAX_TOTAL_ELEMENTS;
    const rule = Object.hasOwn(rules, node.op) ? rules[node.op] : undefined;
    const room = Math.max(0, Math.min(MAX_VALUE_ELEMENTS, MAX_TOTAL_ELEMENTS - total));
    const seen = isSpent ? ins.map((known) => known && { type: known.type, dims: known.dims }) : ins;
    const outs = rule?.(node, seen, room) ?? [];
    const blame = rule === undefined ? node : ins.find((known) => known?.blame !== undefined)?.blame;
    for (const [i, name] of node.outputs.entries()) {
      if (name === '') continue;
      const out = outs[i] ?? { type: 0 };
      const known = (out.dims?.length ?? 0) > MAX_DIMENSIONS ? { type: out.type } : out;
      total += known.data?.length ?? 0;
      values.set(name, known.data === undefined && blame !== undefined ? { ...known, blame } : known);
    }
  }
  return values;
}

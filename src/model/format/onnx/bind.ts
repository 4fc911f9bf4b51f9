// The graph that a configuration asks for against the one that an exporter wrote: op by op, from the logits back to the
// token ids. Where they agree, every weight of ours has found its initializer; by what it is for, whatever it is called.

import type { Graph, Op, OpKind } from '../../graph.ts';
import { createProblems, type Problems } from '../problems.ts';
import { matchAttention, matchRotation, type Mismatch, type Step } from './attention.ts';
import { matchGated, matchLinear, matchNorm, type Matrix } from './patterns.ts';
import { elementsOf, typeOf, type OnnxTensor } from './tensor.ts';
import type { Value, View } from './view.ts';

/** Where a weight of ours lies. */
export type Held =
  | { readonly kind: 'matrix'; readonly matrix: Matrix; readonly from: number; readonly rows: number }
  | { readonly kind: 'vector'; readonly tensor: OnnxTensor; readonly from: number; readonly count: number };

/** Epsilons are stated in float32, or in float16, whose numbers are 2⁻²⁴ apart at 10⁻⁶. */
const isEpsilon = (found: number, wanted: number): boolean =>
  Math.abs(found - wanted) <= Math.max(wanted / 100, 2 ** -25);

interface Bound {
  /** Values that the op reads, by our names. */
  readonly values: Readonly<Record<string, Value>>;
  readonly weights?: Readonly<Record<string, Held>>;
}

interface Walk {
  readonly view: View;
  readonly step: Step;
  /** Ops of the section, by the value that they write. */
  readonly writers: ReadonlyMap<string, Op>;
}

type OpOf<K extends OpKind> = Extract<Op, { kind: K }>;
type Matcher<K extends OpKind> = (op: OpOf<K>, value: Value, walk: Walk) => Bound | Mismatch;

const notRead = (what: string) => (): Mismatch => ({ message: `${what} cannot be read from ONNX files` });

const nodeOf = ({ view }: Walk, value: Value) => view.node(view.canonical(value).name);

const matchers: { readonly [K in OpKind]: Matcher<K> } = {
  embedding(op, value, walk) {
    const { view } = walk;
    const node = view.is(view.canonical(value).name, 'Gather');
    const weight = view.weight(node?.inputs[0]);
    if (node === undefined || weight === undefined || weight.transposed || op.scale !== undefined)
      return {
        node: node ?? nodeOf(walk, value),
        message: 'the layers do not begin at an embedding',
        expected: 'Gather of rows of an initializer',
      };
    const [n, k] = weight.tensor.dims;
    if (weight.tensor.dims.length !== 2 || n !== op.vocab || k !== op.width)
      return {
        node,
        message: 'the embedding has other extents than the configuration asks for',
        expected: `[${op.vocab}, ${op.width}]`,
        found: `[${weight.tensor.dims.join(', ')}]`,
      };
    if (view.strip(node.inputs[1]) !== 'input_ids' && !view.inputs.has(view.strip(node.inputs[1])))
      return { node, message: 'the embedding is not that of the token ids' };
    const matrix: Matrix = { kind: 'plain', tensor: weight.tensor, isTransposed: false, n, k };
    return { values: {}, weights: { [op.weight]: { kind: 'matrix', matrix, from: 0, rows: n } } };
  },

  rmsnorm(op, value, walk) {
    const { view } = walk;
    const { name, order } = view.canonical(value);
    const found = matchNorm(view, name);
    const width = op.width / op.groups;
    if (found === undefined || value.part !== undefined || op.offset !== undefined)
      return { node: view.node(name), message: 'this is no RMS norm with a constant weight', expected: op.weight };
    const extent = view.known(found.input).dims?.at(-1);
    const length = elementsOf(found.weight.dims);
    if (length !== width || extent !== width)
      return {
        node: view.node(name),
        message: 'a norm is over another width than the configuration asks for',
        expected: `${width} (${op.weight})`,
        found: `${length} weights over ${extent ?? 'unknown'}`,
      };
    if (!isEpsilon(found.eps, op.eps))
      return {
        node: view.node(name),
        message: 'a norm has another epsilon than the configuration',
        expected: `${op.eps} (${op.weight})`,
        found: String(found.eps),
      };
    return {
      values: { [op.input]: { name: found.input, order } },
      weights: { [op.weight]: { kind: 'vector', tensor: found.weight, from: 0, count: length } },
    };
  },

  linear(op, value, walk) {
    const { view } = walk;
    const found = matchLinear(view, value);
    if (found === undefined)
      return {
        node: nodeOf(walk, value),
        message: 'this is no product with a constant matrix',
        expected: `${op.weight} [${op.n}, ${op.k}]`,
      };
    const { matrix, from, rows, bias, biasFrom } = found;
    const node = nodeOf(walk, value);
    if (rows !== op.n || matrix.k !== op.k)
      return {
        node,
        message: 'a matrix has other extents than the configuration asks for',
        expected: `${op.weight} [${op.n}, ${op.k}]`,
        found: `[${rows}, ${matrix.k}]`,
      };
    if ((bias === undefined) !== (op.bias === undefined))
      return {
        node,
        message:
          bias === undefined
            ? 'a bias that the configuration asks for is missing'
            : 'there is a bias that the configuration does not have',
        expected: op.bias ?? `${op.weight} alone`,
      };
    if (bias !== undefined && elementsOf(bias.dims) < biasFrom + rows)
      return {
        node,
        message: 'a bias has other extents than its matrix',
        expected: `[${rows}]`,
        found: `[${bias.dims.join(', ')}]`,
      };
    return {
      values: { [op.input]: { name: found.input, order: 'token' } },
      weights: {
        [op.weight]: { kind: 'matrix', matrix, from, rows },
        ...(bias === undefined || op.bias === undefined
          ? {}
          : { [op.bias]: { kind: 'vector', tensor: bias, from: biasFrom, count: rows } }),
      },
    };
  },

  rope(op, value, { view, step }) {
    if (op.part !== undefined || op.neighbours === true)
      return { message: 'rotating a part of each head cannot be read from ONNX files' };
    const found = matchRotation(view, value, op, step);
    return 'message' in found ? found : { values: { [op.input]: found } };
  },

  attention(op, value, { view, step }) {
    const found = matchAttention(view, value, op, step);
    return 'message' in found ? found : { values: { [op.q]: found.q, [op.k]: found.k, [op.v]: found.v } };
  },

  glu(op, value, walk) {
    const { view } = walk;
    const { name, order } = view.canonical(value);
    const found = matchGated(view, name);
    if (found === undefined)
      return { node: view.node(name), message: 'this is no gated unit', expected: `${op.activation}(gate) · up` };
    if (found.activation !== op.activation)
      return {
        node: view.node(name),
        message: 'the activation is not that of the configuration',
        expected: op.activation,
        found: found.activation,
      };
    return { values: { [op.gate]: { name: found.gate, order }, [op.up]: { name: found.up, order } } };
  },

  add(op, value, walk) {
    const { view, writers } = walk;
    const node = view.is(view.canonical(value).name, 'Add');
    if (node === undefined)
      return {
        node: nodeOf(walk, value),
        message: 'two branches are not added here',
        expected: `Add of the residual stream and ${branchOf(writers.get(op.b))}`,
      };
    const producer = writers.get(op.b);
    const isBranch = (name: string): boolean =>
      producer?.kind === 'linear' && matchLinear(view, { name, order: 'token' }) !== undefined;
    const [left, right] = node.inputs.map(isBranch);
    if (left === right)
      return {
        node,
        message: 'neither branch, or both, end in a product with a constant matrix',
        expected: `one of them: ${branchOf(producer)}`,
      };
    const [a, b] = left ? [node.inputs[1], node.inputs[0]] : node.inputs;
    return { values: { [op.a]: { name: a, order: 'token' }, [op.b]: { name: b, order: 'token' } } };
  },

  'head-linear': notRead('latent attention'),
  softcap: notRead('bounded logits'),
  moe: notRead('a mixture of experts'),
};

const branchOf = (op: Op | undefined): string => (op?.kind === 'linear' ? op.weight : 'a layer');

/**
 * @param logits name of the output
 * @param where the file, for messages
 * @returns where every weight of `graph` lies
 * @throws IngotError ONNX_STRUCTURE, many at once, each naming the node at which the two part
 */
export function bindGraph(graph: Graph, view: View, logits: string, step: Step, where: string): Map<string, Held> {
  const problems = createProblems();
  const weights = new Map<string, Held>();
  let x: Value | undefined = bindSection(graph.epilogue, 'logits', { name: logits, order: 'token' }, 'the end');
  for (let layer = graph.layers.length - 1; layer >= 0 && x !== undefined; layer--)
    x = bindSection(graph.layers[layer], 'x', x, `layer ${layer}`);
  if (x !== undefined) bindSection(graph.prologue, 'x', x, 'the embedding');
  problems.throwIfAny();
  return weights;

  /** The ops of a section from the last to the first. @returns what it reads as `x` */
  function bindSection(ops: readonly Op[], out: string, value: Value, section: string): Value | undefined {
    const bound = new Map<string, Value>([[out, value]]);
    const walk: Walk = { view, step, writers: new Map(ops.map((op) => [op.out, op])) };
    for (const op of ops.toReversed()) {
      const written = bound.get(op.out);
      if (written === undefined) continue;
      bound.delete(op.out);
      const found = (matchers[op.kind] as Matcher<OpKind>)(op, written, walk);
      if ('message' in found) {
        report(problems, found, section, where);
        continue;
      }
      for (const [name, held] of Object.entries(found.weights ?? {})) weights.set(name, held);
      for (const [name, read] of Object.entries(found.values)) {
        const other = bound.get(name);
        if (other === undefined) bound.set(name, read);
        else if (!isSame(view, other, read)) {
          const message = 'two ops that the configuration feeds alike read different values';
          report(problems, { node: nodeOf(walk, read), message, expected: describe(view, other) }, section, where);
        }
      }
    }
    return bound.get('x');
  }
}

function isSame(view: View, a: Value, b: Value): boolean {
  const [left, right] = [view.canonical(a), view.canonical(b)];
  return left.name === right.name && left.order === right.order;
}

function describe(view: View, value: Value): string {
  const { name } = view.canonical(value);
  const node = view.node(name);
  return node === undefined ? name : `what node ${node.name} (${node.op}) writes`;
}

function report(
  problems: Problems,
  { node, message, expected, found }: Mismatch,
  section: string,
  where: string,
): void {
  const at = node === undefined ? section : `${section}, node ${node.name.slice(0, 200)} (${node.op.slice(0, 100)})`;
  problems.add({
    code: 'ONNX_STRUCTURE',
    message,
    where: `${where}, ${at}`,
    expected,
    found,
    suggestion: 'use the config.json of the very model that was exported, or its safetensors release',
  });
}

/** Element type in which a weight is handed on. */
export const dtypeOf = (held: Held) =>
  held.kind === 'vector'
    ? typeOf(held.tensor).dtype!
    : held.matrix.kind === 'plain'
      ? typeOf(held.matrix.tensor).dtype!
      : 'f32';

// How exporters write the ops of a decoder: each function looks backwards from a value, and returns what it is made of, or
// undefined where it is something else.

import type { OnnxNode } from './model-file.ts';
import { elementsOf, typeOf, type OnnxTensor } from './tensor.ts';
import type { Value, View, WeightRef } from './view.ts';

/** Rows [from, from + rows) of a matrix as our [n, k], however it is stored. */
export type Matrix =
  | {
      readonly kind: 'plain';
      readonly tensor: OnnxTensor;
      /** Stored [k, n]. */
      readonly isTransposed: boolean;
      readonly n: number;
      readonly k: number;
    }
  | {
      readonly kind: 'blocks';
      /** [n, blocks, bytes of a block] */
      readonly packed: OnnxTensor;
      readonly scales: OnnxTensor;
      readonly zeroPoints?: OnnxTensor;
      readonly bits: 4 | 8;
      readonly block: number;
      readonly n: number;
      readonly k: number;
    };

export interface Linear {
  readonly input: string;
  readonly matrix: Matrix;
  /** First row, and how many. */
  readonly from: number;
  readonly rows: number;
  readonly bias?: OnnxTensor;
  /** Its first element. */
  readonly biasFrom: number;
}

/** The operand that `take` accepts, and the other one. */
function eitherOf<T>(node: OnnxNode, take: (name: string) => T | undefined): readonly [T, string] | undefined {
  const [a, b] = node.inputs;
  const left = take(a);
  if (left !== undefined) return [left, b];
  const right = take(b);
  return right === undefined ? undefined : [right, a];
}

const vectorOf = (view: View, name: string): WeightRef | undefined => {
  const found = view.weight(name);
  return found !== undefined && found.tensor.dims.filter((n) => n !== 1).length <= 1 ? found : undefined;
};

const attributeOf = (node: OnnxNode, name: string): number | undefined =>
  node.attributes.get(name)?.int ?? node.attributes.get(name)?.float;

/** x · Wᵀ (+ b), or some of its outputs. */
export function matchLinear(view: View, value: Value): Linear | undefined {
  if (value.rotation !== undefined) return undefined;
  let { name, order } = view.canonical(value);
  let from = value.part?.from ?? 0;
  let rows = value.part?.count;
  let bias: OnnxTensor | undefined;
  let biasFrom = 0;
  // A bias, and a cut, in either order.
  for (let step = 0; step < 4; step++) {
    if (order !== 'token') return undefined;
    const add = view.is(name, 'Add');
    const cut = view.is(name, 'Split', 'Slice');
    if (add !== undefined && bias === undefined) {
      const found = eitherOf(add, (operand) => vectorOf(view, operand));
      if (found === undefined) return undefined;
      bias = found[0].tensor;
      biasFrom = from;
      ({ name, order } = view.canonical({ name: found[1], order }));
    } else if (cut !== undefined) {
      const part = partOf(view, cut, name);
      if (part === undefined) return undefined;
      from += part.from;
      rows ??= part.count;
      ({ name, order } = view.canonical({ name: cut.inputs[0], order }));
    } else break;
  }
  const core = view.node(name);
  if (core === undefined || order !== 'token') return undefined;
  const product = matchProduct(view, core);
  if (product === undefined || (product.bias !== undefined && bias !== undefined)) return undefined;
  const { matrix, input } = product;
  rows ??= matrix.n;
  if (from + rows > matrix.n) return undefined;
  const whole = bias ?? product.bias;
  return { input, matrix, from, rows, bias: whole, biasFrom: bias === undefined ? from : biasFrom };
}

/** The elements of the last axis that an output of Split, or a Slice, has. */
function partOf(view: View, node: OnnxNode, output: string): { from: number; count: number } | undefined {
  const whole = view.known(node.inputs[0]).dims;
  const dims = view.known(output).dims;
  if (whole === undefined || dims?.length !== whole.length) return undefined;
  const last = whole.length - 1;
  if (dims.slice(0, last).join() !== whole.slice(0, last).join()) return undefined;
  if (node.op === 'Split') {
    const before = node.outputs.slice(0, node.outputs.indexOf(output));
    const widths = before.map((name) => view.known(name).dims?.[last] ?? NaN);
    return { from: widths.reduce((sum, n) => sum + n, 0), count: dims[last] };
  }
  const starts = view.data(node.inputs[1]);
  const steps = view.data(node.inputs[4]);
  if (starts?.length !== 1 || (steps !== undefined && steps[0] !== 1)) return undefined;
  return { from: starts[0] < 0 ? starts[0] + whole[last] : starts[0], count: dims[last] };
}

function matchProduct(view: View, node: OnnxNode): { input: string; matrix: Matrix; bias?: OnnxTensor } | undefined {
  const [input] = node.inputs;
  if (node.op === 'com.microsoft.MatMulNBits') return matchBlocks(view, node);
  if (node.op !== 'MatMul' && node.op !== 'Gemm') return undefined;
  const weight = view.weight(node.inputs[1]);
  if (weight?.tensor.dims.length !== 2) return undefined;
  let isTransposed = !weight.transposed;
  let bias: OnnxTensor | undefined;
  if (node.op === 'Gemm') {
    const scaled = ['alpha', 'beta'].some((name) => (attributeOf(node, name) ?? 1) !== 1);
    if (scaled || (attributeOf(node, 'transA') ?? 0) !== 0) return undefined;
    if ((attributeOf(node, 'transB') ?? 0) !== 0) isTransposed = !isTransposed;
    if ((node.inputs[2] ?? '') !== '') {
      bias = vectorOf(view, node.inputs[2])?.tensor;
      if (bias === undefined) return undefined;
    }
  }
  const [first, second] = weight.tensor.dims;
  const [n, k] = isTransposed ? [second, first] : [first, second];
  return { input, matrix: { kind: 'plain', tensor: weight.tensor, isTransposed, n, k }, bias };
}

/**
 * Weights in blocks of 4 or 8 bits along k:
 * https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#commicrosoftmatmulnbits
 */
function matchBlocks(view: View, node: OnnxNode): { input: string; matrix: Matrix; bias?: OnnxTensor } | undefined {
  const [input, packed, scales, zeroPoints, order, bias] = node.inputs.map((name) => view.known(name).tensor);
  const [n, k, block] = ['N', 'K', 'block_size'].map((name) => attributeOf(node, name) ?? 0);
  const bits = attributeOf(node, 'bits') ?? 4;
  if (input !== undefined || packed === undefined || scales === undefined) return undefined;
  if ((bits !== 4 && bits !== 8) || order !== undefined || !(n > 0 && k > 0 && block >= 16) || block % 2 !== 0)
    return undefined;
  const hasZeroPoints = (node.inputs[3] ?? '') !== '';
  const hasBias = (node.inputs[5] ?? '') !== '';
  if ((hasZeroPoints && zeroPoints === undefined) || (hasBias && bias === undefined)) return undefined;
  const blocks = Math.ceil(k / block);
  const isFloatZero = zeroPoints !== undefined && typeOf(zeroPoints).isFloat;
  const fits =
    typeOf(packed).name === 'uint8' &&
    elementsOf(packed.dims) === (n * blocks * block * bits) / 8 &&
    typeOf(scales).dtype !== undefined &&
    elementsOf(scales.dims) === n * blocks &&
    (zeroPoints === undefined ||
      elementsOf(zeroPoints.dims) === (isFloatZero ? n * blocks : n * Math.ceil((blocks * bits) / 8))) &&
    (zeroPoints === undefined ||
      (isFloatZero ? typeOf(zeroPoints).dtype !== undefined : typeOf(zeroPoints).name === 'uint8'));
  if (!fits) return undefined;
  return { input: node.inputs[0], matrix: { kind: 'blocks', packed, scales, zeroPoints, bits, block, n, k }, bias };
}

export interface Norm {
  readonly input: string;
  readonly weight: OnnxTensor;
  readonly eps: number;
}

const normOps = ['SimplifiedLayerNormalization', 'RMSNormalization', 'com.microsoft.SimplifiedLayerNormalization'];
/** What SimplifiedLayerNormalization and RMSNormalization take where no epsilon is stated. */
const DEFAULT_EPS = 1e-5;

/** x / √(mean(x²) + eps) ⊙ w over the last axis, as one op or as several. */
export function matchNorm(view: View, name: string): Norm | undefined {
  const at = view.strip(name);
  const whole = view.is(at, ...normOps);
  if (whole !== undefined) {
    const weight = vectorOf(view, whole.inputs[1])?.tensor;
    const axis = attributeOf(whole, 'axis') ?? -1;
    const rank = view.known(whole.inputs[0]).dims?.length;
    if (weight === undefined || (axis !== -1 && axis + 1 !== rank)) return undefined;
    return { input: whole.inputs[0], weight, eps: attributeOf(whole, 'epsilon') ?? DEFAULT_EPS };
  }
  const scaled = view.is(at, 'Mul');
  const found = scaled && eitherOf(scaled, (operand) => vectorOf(view, operand));
  if (found === undefined) return undefined;
  const normed = matchUnweighted(view, view.strip(found[1]));
  return normed && { ...normed, weight: found[0].tensor };
}

function matchUnweighted(view: View, name: string): { input: string; eps: number } | undefined {
  const node = view.is(name, 'Mul', 'Div');
  if (node === undefined) return undefined;
  const [a, b] = node.inputs;
  const pairs =
    node.op === 'Div'
      ? [[a, b]]
      : [
          [a, b],
          [b, a],
        ];
  for (const [x, scale] of pairs) {
    const root = node.op === 'Div' ? view.strip(scale) : inverted(view, view.strip(scale));
    const power = root === undefined && node.op === 'Mul' ? view.is(view.strip(scale), 'Pow') : undefined;
    const sqrt = root === undefined ? undefined : view.is(root, 'Sqrt');
    const under =
      sqrt?.inputs[0] ?? (power !== undefined && view.scalar(power.inputs[1]) === -0.5 ? power.inputs[0] : undefined);
    const sum = under === undefined ? undefined : view.is(view.strip(under), 'Add');
    const parts = sum && eitherOf(sum, (operand) => view.scalar(operand));
    const mean = parts && view.is(view.strip(parts[1]), 'ReduceMean');
    if (parts === undefined || mean === undefined) continue;
    const squares = view.strip(mean.inputs[0]);
    const rank = view.known(mean.inputs[0]).dims?.length;
    const axes = mean.attributes.get('axes')?.ints ?? [...(view.data(mean.inputs[1]) ?? [])];
    const isLast = axes.length === 1 && (axes[0] === -1 || axes[0] + 1 === rank);
    const square = view.is(squares, 'Pow', 'Mul');
    const isSquare =
      square !== undefined &&
      (square.op === 'Pow' ? view.scalar(square.inputs[1]) === 2 : view.strip(square.inputs[1]) === view.strip(x)) &&
      view.strip(square.inputs[0]) === view.strip(x);
    if (isLast && isSquare) return { input: x, eps: parts[0] };
  }
  return undefined;
}

/** What a value is one over. */
function inverted(view: View, name: string): string | undefined {
  const reciprocal = view.is(name, 'Reciprocal');
  if (reciprocal !== undefined) return view.strip(reciprocal.inputs[0]);
  const division = view.is(name, 'Div');
  return division !== undefined && view.scalar(division.inputs[0]) === 1 ? view.strip(division.inputs[1]) : undefined;
}

export type Activation = 'silu' | 'gelu' | 'gelu-tanh' | 'relu';

/** activation(gate) ⊙ up. */
export function matchGated(view: View, name: string): { gate: string; up: string; activation: Activation } | undefined {
  const product = view.is(view.strip(name), 'Mul');
  const found = product && eitherOf(product, (operand) => matchActivation(view, view.strip(operand)));
  return found && { ...found[0], up: found[1] };
}

function matchActivation(view: View, name: string): { gate: string; activation: Activation } | undefined {
  const node = view.node(name);
  if (node === undefined) return undefined;
  const [gate] = node.inputs;
  switch (node.op) {
    case 'Swish':
    case 'com.microsoft.QuickGelu': {
      const alpha = attributeOf(node, 'alpha') ?? (node.op === 'Swish' ? 1 : 1.702);
      return alpha === 1 ? { gate, activation: 'silu' } : undefined;
    }
    case 'Relu':
      return { gate, activation: 'relu' };
    case 'com.microsoft.Gelu':
      return { gate, activation: 'gelu' };
    case 'com.microsoft.FastGelu':
      return (node.inputs[1] ?? '') === '' ? { gate, activation: 'gelu-tanh' } : undefined;
    case 'Gelu':
      return { gate, activation: node.attributes.get('approximate')?.text === 'tanh' ? 'gelu-tanh' : 'gelu' };
    case 'Mul':
      return matchProductActivation(view, node);
    default:
      return undefined;
  }
}

/** x · σ(x), or x · ½ · (1 + tanh or erf of something). */
function matchProductActivation(view: View, node: OnnxNode): { gate: string; activation: Activation } | undefined {
  const sigmoid = eitherOf(node, (operand) => view.is(view.strip(operand), 'Sigmoid'));
  if (sigmoid !== undefined) {
    const [{ inputs }, gate] = sigmoid;
    return view.strip(inputs[0]) === view.strip(gate) ? { gate, activation: 'silu' } : undefined;
  }
  // Told apart for messages: no architecture that is read from ONNX has it.
  for (const operand of node.inputs) {
    const sum = view.is(view.strip(operand), 'Add');
    const inner = sum && eitherOf(sum, (term) => view.is(view.strip(term), 'Tanh', 'Erf'));
    if (inner === undefined) continue;
    const gate = node.inputs.find((other) => other !== operand) ?? operand;
    return { gate, activation: inner[0].op === 'Tanh' ? 'gelu-tanh' : 'gelu' };
  }
  return undefined;
}

/** x of x · c or x / c, with all factors in one. */
export function peelScale(view: View, name: string): { name: string; factor: number } {
  let at = view.strip(name);
  let factor = 1;
  for (;;) {
    const node = view.is(at, 'Mul', 'Div');
    if (node === undefined) return { name: at, factor };
    const right = view.scalar(node.inputs[1]);
    const left = node.op === 'Mul' ? view.scalar(node.inputs[0]) : undefined;
    if (right === undefined && left === undefined) return { name: at, factor };
    factor = node.op === 'Div' ? factor / right! : factor * (right ?? left!);
    at = view.strip(right === undefined ? node.inputs[1] : node.inputs[0]);
  }
}

/** What a value is with its last two axes exchanged. */
export function exchanged(view: View, name: string): string | undefined {
  const node = view.is(view.strip(name), 'Transpose');
  const perm = node?.attributes.get('perm')?.ints;
  if (node === undefined || perm === undefined) return undefined;
  const rank = perm.length;
  const wanted = perm.map((_, i) => i);
  [wanted[rank - 2], wanted[rank - 1]] = [rank - 1, rank - 2];
  return perm.join() === wanted.join() ? node.inputs[0] : undefined;
}

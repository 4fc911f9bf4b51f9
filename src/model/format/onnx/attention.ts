// Causal attention as exporters write it: as one op of ONNX Runtime, or as products around a softmax with a mask.

import type { AttentionOp, RopeOp } from '../../graph.ts';
import { ropeInverseFrequencies, ropeMagnitude } from '../../op/rope.ts';
import type { OnnxNode } from './model-file.ts';
import { exchanged, peelScale } from './patterns.ts';
import { BOOL, FLOAT, readElements, typeOf } from './tensor.ts';
import { hasDims, type Rotation, type Value, type View } from './view.ts';

/** The step for which a graph is looked at: `tokens` behind `past` cached ones. */
export interface Step {
  readonly tokens: number;
  readonly past: number;
}

/** What a matcher says where a value is not what was asked for. */
export interface Mismatch {
  readonly node?: OnnxNode | undefined;
  readonly message: string;
  readonly expected?: string;
  readonly found?: string;
}

export interface Attention {
  readonly q: Value;
  readonly k: Value;
  readonly v: Value;
}

/** Attention scales are stated in float32 or float16. */
const SCALE_TOLERANCE = 2e-3;
/** Scores below this are taken to be masked: the least of float16 is -65,504, and some write -10,000. */
const MASKED = -9_999;

const attentionOps = ['com.microsoft.GroupQueryAttention', 'com.microsoft.MultiHeadAttention'];

export function matchAttention(view: View, value: Value, op: AttentionOp, step: Step): Attention | Mismatch {
  const { name, order } = view.canonical(value);
  const node = view.node(name);
  if (node !== undefined && attentionOps.includes(node.op)) {
    return node.op === 'com.microsoft.GroupQueryAttention'
      ? matchGrouped(view, node, op, step)
      : matchMultiHead(view, node, op, step);
  }
  if (node?.op === 'Attention') return matchStandard(view, node, op, step, order);
  const wanted = op.heads === 1 ? [order] : ['head'];
  if (node?.op !== 'MatMul' || !wanted.includes(order))
    return { node, message: 'this is no attention', expected: 'scores times values, with heads beside each other' };
  return matchDecomposed(view, node, op, step);
}

const attribute = (node: OnnxNode, name: string): number | undefined =>
  node.attributes.get(name)?.int ?? node.attributes.get(name)?.float;

const differs = (a: number, b: number): boolean => !(Math.abs(a - b) <= SCALE_TOLERANCE * Math.abs(b));

function checkNumbers(
  node: OnnxNode,
  wanted: Readonly<Record<string, readonly [number, number]>>,
): Mismatch | undefined {
  for (const [name, [found, expected]] of Object.entries(wanted)) {
    if (differs(found, expected))
      return {
        node,
        message: `the attention has another ${name} than the configuration`,
        expected: String(expected),
        found: String(found),
      };
  }
  return undefined;
}

const absentInput = (node: OnnxNode, from: number, names: readonly string[]): Mismatch | undefined => {
  const at = names.findIndex((_, i) => (node.inputs[from + i] ?? '') !== '');
  return at < 0 ? undefined : { node, message: `the attention has an input that Ingot does not read: ${names[at]}` };
};

/** https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#commicrosoftgroupqueryattention */
function matchGrouped(view: View, node: OnnxNode, op: AttentionOp, step: Step): Attention | Mismatch {
  const { heads, kvHeads, headDim } = op;
  const scale = attribute(node, 'scale') ?? 0;
  const window = attribute(node, 'local_window_size') ?? -1;
  const sees = step.past + step.tokens;
  const total = view.scalar(node.inputs[6]);
  const last = view.scalar(node.inputs[5]);
  const wrong =
    checkNumbers(node, {
      'number of heads': [attribute(node, 'num_heads') ?? NaN, heads],
      'number of KV heads': [attribute(node, 'kv_num_heads') ?? NaN, kvHeads],
      scale: [scale === 0 ? 1 / Math.sqrt(headDim) : scale, op.scale],
      // A window that is wider than any sequence may be stated or not.
      'sliding window': [window > 0 ? window : Infinity, op.slidingWindow ?? Infinity].map((n) =>
        n === Infinity ? -1 : n,
      ) as [number, number],
      'soft cap of scores': [attribute(node, 'softcap') ?? 0, op.softcap ?? 0],
      'smooth softmax': [Math.max(0, attribute(node, 'smooth_softmax') ?? 0), 0],
      'order of rotated pairs': [attribute(node, 'rotary_interleaved') ?? 0, 0],
      'quantization of the cache': [attribute(node, 'kv_cache_bit_width') ?? 0, 0],
      'last position (seqlens_k)': [last ?? NaN, sees - 1],
      'number of positions (total_sequence_length)': [total ?? NaN, sees],
    }) ?? absentInput(node, 10, ['attention_bias', 'head_sink', 'k_scale', 'v_scale']);
  if (wrong !== undefined) return wrong;
  const positions = node.inputs[9] ?? '';
  if (positions !== '' && !isPositions(view, positions, step))
    return { node, message: 'the positions of the attention are not those of the tokens' };
  const [query, key, value, , , , , cos, sin] = node.inputs;
  const turns = (attribute(node, 'do_rotary') ?? 0) !== 0;
  const rotation: { rotation?: Rotation } = turns ? { rotation: { cos: cos ?? '', sin: sin ?? '', node } } : {};
  const of = (name: string | undefined, from: number, count: number): Value =>
    (key ?? '') === ''
      ? { name: query, order: 'token', part: { from: from * headDim, count: count * headDim } }
      : { name: name ?? '', order: 'token' };
  return {
    q: { ...of(query, 0, heads), ...rotation },
    k: { ...of(key, heads, kvHeads), ...rotation },
    v: of(value, heads + kvHeads, kvHeads),
  };
}

/** https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#commicrosoftmultiheadattention */
function matchMultiHead(view: View, node: OnnxNode, op: AttentionOp, step: Step): Attention | Mismatch {
  const { heads, kvHeads, headDim } = op;
  const scale = attribute(node, 'scale') ?? 0;
  const bias = node.inputs[5] ?? '';
  const isCausal = (attribute(node, 'unidirectional') ?? 0) !== 0;
  const wrong =
    checkNumbers(node, {
      'number of heads': [attribute(node, 'num_heads') ?? NaN, heads],
      scale: [scale === 0 ? 1 / Math.sqrt(headDim) : scale, op.scale],
    }) ??
    absentInput(node, 3, ['bias', 'key_padding_mask']) ??
    (bias === ''
      ? isCausal && op.slidingWindow === undefined
        ? undefined
        : { node, message: 'the attention has no mask', expected: 'unidirectional, or a causal attention_bias' }
      : checkMask(view, node, bias, 'added', op, step));
  if (wrong !== undefined) return wrong;
  const [query, key, value] = node.inputs;
  // A cache that the op joins by itself leaves the keys of this step alone.
  const keys = (node.inputs[6] ?? '') === '' ? step.past + step.tokens : step.tokens;
  const cached = (name: string): Value | Mismatch => {
    if (view.known(name).dims?.length === 4) return grouped(view, node, name, op, step.tokens, keys);
    if (heads === kvHeads && keys === step.tokens) return { name, order: 'token' };
    return {
      node,
      message: 'keys and values are repeated for their heads, or cached, in a way that Ingot does not read',
    };
  };
  const k = cached(key);
  const v = cached(value);
  if ('message' in k) return k;
  if ('message' in v) return v;
  return { q: { name: query, order: 'token' }, k, v };
}

/** https://onnx.ai/onnx/operators/onnx__Attention.html, of opset 23 */
function matchStandard(
  view: View,
  node: OnnxNode,
  op: AttentionOp,
  step: Step,
  order: Value['order'],
): Attention | Mismatch {
  const [query, key, value, mask = '', past = ''] = node.inputs;
  // With three axes heads lie beside each other; with four a head's tokens do.
  const isFlat = view.known(query).dims?.length === 3;
  if (op.heads > 1 && order !== (isFlat ? 'token' : 'head'))
    return { node, message: 'heads and tokens of the attention are not in the order that follows' };
  if (mask === '')
    return { node, message: 'the attention has no mask', expected: 'attn_mask: is_causal ignores what is cached' };
  const wrong =
    checkNumbers(node, {
      'number of heads': [attribute(node, 'q_num_heads') ?? op.heads, op.heads],
      'number of KV heads': [attribute(node, 'kv_num_heads') ?? op.kvHeads, op.kvHeads],
      scale: [attribute(node, 'scale') ?? 1 / Math.sqrt(op.headDim), op.scale],
      'soft cap of scores': [attribute(node, 'softcap') ?? 0, op.softcap ?? 0],
      'causal mask of its own': [attribute(node, 'is_causal') ?? 0, 0],
    }) ?? checkMask(view, node, mask, view.known(mask).type === BOOL ? 'kept' : 'added', op, step);
  if (wrong !== undefined) return wrong;
  const keys = past === '' ? step.past + step.tokens : step.tokens;
  const of = (name: string): Value | Mismatch =>
    isFlat && keys === step.tokens ? { name, order: 'token' } : grouped(view, node, name, op, step.tokens, keys);
  const [k, v] = [of(key), of(value)];
  if ('message' in k) return k;
  if ('message' in v) return v;
  return { q: { name: query, order: isFlat ? 'token' : headOrder(op.heads) }, k, v };
}

function matchDecomposed(view: View, product: OnnxNode, op: AttentionOp, step: Step): Attention | Mismatch {
  const keys = step.past + step.tokens;
  const softmaxName = ofGuard(view, view.strip(product.inputs[0]));
  const softmax = view.is(softmaxName, 'Softmax');
  const axis = softmax === undefined ? undefined : (attribute(softmax, 'axis') ?? -1);
  const rank = view.known(softmaxName).dims?.length ?? 0;
  if (softmax === undefined || (axis !== -1 && axis !== rank - 1))
    return { node: view.node(softmaxName) ?? product, message: 'this is no softmax over keys', expected: 'Softmax' };
  if (!hasDims(view, softmaxName, [op.heads, step.tokens, keys]))
    return {
      node: softmax,
      message: 'scores have other extents than the configuration asks for',
      expected: `[1, ${op.heads}, ${step.tokens}, ${keys}] for ${step.tokens} tokens behind ${step.past}`,
      found: `[${view.known(softmaxName).dims?.join(', ') ?? 'unknown'}]`,
    };
  const masked = matchMask(view, view.strip(softmax.inputs[0]), op, step);
  if ('message' in masked) return masked;
  const scores = peelScale(view, masked.scores);
  const dot = view.is(scores.name, 'MatMul');
  if (dot === undefined)
    return {
      node: view.node(scores.name) ?? softmax,
      message: 'this is no product of queries and keys',
      expected: 'MatMul',
    };
  const query = peelScale(view, dot.inputs[0]);
  const turned = peelScale(view, dot.inputs[1]);
  const transposed = exchanged(view, turned.name);
  if (transposed === undefined)
    return {
      node: view.node(turned.name) ?? dot,
      message: 'keys are not transposed',
      expected: 'Transpose of the last two axes',
    };
  const key = peelScale(view, transposed);
  const scale = scores.factor * query.factor * turned.factor * key.factor;
  if (differs(scale, op.scale))
    return {
      node: dot,
      message: 'scores are scaled otherwise than the configuration asks for',
      expected: String(op.scale),
      found: String(scale),
    };
  const k = grouped(view, dot, key.name, op, step.tokens, keys);
  const v = grouped(view, product, product.inputs[1], op, step.tokens, keys);
  if ('message' in k) return k;
  if ('message' in v) return v;
  return { q: { name: query.name, order: headOrder(op.heads) }, k, v };
}

/** Of one head, both orders are the same. */
const headOrder = (heads: number): Value['order'] => (heads === 1 ? 'token' : 'head');

/** x of Where(IsNaN(x), 0, x), which guards rows without any key. */
function ofGuard(view: View, name: string): string {
  const choice = view.is(name, 'Where');
  if (choice === undefined || view.scalar(choice.inputs[1]) !== 0) return name;
  const inner = view.strip(choice.inputs[2]);
  const guard = view.is(choice.inputs[0], 'IsNaN');
  return guard !== undefined && view.strip(guard.inputs[0]) === inner ? inner : name;
}

function matchMask(view: View, name: string, op: AttentionOp, step: Step): { scores: string } | Mismatch {
  const sum = view.is(name, 'Add');
  if (sum !== undefined) {
    const at = sum.inputs.findIndex((operand) => view.data(operand) !== undefined);
    const blame = sum.inputs.map((operand) => view.known(operand).blame).find((node) => node !== undefined);
    if (at < 0)
      return {
        node: blame ?? sum,
        message:
          blame === undefined ? 'neither operand is a mask' : 'the mask passes an op that Ingot does not evaluate',
        expected: 'a mask that does not depend on activations',
      };
    return checkMask(view, sum, sum.inputs[at], 'added', op, step) ?? { scores: view.strip(sum.inputs[1 - at]) };
  }
  const choice = view.is(name, 'Where');
  if (choice === undefined)
    return { node: view.node(name), message: 'scores have no mask', expected: 'Add of a causal mask, or Where' };
  const [condition, a, b] = choice.inputs;
  const isElse = view.data(b) !== undefined;
  const filler = view.scalar(isElse ? b : a);
  if (filler === undefined || filler > MASKED)
    return { node: choice, message: 'masked scores are not replaced by a very small number' };
  return (
    checkMask(view, choice, condition, isElse ? 'kept' : 'replaced', op, step) ?? { scores: view.strip(isElse ? a : b) }
  );
}

/** Every query sees the keys up to its own position, and no more of them than the window. */
function checkMask(
  view: View,
  node: OnnxNode,
  name: string,
  kind: 'added' | 'kept' | 'replaced',
  op: AttentionOp,
  step: Step,
): Mismatch | undefined {
  const { data, dims, blame } = view.known(name);
  const keys = step.past + step.tokens;
  if (data === undefined || dims === undefined)
    return { node: blame ?? node, message: 'the mask passes an op that Ingot does not evaluate' };
  const columns = dims.at(-1) ?? 1;
  const rows = dims.at(-2) ?? 1;
  if (![1, keys].includes(columns) || ![1, step.tokens].includes(rows))
    return {
      node,
      message: 'the mask has not an element for each query and key',
      expected: `[${step.tokens}, ${keys}]`,
      found: `[${dims.join(', ')}]`,
    };
  const { slidingWindow = Infinity } = op;
  const layers = data.length / (rows * columns);
  for (let layer = 0; layer < layers; layer++) {
    for (let query = 0; query < step.tokens; query++) {
      for (let key = 0; key < keys; key++) {
        const at = (layer * rows + (rows === 1 ? 0 : query)) * columns + (columns === 1 ? 0 : key);
        const position = step.past + query;
        const sees = key <= position && key > position - slidingWindow;
        const element = data[at];
        const has = kind === 'added' ? element === 0 : (element !== 0) === (kind === 'kept');
        const hides = kind === 'added' ? element <= MASKED : !has;
        if (sees ? has : hides) continue;
        return {
          node,
          message: 'the mask is not the causal one that the configuration asks for',
          expected: `the query at position ${position} ${sees ? 'sees' : 'does not see'} the key at ${key}`,
          found: `${element}`,
        };
      }
    }
  }
  return undefined;
}

/** Keys or values of this step, before they were put behind the cache and repeated for the heads that share them. */
function grouped(
  view: View,
  node: OnnxNode,
  name: string,
  op: AttentionOp,
  tokens: number,
  keys: number,
): Value | Mismatch {
  const { heads, kvHeads, headDim } = op;
  let at = view.strip(name);
  const wrong = (found: string, extents: readonly number[]): Mismatch => ({
    node: view.node(found) ?? node,
    message: 'keys or values have other extents than the configuration asks for',
    expected: `[${extents.join(', ')}]`,
    found: `[${view.known(found).dims?.join(', ') ?? 'unknown'}]`,
  });
  // Attention ops take shared heads as they are.
  if (kvHeads !== heads && !hasDims(view, at, [kvHeads, keys, headDim])) {
    const repeat = view.is(at, 'Expand');
    if (repeat === undefined || !hasDims(view, at, [kvHeads, heads / kvHeads, keys, headDim]))
      return wrong(at, [1, kvHeads, heads / kvHeads, keys, headDim]);
    at = view.strip(repeat.inputs[0]);
  }
  if (!hasDims(view, at, [kvHeads, keys, headDim])) return wrong(at, [1, kvHeads, keys, headDim]);
  const joined = view.is(at, 'Concat');
  if (
    joined !== undefined &&
    joined.inputs.length === 2 &&
    view.inputs.has(view.strip(joined.inputs[0])) &&
    keys !== tokens
  )
    at = joined.inputs[1];
  else if (keys !== tokens)
    return {
      node: view.node(at) ?? node,
      message: 'keys or values are not put behind cached ones',
      expected: 'Concat',
    };
  return { name: at, order: headOrder(kvHeads) };
}

function isPositions(view: View, name: string, step: Step): boolean {
  const data = view.data(name);
  return (
    data !== undefined &&
    (data.length === step.tokens
      ? data.every((p, i) => p === step.past + i)
      : data.length === 1 && data[0] === step.past)
  );
}

/** Positions at which a cache of cosines is looked at: all the first, then ever fewer. */
const CACHE_POSITIONS = Array.from({ length: 64 }, (_, i) => (i < 16 ? i : Math.round(16 * 1.25 ** (i - 15))));

/** Largest difference of a cosine, of angles that float32 holds to 2⁻²⁴ of their size. */
const cosineTolerance = (position: number, elementBytes: number): number =>
  (elementBytes === 2 ? 8e-3 : 2e-4) + position * 2 ** -22;

/** Of an angle whose frequency a converter rounded to float16, relative. Ingot turns by the frequencies of the configuration. */
const HALF_ERROR = 2 ** -11;

/** x of x turned by its position; pairs are (i, i + width / 2). */
export function matchRotation(view: View, value: Value, op: RopeOp, step: Step): Value | Mismatch {
  const { rotation, ...plain } = value;
  if (rotation !== undefined) return checkCaches(view, rotation.node, rotation.cos, rotation.sin, op) ?? plain;
  const { name, order } = view.canonical(value);
  const whole = view.is(name, 'com.microsoft.RotaryEmbedding', 'RotaryEmbedding');
  if (whole !== undefined) {
    const [x, ...rest] = whole.inputs;
    const [positions, cos, sin] = whole.op === 'RotaryEmbedding' ? [rest[2], rest[0], rest[1]] : rest;
    if (
      (attribute(whole, 'interleaved') ?? 0) !== 0 ||
      (attribute(whole, 'rotary_embedding_dim') ?? 0) % op.headDim !== 0
    )
      return { node: whole, message: 'the rotation turns other pairs than the configuration asks for' };
    if (whole.op === 'RotaryEmbedding' && (positions ?? '') === '') {
      const pairs = ropeInverseFrequencies(op.rope, op.headDim).length;
      const wrong =
        checkTable(view, whole, cos, Math.cos, pairs, op, step) ??
        checkTable(view, whole, sin, Math.sin, pairs, op, step);
      return wrong ?? { name: x, order };
    }
    if (!isPositions(view, positions ?? '', step))
      return { node: whole, message: 'the positions of the rotation are not those of the tokens' };
    return checkCaches(view, whole, cos, sin, op) ?? { name: x, order };
  }
  const sum = view.is(name, 'Add');
  const sides = sum?.inputs.map((side) => view.is(view.strip(side), 'Mul'));
  const [first, second] = sides ?? [];
  const none: Mismatch = {
    node: view.node(name),
    message: 'this is no rotation of halves',
    expected: 'x · cos + (-second half, first half) · sin',
  };
  if (first === undefined || second === undefined) return none;
  for (const [straight, crossed] of [
    [first, second],
    [second, first],
  ]) {
    const cosAt = straight.inputs.findIndex((operand) => view.data(operand) !== undefined);
    const sinAt = crossed.inputs.findIndex((operand) => view.data(operand) !== undefined);
    if (cosAt < 0 || sinAt < 0) continue;
    const x = view.strip(straight.inputs[1 - cosAt]);
    if (halvesOf(view, view.strip(crossed.inputs[1 - sinAt])) !== x) continue;
    const wrong =
      checkAngles(view, straight, straight.inputs[cosAt], Math.cos, op, step, x) ??
      checkAngles(view, crossed, crossed.inputs[sinAt], Math.sin, op, step, x);
    return wrong ?? { name: x, order };
  }
  const blame = [first, second]
    .flatMap(({ inputs }) => inputs)
    .map((operand) => view.known(operand).blame)
    .find((node) => node);
  return blame === undefined
    ? none
    : { node: blame, message: 'cosines and sines pass an op that Ingot does not evaluate' };
}

/** x of Concat(-x[half:], x[:half]). */
function halvesOf(view: View, name: string): string | undefined {
  const joined = view.is(name, 'Concat');
  if (joined?.inputs.length !== 2) return undefined;
  const negated = view.is(view.strip(joined.inputs[0]), 'Neg');
  if (negated === undefined) return undefined;
  const [upper, lower] = [view.strip(negated.inputs[0]), view.strip(joined.inputs[1])];
  const rank = view.known(name).dims?.length ?? 0;
  const axis = attribute(joined, 'axis') ?? 0;
  const split = view.is(upper, 'Split');
  if (axis !== -1 && axis !== rank - 1) return undefined;
  const width = view.known(name).dims?.at(-1);
  const half = [upper, lower].every((part) => view.known(part).dims?.at(-1) === (width ?? 0) / 2);
  if (!half) return undefined;
  if (split !== undefined)
    return split.outputs[1] === upper && split.outputs[0] === lower ? view.strip(split.inputs[0]) : undefined;
  const [from, to] = [view.is(upper, 'Slice'), view.is(lower, 'Slice')];
  if (from === undefined || to === undefined) return undefined;
  const starts = [from, to].map(({ inputs }) => view.scalar(inputs[1]));
  const isHalves = starts[0] === width! / 2 && starts[1] === 0;
  const x = view.strip(from.inputs[0]);
  return isHalves && view.strip(to.inputs[0]) === x ? x : undefined;
}

function checkAngles(
  view: View,
  node: OnnxNode,
  name: string,
  of: (angle: number) => number,
  op: RopeOp,
  step: Step,
  x: string,
): Mismatch | undefined {
  const { dims = [] } = view.known(name);
  const rank = view.known(x).dims?.length ?? 0;
  // Tokens lie on the axis of x that has their number and is not that of heads; cosines are the same for all heads.
  const axis = dims.findIndex((n, i) => n === step.tokens && i < dims.length - 1);
  const fromEnd = dims.length - axis;
  const isTokenAxis = axis >= 0 && view.known(x).dims?.[rank - fromEnd] === step.tokens;
  return isTokenAxis
    ? checkTable(view, node, name, of, op.headDim, op, step)
    : tableExtents(node, step.tokens, op.headDim, dims);
}

/** A row of cosines or sines for each token of the step; halves of a head are alike where a row has both. */
function checkTable(
  view: View,
  node: OnnxNode,
  name: string,
  of: (angle: number) => number,
  width: number,
  op: RopeOp,
  step: Step,
): Mismatch | undefined {
  const { data, dims = [], type } = view.known(name);
  const frequencies = ropeInverseFrequencies(op.rope, op.headDim);
  const magnitude = ropeMagnitude(op.rope);
  if (data === undefined || data.length !== step.tokens * width || dims.at(-1) !== width)
    return tableExtents(node, step.tokens, width, dims);
  const bytes = type === FLOAT ? 4 : 2;
  for (let row = 0; row < step.tokens; row++) {
    const position = step.past + row;
    for (let i = 0; i < width; i++) {
      const angle = position * frequencies[i % frequencies.length];
      const expected = magnitude * of(angle);
      const found = data[row * width + i];
      const ofHalves = bytes === 2 ? angle * HALF_ERROR : 0;
      if (Math.abs(found - expected) <= cosineTolerance(position, bytes) + ofHalves) continue;
      return rotationDiffers(node, position, i, expected, found);
    }
  }
  return undefined;
}

const tableExtents = (node: OnnxNode, tokens: number, width: number, found: readonly number[]): Mismatch => ({
  node,
  message: 'cosines or sines have not an element for each token and element of a head',
  expected: `[${tokens}, ${width}]`,
  found: `[${found.join(', ')}]`,
});

const rotationDiffers = (node: OnnxNode, position: number, i: number, expected: number, found: number): Mismatch => ({
  node,
  message: 'the rotation is not that of the theta and scaling of the configuration',
  expected: `${expected.toFixed(5)} for element ${i} of a head at position ${position}`,
  found: found.toFixed(5),
});

/** Tables [positions, pairs] of cosines and sines. */
function checkCaches(view: View, node: OnnxNode, cos: string, sin: string, op: RopeOp): Mismatch | undefined {
  const frequencies = ropeInverseFrequencies(op.rope, op.headDim);
  const magnitude = ropeMagnitude(op.rope);
  for (const [name, of] of [
    [cos, Math.cos],
    [sin, Math.sin],
  ] as const) {
    const { tensor, dims = [], data } = view.known(name);
    const [rows, pairs] = dims;
    if (dims.length !== 2 || pairs !== frequencies.length || (tensor === undefined && data === undefined))
      return {
        node,
        message: 'the table of a rotation is not a constant with a column for each pair',
        expected: `[positions, ${frequencies.length}]`,
        found: `[${dims.join(', ')}]`,
      };
    for (const position of CACHE_POSITIONS) {
      if (position >= rows) break;
      const row =
        data?.subarray(position * pairs, (position + 1) * pairs) ??
        readElements(tensor!, position * pairs, (position + 1) * pairs);
      const bytes = tensor === undefined ? 4 : typeOf(tensor).bytes;
      for (const [i, found] of row.entries()) {
        const expected = magnitude * of(position * frequencies[i]);
        if (Math.abs(found - expected) > cosineTolerance(position, bytes))
          return rotationDiffers(node, position, i, expected, found);
      }
    }
  }
  return undefined;
}

// Decoders as common exporters write them: in ops of ONNX alone (torch.onnx, optimum), or with the ops of ONNX Runtime
// (its model builder). Initializers are numbered, so that nothing can be found by name.
import {
  definitionOf,
  graphOf,
  ropeInverseFrequencies,
  ropeMagnitude,
  type Graph,
  type WeightSource,
} from '../src/model/index.ts';
import type { GqaShape, LlmShape } from '../src/spec/index.ts';
import { f16Bits } from './gguf-quantize.ts';
import {
  floats,
  int64s,
  types,
  writeOnnx,
  type AttributeValue,
  type ModelToWrite,
  type NodeToWrite,
  type TensorToWrite,
} from './onnx.ts';

export interface OnnxStyle {
  readonly ops: 'onnx' | 'onnxruntime';
  /** Query, key and value in one matrix, gate and up in another. */
  readonly fused?: boolean;
  /** Element type of matrices; blocks have zero points where `zeroPoints` says so. */
  readonly matrices?:
    | 'f32'
    | 'f16'
    | 'bf16'
    | 'gemm'
    | { readonly bits: 4 | 8; readonly block: number; readonly zeroPoints: boolean };
  /** Whether the head reads the embedding itself. */
  readonly tied?: boolean;
  /** Put the bytes of larger tensors into another file of this name. */
  readonly external?: string;
  /** Attention with heads that were repeated outside. */
  readonly multiHead?: boolean;
}

export interface WrittenOnnx {
  readonly model: ModelToWrite;
  readonly file: Uint8Array;
  /** Bytes of the other file. */
  readonly data: Uint8Array;
}

const MASKED = -3.4028234663852886e38;
const MICROSOFT = 'com.microsoft';
/** Smaller tensors stay in the model's file. */
const EXTERNAL_BYTES = 256;

/** @param shape of an architecture with grouped-query attention and a dense MLP */
export function modelOnnx(shape: LlmShape, weights: WeightSource, style: OnnxStyle): WrittenOnnx {
  const attention = shape.attention as GqaShape;
  const { heads, kvHeads, headDim } = attention;
  const nodes: NodeToWrite[] = [];
  const initializers: TensorToWrite[] = [];
  const isNative = style.ops === 'onnxruntime';
  let count = 0;

  const op = (
    type: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
    outputs = 1,
    domain?: string,
  ): string[] => {
    const names = Array.from({ length: outputs }, () => `v${count++}`);
    nodes.push({ op: type, inputs, outputs: names, attributes, ...(domain === undefined ? {} : { domain }) });
    return names;
  };
  const one = (
    type: string,
    inputs: readonly string[],
    attributes?: Readonly<Record<string, AttributeValue>>,
  ): string => op(type, inputs, attributes)[0];
  const initializer = (tensor: TensorToWrite): string => {
    const name = `t${initializers.length}`;
    initializers.push({ ...tensor, name });
    return name;
  };
  const number = (value: number): string => initializer(floats('', [], Float32Array.of(value)));
  const ints = (...values: number[]): string => initializer(int64s('', values));
  const vector = (name: string): string => {
    const values = weights.read(name);
    return initializer(floats('', [values.length], values));
  };
  const rowsOf = (names: readonly string[]): { values: Float32Array; n: number; k: number } => {
    const parts = names.map((name) => weights.read(name));
    const values = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      values.set(part, at);
      at += part.length;
    }
    const k = weights.shape(names[0])[1];
    return { values, n: values.length / k, k };
  };

  /** x · Wᵀ of the rows of some matrices, one below the other, with their biases. */
  const linear = (x: string, names: readonly string[]): string => {
    const { values, n, k } = rowsOf(names);
    const { matrices = 'f32' } = style;
    const biases = names.map((name) => name.replace(/weight$/, 'bias')).filter((name) => weights.has(name));
    const bias = biases.length === 0 ? undefined : Float32Array.from(biases.flatMap((name) => [...weights.read(name)]));
    const plus = (product: string): string =>
      bias === undefined ? product : one('Add', [initializer(floats('', [n], bias)), product]);
    if (typeof matrices === 'object') return plus(blocks(x, values, n, k, matrices));
    if (matrices === 'gemm') {
      const flat = one('Reshape', [x, ints(-1, k)]);
      const inputs = [
        flat,
        initializer(floats('', [n, k], values)),
        ...(bias === undefined ? [] : [initializer(floats('', [n], bias))]),
      ];
      return one('Reshape', [one('Gemm', inputs, { transB: 1 }), ints(1, -1, n)]);
    }
    const turned = Float32Array.from(values, (_, at) => values[(at % n) * k + Math.floor(at / n)]);
    if (matrices === 'f32') return plus(one('MatMul', [x, initializer(floats('', [k, n], turned))]));
    const bits =
      matrices === 'f16'
        ? Uint16Array.from(turned, f16Bits)
        : Uint16Array.from(new Uint32Array(turned.buffer), (b) => b >>> 16);
    const type = matrices === 'f16' ? types.float16 : types.bfloat16;
    const stored = initializer({ name: '', type, dims: [k, n], bytes: new Uint8Array(bits.buffer) });
    return plus(one('MatMul', [x, one('Cast', [stored], { to: types.float })]));
  };

  const blocks = (
    x: string,
    values: Float32Array,
    n: number,
    k: number,
    { bits, block, zeroPoints }: { bits: 4 | 8; block: number; zeroPoints: boolean },
  ): string => {
    const perRow = Math.ceil(k / block);
    const perByte = 8 / bits;
    const packed = new Uint8Array((n * perRow * block) / perByte);
    const scales = new Float32Array(n * perRow);
    const zeroRow = Math.ceil(perRow / perByte);
    const zeros = new Uint8Array(n * zeroRow);
    const top = 2 ** bits - 1;
    for (let at = 0; at < n * perRow; at++) {
      const row = Math.floor(at / perRow);
      const begin = (at % perRow) * block;
      const run = values.subarray(row * k + begin, row * k + Math.min(k, begin + block));
      const [low, high] = [Math.min(0, ...run), Math.max(0, ...run)];
      const most = Math.max(high, -low);
      const scale = zeroPoints ? (high - low) / top : (2 * most) / top;
      const zero = zeroPoints ? Math.min(top, Math.max(0, Math.round(-low / scale))) : 2 ** (bits - 1);
      scales[at] = scale;
      zeros[row * zeroRow + Math.floor((at % perRow) / perByte)] |= zero << (bits * ((at % perRow) % perByte));
      for (const [i, value] of run.entries()) {
        const q = Math.min(top, Math.max(0, Math.round(value / scale) + zero));
        packed[Math.floor((at * block + i) / perByte)] |= q << (bits * (i % perByte));
      }
    }
    const inputs = [
      x,
      initializer({ name: '', type: types.uint8, dims: [n, perRow, (block * bits) / 8], bytes: packed }),
      initializer(floats('', [n * perRow], scales)),
      ...(zeroPoints ? [initializer({ name: '', type: types.uint8, dims: [zeros.length], bytes: zeros })] : []),
    ];
    return op('MatMulNBits', inputs, { K: k, N: n, bits, block_size: block, accuracy_level: 1 }, 1, MICROSOFT)[0];
  };

  const norm = (x: string, weight: string): string => {
    if (isNative)
      return one('SimplifiedLayerNormalization', [x, vector(weight)], {
        axis: -1,
        epsilon: { float: shape.normEps },
        stash_type: 1,
      });
    const wide = one('Cast', [x], { to: types.float });
    const mean = one('ReduceMean', [one('Pow', [wide, number(2)])], { axes: [-1] });
    const root = one('Sqrt', [one('Add', [mean, number(shape.normEps)])]);
    const normed = one('Mul', [wide, one('Div', [number(1), root])]);
    return one('Mul', [vector(weight), one('Cast', [normed], { to: types.float })]);
  };
  /** The sum, and its norm. */
  const addAndNorm = (a: string, b: string, weight: string): readonly [string, string] => {
    if (!isNative) {
      const sum = one('Add', [a, b]);
      return [sum, norm(sum, weight)];
    }
    const outputs = op(
      'SkipSimplifiedLayerNormalization',
      [a, b, vector(weight)],
      { epsilon: { float: shape.normEps } },
      4,
      MICROSOFT,
    );
    // The two between are only for training.
    nodes[nodes.length - 1] = { ...nodes[nodes.length - 1], outputs: [outputs[0], '', '', outputs[3]] };
    return [outputs[3], outputs[0]];
  };

  const at = (value: string, axis: number): string =>
    one('Gather', [one('Shape', [value]), initializer(int64s('', [axis], []))], { axis: 0 });
  const total = at('attention_mask', 1);
  const frequencies = ropeInverseFrequencies(shape.rope, headDim);
  const magnitude = ropeMagnitude(shape.rope);
  const isDecomposed = !isNative || style.multiHead === true;
  const shared = isDecomposed ? decomposedShared() : nativeShared();

  function decomposedShared(): Record<string, string> {
    const tokens = at('input_ids', 1);
    const zero = initializer(int64s('', [0], []));
    const unit = initializer(int64s('', [1], []));
    const keys = one('Range', [zero, total, unit]);
    const positions = one('Unsqueeze', [one('Range', [one('Sub', [total, tokens]), total, unit]), ints(1)]);
    let hidden = one('Greater', [keys, positions]);
    if (attention.slidingWindow !== undefined) {
      const bound = one('Sub', [positions, ints(attention.slidingWindow)]);
      hidden = one('Or', [hidden, one('LessOrEqual', [keys, bound])]);
    }
    const causal = one('Mul', [one('Cast', [hidden], { to: types.float }), number(MASKED)]);
    const padding = one('Unsqueeze', [one('Equal', ['attention_mask', zero]), ints(1, 2)]);
    const mask = one('Where', [padding, number(MASKED), one('Unsqueeze', [causal, ints(0, 1)])]);
    const places = one('Cast', [one('Unsqueeze', ['position_ids', ints(1)])], { to: types.float });
    const table = initializer(floats('', [1, frequencies.length, 1], Float32Array.from(frequencies)));
    const angles = one('Transpose', [one('MatMul', [table, places])], { perm: [0, 2, 1] });
    const both = one('Concat', [angles, angles], { axis: -1 });
    const turn = (kind: 'Cos' | 'Sin'): string =>
      one('Unsqueeze', [one('Mul', [one(kind, [both]), number(magnitude)]), ints(1)]);
    return { mask, cos: turn('Cos'), sin: turn('Sin') };
  }

  function nativeShared(): Record<string, string> {
    const sum = one('ReduceSum', ['attention_mask', ints(1)], { keepdims: 0 });
    const lengths = one('Cast', [one('Sub', [sum, ints(1)])], { to: 6 });
    const table = (of: (angle: number) => number): string =>
      initializer(
        floats(
          '',
          [shape.maxContext, frequencies.length],
          Float32Array.from(
            { length: shape.maxContext * frequencies.length },
            (_, i) => magnitude * of(Math.floor(i / frequencies.length) * frequencies[i % frequencies.length]),
          ),
        ),
      );
    return { lengths, total: one('Cast', [total], { to: 6 }), cos: table(Math.cos), sin: table(Math.sin) };
  }

  const rotate = (x: string): string => {
    const half = headDim / 2;
    const upper = one('Slice', [x, ints(half), ints(Number.MAX_SAFE_INTEGER), ints(3)]);
    const lower = one('Slice', [x, ints(0), ints(half), ints(3)]);
    const crossed = one('Concat', [one('Neg', [upper]), lower], { axis: -1 });
    return one('Add', [one('Mul', [x, shared['cos']]), one('Mul', [crossed, shared['sin']])]);
  };
  const repeated = (x: string): string => {
    if (heads === kvHeads) return x;
    const dims = one('Concat', [ints(1, kvHeads, heads / kvHeads), one('Unsqueeze', [total, ints(0)]), ints(headDim)], {
      axis: 0,
    });
    return one('Reshape', [one('Expand', [one('Unsqueeze', [x, ints(2)]), dims]), ints(1, heads, -1, headDim)]);
  };

  const outputs: ModelToWrite['outputs'][number][] = [
    { name: 'logits', type: types.float, dims: [1, 'tokens', shape.vocab] },
  ];
  const inputs: ModelToWrite['inputs'][number][] = [
    { name: 'input_ids', type: types.int64, dims: [1, 'tokens'] },
    { name: 'attention_mask', type: types.int64, dims: [1, 'total'] },
  ];
  if (isDecomposed) inputs.push({ name: 'position_ids', type: types.int64, dims: [1, 'tokens'] });

  const attend = (x: string, layer: number): string => {
    const prefix = `model.layers.${layer}.self_attn`;
    const past = ['key', 'value'].map((part) => `past_key_values.${layer}.${part}`);
    const present = ['key', 'value'].map((part) => `present.${layer}.${part}`);
    for (const name of past) inputs.push({ name, type: types.float, dims: [1, kvHeads, 'past', headDim] });
    for (const name of present) outputs.push({ name, type: types.float, dims: [1, kvHeads, 'total', headDim] });
    const names = ['q', 'k', 'v'].map((part) => `${prefix}.${part}_proj.weight`);
    const sizes = [heads, kvHeads, kvHeads].map((n) => n * headDim);
    let parts: string[];
    if (style.fused !== true) parts = names.map((name) => linear(x, [name]));
    else {
      const whole = linear(x, names);
      if (isNative && !isDecomposed && !attention.qkNorm) parts = [whole, '', ''];
      else parts = op('Split', [whole, ints(...sizes)], { axis: -1 }, 3);
    }
    if (isNative && attention.qkNorm) {
      // As the model builder does: every head a row of its own.
      parts = parts.map((part, i) => {
        if (i === 2) return part;
        const rows = one('Reshape', [part, ints(1, -1, headDim)]);
        return one('Reshape', [norm(rows, `${prefix}.${'qk'[i]}_norm.weight`), ints(1, -1, sizes[i])]);
      });
    }
    if (!isDecomposed) {
      const attributes = {
        num_heads: heads,
        kv_num_heads: kvHeads,
        do_rotary: 1,
        ...(attention.slidingWindow === undefined ? {} : { local_window_size: attention.slidingWindow }),
      };
      const all = [...parts, ...past, shared['lengths'], shared['total'], shared['cos'], shared['sin']];
      const [out] = op('GroupQueryAttention', all, attributes, 3, MICROSOFT);
      nodes[nodes.length - 1] = { ...nodes[nodes.length - 1], outputs: [out, ...present] };
      return linear(out, [`${prefix}.o_proj.weight`]);
    }
    const perHead = parts.map((part, i) => {
      const split = one('Reshape', [part, ints(1, -1, i === 0 ? heads : kvHeads, headDim)]);
      const isNormed = !isNative && attention.qkNorm && i < 2;
      return one('Transpose', [isNormed ? norm(split, `${prefix}.${'qk'[i]}_norm.weight`) : split], {
        perm: [0, 2, 1, 3],
      });
    });
    const query = rotate(perHead[0]);
    const cached = [rotate(perHead[1]), perHead[2]].map((part, i) => {
      nodes.push({ op: 'Concat', inputs: [past[i], part], outputs: [present[i]], attributes: { axis: 2 } });
      return repeated(present[i]);
    });
    let mixed: string;
    if (style.multiHead === true) {
      const flat = one('Reshape', [one('Transpose', [query], { perm: [0, 2, 1, 3] }), ints(1, -1, heads * headDim)]);
      mixed = op(
        'MultiHeadAttention',
        [flat, ...cached, '', '', shared['mask']],
        { num_heads: heads },
        1,
        MICROSOFT,
      )[0];
    } else {
      const scores = one('MatMul', [query, one('Transpose', [cached[0]], { perm: [0, 1, 3, 2] })]);
      const scaled = one('Add', [one('Div', [scores, number(Math.sqrt(headDim))]), shared['mask']]);
      const heights = one('MatMul', [one('Softmax', [scaled], { axis: -1 }), cached[1]]);
      mixed = one('Reshape', [one('Transpose', [heights], { perm: [0, 2, 1, 3] }), ints(1, -1, heads * headDim)]);
    }
    return linear(mixed, [`${prefix}.o_proj.weight`]);
  };

  const gated = (x: string, layer: number): string => {
    const prefix = `model.layers.${layer}.mlp`;
    const names = ['gate', 'up'].map((part) => `${prefix}.${part}_proj.weight`);
    const [gate, up] =
      style.fused === true ? op('Split', [linear(x, names)], { axis: -1 }, 2) : names.map((name) => linear(x, [name]));
    const active = isNative
      ? op('QuickGelu', [gate], { alpha: { float: 1 } }, 1, MICROSOFT)[0]
      : one('Mul', [gate, one('Sigmoid', [gate])]);
    return linear(one('Mul', [active, up]), [`${prefix}.down_proj.weight`]);
  };

  const embedding = initializer(floats('', [shape.vocab, shape.hidden], weights.read('model.embed_tokens.weight')));
  let x = one('Gather', [embedding, 'input_ids']);
  let normed = norm(x, 'model.layers.0.input_layernorm.weight');
  for (let layer = 0; layer < shape.layers; layer++) {
    const attn = attend(normed, layer);
    [x, normed] = addAndNorm(x, attn, `model.layers.${layer}.post_attention_layernorm.weight`);
    const next = layer + 1 === shape.layers ? 'model.norm.weight' : `model.layers.${layer + 1}.input_layernorm.weight`;
    [x, normed] = addAndNorm(x, gated(normed, layer), next);
  }
  const logits =
    style.tied === true
      ? one('MatMul', [normed, one('Transpose', [embedding], { perm: [1, 0] })])
      : linear(normed, [shape.tiedEmbeddings ? 'model.embed_tokens.weight' : 'lm_head.weight']);
  nodes.push({ op: 'Identity', inputs: [logits], outputs: ['logits'] });

  let length = 0;
  const beside: Uint8Array[] = [];
  const placed = initializers.map((tensor) => {
    if (style.external === undefined || tensor.bytes.length < EXTERNAL_BYTES) return tensor;
    const offset = length;
    beside.push(tensor.bytes);
    length += tensor.bytes.length;
    return { ...tensor, external: { location: style.external, offset } };
  });
  const model: ModelToWrite = { nodes, initializers: placed, inputs, outputs };
  return { model, file: writeOnnx(model), data: new Uint8Array(beside.flatMap((bytes) => [...bytes])) };
}

/** Every op of a graph that reads weights, for tests of what is found. */
export const weightNames = (shape: LlmShape): string[] => {
  const graph: Graph = graphOf(shape);
  return [...graph.prologue, ...graph.layers.flat(), ...graph.epilogue].flatMap((op) =>
    definitionOf(op)
      .weights(op)
      .map(({ name }) => name),
  );
};

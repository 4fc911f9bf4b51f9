// One decode layer for one token, as one program.

import { fail } from '../../../core/index.ts';
import { definitionOf, graphOf } from '../../../model/index.ts';
import { groupedQueries, mixtureOfExperts, type MoeShape } from '../../../spec/index.ts';
import { groupSize, layerReference, lowerLayer, type LayerSpec, type Tensors } from '../../../wafer/index.ts';
import { publishedGroup } from '../published-layer.ts';
import type { Point } from '../point.ts';
import { tensor, unitRoundoff, type KernelEntry } from './kernel-case.ts';

/** Roundings of some ten operations in a row, and of sums whose terms are larger than they: see the layer's own test. */
const UNITS = 64;

/** Of scores in Gemma 2 (arXiv 2408.00118, section 2). */
const GEMMA_CAP = 50;

const even = (n: number): number => 2 * Math.ceil(n / 2);

export const decodeLayer: KernelEntry = {
  id: 'decode-layer',
  about:
    'one decode layer: norm, q k v, rotation, attention over a distributed cache, output, norm, gated MLP, residual sums; ' +
    'one two-level tree along each axis does all sums',
  sizes: {
    hidden: {
      about: 'width of the model (default: 8 per PE of the longer side)',
      max: 32_768,
      otherwise: ({ width, height }) => 8 * Math.max(width, height),
    },
    ffn: {
      about: 'width of the MLP (default: 3.5 times the model)',
      max: 131_072,
      otherwise: (_, { hidden }) => Math.ceil(3.5 * hidden),
    },
    context: {
      about: 'positions of the sequence (default: 8 per row)',
      max: 131_072,
      otherwise: ({ height }) => 8 * height,
    },
    heads: { about: 'heads (default: 1, as in the published rows)', max: 1024, otherwise: () => 1 },
    'kv-heads': { about: 'heads of keys and values (default: as many)', max: 1024, otherwise: (_, { heads }) => heads },
    'head-dim': {
      about: 'width of a head, even (default: that of the model over the heads)',
      max: 32_768,
      otherwise: (_, { hidden, heads }) => even(hidden / heads),
    },
    window: {
      about: 'positions that are seen at most (default: all)',
      max: 131_072,
      otherwise: (_, { context }) => context,
    },
    experts: {
      about: 'experts in place of the MLP, each as wide (default: 1, the MLP itself)',
      max: 512,
      otherwise: () => 1,
    },
    'active-experts': {
      about: 'experts that the token passes (default: 2)',
      max: 512,
      otherwise: (_, { experts }) => Math.min(2, experts),
    },
    group: {
      about: "PEs per group of the trees (default: as published for the mesh, else the square root of a column's)",
      max: 10_000,
      otherwise: (mesh) => publishedGroup(mesh) ?? groupSize(mesh.height),
    },
  },
  switches: {
    append: 'the token enters the cache, balanced by shifts',
    gelu: 'the tanh form of GELU instead of SiLU',
    'head-norms': 'queries and keys are normed head by head, as in Qwen3',
    softcap: 'scores have a soft cap of 50, as in Gemma 2',
    sinks: 'each head has a sink, as in gpt-oss',
  },
  elements(point) {
    const { hidden, ffn, context, heads, 'kv-heads': kv, 'head-dim': dim, experts } = point.sizes;
    return (
      hidden * (2 * (heads + kv) * dim + 3 * ffn * experts) + 2 * context * kv * dim + 500 * point.width * point.height
    );
  },
  build(point, wafer) {
    const { width, height, type, sizes, switches = [] } = point;
    const spec: LayerSpec = {
      ops: opsOf(point),
      width,
      height,
      type,
      context: sizes['context'],
      append: switches.includes('append'),
      group: () => sizes['group'],
    };
    const tensors = tensorsOf(spec, point);
    let outcome: { readonly values: Float32Array; readonly error: number } | undefined;
    const find = () => {
      const values = layerReference(spec, tensors);
      const largest = values.reduce((most, v) => Math.max(most, Math.abs(v)), 1);
      return { values, error: UNITS * unitRoundoff[type] * largest };
    };
    return {
      kernel: lowerLayer(spec, wafer),
      tensors,
      outcomes: sizes['hidden'],
      expected: (i) => {
        outcome ??= find();
        return { value: outcome.values[i], error: outcome.error };
      },
    };
  },
};

function opsOf({ sizes, switches = [] }: Point): LayerSpec['ops'] {
  const { hidden, ffn, context, heads, 'kv-heads': kvHeads, 'head-dim': headDim, experts } = sizes;
  const { layers } = graphOf({
    arch: experts > 1 ? 'mixtral' : 'llama',
    hidden,
    layers: 1,
    vocab: 1,
    maxContext: context,
    normEps: 1e-5,
    layerNorms: 2,
    rope: { theta: 10_000 },
    tiedEmbeddings: true,
    attention: groupedQueries(heads, kvHeads, headDim, { qkNorm: switches.includes('head-norms') }),
    mlp: experts > 1 ? mixtureOf(sizes) : { kind: 'dense', ffn },
  });
  return layers[0].map((op) => {
    if ((op.kind === 'glu' || op.kind === 'moe') && switches.includes('gelu'))
      return { ...op, activation: 'gelu-tanh' };
    if (op.kind !== 'attention') return op;
    return {
      ...op,
      ...(sizes['window'] < context ? { slidingWindow: sizes['window'] } : {}),
      ...(switches.includes('softcap') ? { softcap: GEMMA_CAP } : {}),
      ...(switches.includes('sinks') ? { sinks: 'sinks' } : {}),
    };
  });
}

/** As in Mixtral (arXiv 2401.04088, section 2.1): the shares of the chosen experts sum to 1. */
function mixtureOf({ ffn, experts, 'active-experts': activeExperts }: Point['sizes']): MoeShape {
  if (activeExperts > experts)
    fail({
      code: 'LAYER_SHAPE',
      message: `${activeExperts} of ${experts} experts are to be active`,
      expected: 'at most as many as there are',
    });
  return mixtureOfExperts(experts, activeExperts, ffn);
}

/** Values about 1, and matrices that keep them so: by a power of two near 1.7 / sqrt(k), which every type holds. */
function tensorsOf({ ops, context }: LayerSpec, point: Point): Tensors {
  const { hidden, 'kv-heads': kvHeads, 'head-dim': headDim } = point.sizes;
  const cache = context * kvHeads * headDim;
  const weights = ops.flatMap((op) =>
    definitionOf(op)
      .weights(op)
      .map(({ name, shape }): [string, Float32Array] => {
        const length = shape.reduce((n, extent) => n * extent, 1);
        if (shape.length === 1) return [name, tensor(length, point, name, 1 / 2).map((v) => 1 + v)];
        const scale = 2 ** Math.round(Math.log2(1.7 / Math.sqrt(shape[shape.length - 1])));
        return [name, tensor(length, point, name, scale)];
      }),
  );
  return {
    x: tensor(hidden, point, 'x'),
    cacheK: tensor(cache, point, 'cacheK'),
    cacheV: tensor(cache, point, 'cacheV'),
    ...Object.fromEntries(weights),
  };
}

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { priceSequence, simulate } from '../../sim/index.ts';
import { definitionOf, graphOf, type GluOp, type Op } from '../../model/index.ts';
import type { LlmShape } from '../../spec/index.ts';
import { groupSize } from '../index.ts';
import { held } from '../kernel/lower/exponential.ts';
import type { Tensors } from '../kernel/lower/lowering.ts';
import { normals, runLowered, wse2 } from '../kernel/testing/run-lowered.ts';
import { layerReference } from './layer-reference.ts';
import { lowerLayer, type LayerSpec } from './lower-layer.ts';

interface Shape {
  readonly hidden: number;
  readonly ffn: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly bias?: boolean;
  readonly activation?: GluOp['activation'];
  readonly headNorms?: boolean;
  /** Norms behind attention and MLP too. */
  readonly norms?: 2 | 4;
  readonly softcap?: number;
  readonly window?: number;
  readonly sinks?: boolean;
  /** Experts in place of the MLP, `ffn` wide. */
  readonly experts?: {
    readonly all: number;
    readonly active: number;
    readonly bias: boolean;
    readonly normalize: boolean;
  };
}

function mlpOf({ ffn, experts }: Shape): LlmShape['mlp'] {
  if (experts === undefined) return { kind: 'dense', ffn };
  const { all, active, bias, normalize } = experts;
  return {
    kind: 'moe',
    experts: all,
    activeExperts: active,
    expertFfn: ffn,
    sharedExperts: 0,
    sharedFfn: 0,
    denseLayers: 0,
    denseFfn: 0,
    routing: { score: 'softmax', normalize, scale: 1, ...(bias ? { bias: 'logits' as const } : {}) },
    expertBias: bias,
  };
}

function opsOf(shape: Shape): readonly Op[] {
  const { hidden, heads, kvHeads, headDim, bias = false, headNorms = false, norms = 2 } = shape;
  const { layers } = graphOf({
    arch: shape.experts === undefined ? 'llama' : 'mixtral',
    hidden,
    layers: 1,
    vocab: 1,
    maxContext: 4096,
    normEps: 1e-5,
    layerNorms: norms,
    rope: { theta: 10_000 },
    tiedEmbeddings: true,
    attention: { kind: 'gqa', heads, kvHeads, headDim, qkvBias: bias, outBias: bias, qkNorm: headNorms },
    mlp: mlpOf(shape),
  });
  const { activation = 'silu', softcap, window, sinks = false } = shape;
  return layers[0].map((op) => {
    if (op.kind === 'glu' || op.kind === 'moe') return { ...op, activation };
    if (op.kind !== 'attention') return op;
    return {
      ...op,
      ...(softcap === undefined ? {} : { softcap }),
      ...(window === undefined ? {} : { slidingWindow: window }),
      ...(sinks ? { sinks: 'sinks' } : {}),
    };
  });
}

/** Values about 1, and matrices that keep them so. */
function tensorsOf({ ops, type, context }: LayerSpec, { hidden, kvHeads, headDim }: Shape, seed: number): Tensors {
  let label = 0;
  const draw = (length: number, scale: number, shift = 0): Float64Array =>
    normals(length, seed + 10_000 * label++).map((v) => held(shift + scale * v, type));
  const weights = ops.flatMap((op) =>
    definitionOf(op)
      .weights(op)
      .map(({ name, shape }): [string, Float64Array] => [
        name,
        shape.length === 1
          ? draw(shape[0], op.kind === 'attention' ? 1 : 0.1, op.kind === 'rmsnorm' ? 1 : 0)
          : draw(shape[0] * shape[1], shape[1] ** -0.5),
      ]),
  );
  const cache = context * kvHeads * headDim;
  return { x: draw(hidden, 1), cacheK: draw(cache, 1), cacheV: draw(cache, 1), ...Object.fromEntries(weights) };
}

/** Heads that divide the PEs, or PEs the heads, or neither. */
const shapes = fc
  .record({
    width: fc.integer({ min: 1, max: 9 }),
    height: fc.integer({ min: 1, max: 9 }),
    kvHeads: fc.integer({ min: 1, max: 4 }),
    queries: fc.integer({ min: 1, max: 3 }),
    pairs: fc.integer({ min: 1, max: 9 }),
    hidden: fc.integer({ min: 4, max: 40 }),
    ffn: fc.integer({ min: 1, max: 40 }),
    context: fc.integer({ min: 1, max: 30 }),
    append: fc.boolean(),
    bias: fc.boolean(),
    activation: fc.constantFrom('silu' as const, 'gelu-tanh' as const, 'clamped-silu' as const),
    headNorms: fc.boolean(),
    norms: fc.constantFrom(2 as const, 4 as const),
    softcap: fc.option(fc.constantFrom(2, 5), { nil: undefined }),
    window: fc.option(fc.integer({ min: 1, max: 20 }), { nil: undefined }),
    sinks: fc.boolean(),
    experts: fc.option(
      fc.record({
        all: fc.integer({ min: 3, max: 7 }),
        active: fc.integer({ min: 1, max: 3 }),
        bias: fc.boolean(),
        normalize: fc.boolean(),
      }),
      { nil: undefined },
    ),
    type: fc.constantFrom('fp32' as const, 'fp16' as const),
    group: fc.integer({ min: 1, max: 5 }),
    seed: fc.nat(1000),
  })
  // What a PE's SRAM holds: code is written out for every element of a tile.
  .filter(
    ({ width, height, kvHeads, queries, pairs, hidden, ffn }) =>
      hidden <= 12 * height && ffn <= 12 * width && kvHeads * queries * pairs <= 12 * width,
  )
  .map(({ width, height, kvHeads, queries, pairs, context, append, type, group, seed, ...rest }) => {
    const shape: Shape = { ...rest, kvHeads, heads: kvHeads * queries, headDim: 2 * pairs };
    const spec: LayerSpec = { ops: opsOf(shape), width, height, type, context, append, group: () => group };
    return { shape, spec, seed };
  });

/** Half a unit in the last place. */
const unit = { fp32: 2 ** -24, fp16: 2 ** -11 } as const;

describe('decode layer', () => {
  it('is the layer of the reference, and takes the cycles of its closed form within 5 %', () => {
    fc.assert(
      fc.property(shapes, ({ shape, spec, seed }) => {
        const tensors = tensorsOf(spec, shape, seed);
        const { values, cycles, priced } = runLowered(lowerLayer(spec, wse2), tensors, seed);
        const expected = layerReference(spec, tensors);
        const largest = expected.reduce((most, v) => Math.max(most, Math.abs(v)), 1);
        // Roundings of some ten operations in a row, and of sums whose terms are larger than they; measured: 15 units.
        values.forEach((v, i) => expect(Math.abs(v - expected[i])).toBeLessThanOrEqual(64 * unit[spec.type] * largest));
        expect(Math.abs(cycles / priced - 1)).toBeLessThan(0.05);
      }),
      { numRuns: 8 },
    );
  });

  /** Simulated cycles over those of the closed form, less 1. */
  function beyond(shape: Shape, spec: Omit<LayerSpec, 'ops'>): number {
    const { program, phases } = lowerLayer({ ...spec, ops: opsOf(shape) }, wse2);
    const { colors, reservedColors } = wse2;
    expect(new Set(program.routes.map(({ color }) => color)).size).toBeLessThanOrEqual(colors - reservedColors);
    return simulate(program, wse2).cycles / priceSequence(phases, wse2) - 1;
  }

  it('takes its closed form within 5 % on any mesh', () => {
    const larger = fc.record({
      mesh: fc.record({ width: fc.integer({ min: 1, max: 18 }), height: fc.integer({ min: 1, max: 18 }) }),
      kvHeads: fc.integer({ min: 1, max: 8 }),
      queries: fc.integer({ min: 1, max: 4 }),
      pairs: fc.integer({ min: 1, max: 24 }),
      perRow: fc.integer({ min: 1, max: 12 }),
      perColumn: fc.integer({ min: 1, max: 24 }),
      more: fc.nat(17),
      positions: fc.integer({ min: 1, max: 100 }),
      append: fc.boolean(),
      type: fc.constantFrom('fp32' as const, 'fp16' as const),
      group: fc.option(fc.integer({ min: 1, max: 9 }), { nil: undefined }),
    });
    fc.assert(
      fc.property(
        larger.filter(({ mesh, kvHeads, queries, pairs }) => kvHeads * queries * pairs <= 16 * mesh.width),
        ({ mesh, kvHeads, queries, pairs, perRow, perColumn, more, positions, append, type, group }) => {
          const hidden = perRow * mesh.height + (more % mesh.height);
          const ffn = perColumn * mesh.width + (more % mesh.width);
          const shape = { hidden, ffn, kvHeads, heads: kvHeads * queries, headDim: 2 * pairs };
          const spec = {
            ...mesh,
            type,
            context: positions,
            append,
            group: group === undefined ? groupSize : () => group,
          };
          expect(Math.abs(beyond(shape, spec))).toBeLessThan(0.05);
        },
      ),
      { numRuns: 10 },
    );
  });

  const llama: Shape = { hidden: 128, ffn: 448, heads: 8, kvHeads: 2, headDim: 16 };
  it.each<[name: string, mesh: string, shape: Partial<Shape>, more: Partial<LayerSpec>]>([
    ['two heads on a mesh that they divide', '16x12', { headDim: 32 }, {}],
    ['one head as wide as the model', '12x12', { heads: 1, kvHeads: 1, headDim: 120, hidden: 120 }, {}],
    ['8 heads of keys and values on 10 columns', '10x12', { heads: 16, kvHeads: 8 }, {}],
    ['8 heads of keys and values on 5 columns', '5x12', { heads: 8, kvHeads: 8, headDim: 8 }, { append: true }],
    ['8 heads of 46 on 23 columns', '23x6', { heads: 8, kvHeads: 8, headDim: 46, hidden: 60 }, {}],
    ['primes', '13x17', { hidden: 131, ffn: 337, heads: 3, kvHeads: 3, headDim: 22 }, { append: true }],
    ['an MLP that divides nothing', '16x16', { ffn: 257 }, {}],
    ['one row', '16x1', { hidden: 20, ffn: 64, headDim: 8 }, { context: 9 }],
    ['one column', '1x16', { ffn: 20, heads: 2, kvHeads: 1, headDim: 8 }, {}],
    ['fewer channels than rows', '8x20', { hidden: 7, headDim: 4 }, { append: true }],
    ['fewer channels in the MLP than columns', '20x8', { hidden: 64, ffn: 11 }, {}],
    ['the first token', '12x12', {}, { context: 1, append: true }],
    ['fewer positions than rows', '12x16', {}, { context: 7, append: true }],
    ['a full window', '12x12', { window: 30 }, { context: 300, append: true }],
    ['a soft cap, norms on both sides, tanh-GELU', '12x12', { softcap: 50, norms: 4, activation: 'gelu-tanh' }, {}],
    ['norms of heads', '12x12', { headNorms: true, headDim: 24 }, { append: true }],
    ['sinks, biases, the clamped unit', '12x12', { sinks: true, bias: true, activation: 'clamped-silu' }, {}],
    ['fp32', '12x12', { headDim: 12 }, { type: 'fp32' }],
    ['8 experts, two active', '12x12', { ffn: 48, experts: { all: 8, active: 2, bias: false, normalize: true } }, {}],
    [
      'more columns than experts',
      '16x4',
      { hidden: 32, ffn: 32, headDim: 8, experts: { all: 5, active: 3, bias: true, normalize: false } },
      {},
    ],
    [
      'as many experts active as there are',
      '5x7',
      { hidden: 40, ffn: 21, headDim: 8, experts: { all: 3, active: 3, bias: false, normalize: true } },
      { append: true },
    ],
  ])('takes its closed form within 5 %: %s (%s)', (_, mesh, shape, more) => {
    const [width, height] = mesh.split('x').map(Number);
    const spec = { width, height, type: 'fp16', context: 5 * height + 1, append: false, group: groupSize } as const;
    expect(Math.abs(beyond({ ...llama, ...shape }, { ...spec, ...more }))).toBeLessThan(0.05);
  });

  it('refuses what it has no stages for', () => {
    const shape: Shape = { hidden: 16, ffn: 16, heads: 2, kvHeads: 2, headDim: 8 };
    const spec: LayerSpec = {
      ops: opsOf(shape),
      width: 4,
      height: 4,
      type: 'fp32',
      context: 4,
      append: false,
      group: groupSize,
    };
    const latent = spec.ops.map((op) => (op.kind === 'attention' ? { ...op, latent: { valueHeadDim: 4 } } : op));
    expect(() => lowerLayer({ ...spec, ops: latent }, wse2)).toThrow(/OP_NOT_LOWERED/);
    const experts = { all: 4, active: 2, bias: false, normalize: true };
    const sigmoid = opsOf({ ...shape, experts }).map((op) =>
      op.kind === 'moe' ? { ...op, routing: { ...op.routing, score: 'sigmoid' as const } } : op,
    );
    expect(() => lowerLayer({ ...spec, ops: sigmoid }, wse2)).toThrow(/OP_NOT_LOWERED/);
    expect(() => lowerLayer({ ...spec, ops: spec.ops.slice(1) }, wse2)).toThrow(/OP_NOT_LOWERED/);
  });
});

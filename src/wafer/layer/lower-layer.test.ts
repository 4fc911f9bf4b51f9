import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { priceSequence, simulate } from '../../sim/index.ts';
import { definitionOf, graphOf } from '../../model/index.ts';
import type { Op } from '../../model/index.ts';
import { groupSize } from '../index.ts';
import { held } from '../kernel/lower/exponential.ts';
import type { Tensors } from '../kernel/lower/lowering.ts';
import { normals, runLowered, wse2 } from '../kernel/testing/run-lowered.ts';
import { layerReference } from './layer-reference.ts';
import { lowerLayer } from './lower-layer.ts';
import type { LayerSpec } from './lower-layer.ts';

interface Shape {
  readonly hidden: number;
  readonly ffn: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly bias?: boolean;
  readonly activation?: 'silu' | 'gelu-tanh';
}

function opsOf({ hidden, ffn, heads, kvHeads, headDim, bias = false, activation = 'silu' }: Shape): readonly Op[] {
  const { layers } = graphOf({
    arch: 'llama',
    hidden,
    layers: 1,
    vocab: 1,
    maxContext: 4096,
    normEps: 1e-5,
    layerNorms: 2,
    rope: { theta: 10_000 },
    tiedEmbeddings: true,
    attention: { kind: 'gqa', heads, kvHeads, headDim, qkvBias: bias, outBias: bias, qkNorm: false },
    mlp: { kind: 'dense', ffn },
  });
  return layers[0].map((op) => (op.kind === 'glu' ? { ...op, activation } : op));
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
          ? draw(shape[0], 0.1, op.kind === 'rmsnorm' ? 1 : 0)
          : draw(shape[0] * shape[1], shape[1] ** -0.5),
      ]),
  );
  const cache = context * kvHeads * headDim;
  return { x: draw(hidden, 1), cacheK: draw(cache, 1), cacheV: draw(cache, 1), ...Object.fromEntries(weights) };
}

const shapes = fc
  .record({
    kv: fc.oneof(
      fc.record({ kvHeads: fc.integer({ min: 1, max: 3 }), headParts: fc.integer({ min: 1, max: 4 }) }),
      fc.record({ width: fc.integer({ min: 1, max: 3 }), perPe: fc.integer({ min: 1, max: 2 }) }),
    ),
    height: fc.integer({ min: 1, max: 9 }),
    queries: fc.integer({ min: 1, max: 3 }),
    half: fc.integer({ min: 1, max: 3 }),
    hidden: fc.integer({ min: 12, max: 40 }),
    ffn: fc.integer({ min: 1, max: 40 }),
    more: fc.integer({ min: 0, max: 20 }),
    append: fc.boolean(),
    bias: fc.boolean(),
    activation: fc.constantFrom('silu' as const, 'gelu-tanh' as const),
    type: fc.constantFrom('fp32' as const, 'fp16' as const),
    group: fc.integer({ min: 1, max: 5 }),
    seed: fc.nat(1000),
  })
  .map(({ kv, height, queries, half, more, append, type, group, seed, ...rest }) => {
    const [width, kvHeads, headParts] =
      'width' in kv ? [kv.width, kv.width * kv.perPe, 1] : [kv.kvHeads * kv.headParts, kv.kvHeads, kv.headParts];
    const shape: Shape = { ...rest, kvHeads, heads: kvHeads * queries, headDim: 2 * half * headParts };
    const spec: LayerSpec = {
      ops: opsOf(shape),
      width,
      height,
      type,
      context: height + more,
      append,
      group: () => group,
    };
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

  it.each([
    [16, 12, 'fp16', 2, false],
    [8, 20, 'fp16', 1, true],
    [12, 12, 'fp32', 4, true],
  ] as const)('on %i x %i PEs, %s, %i heads of keys and values', (width, height, type, kvHeads, append) => {
    const shape: Shape = { hidden: 120, ffn: 240, heads: 2 * kvHeads, kvHeads, headDim: (4 * width) / kvHeads };
    const spec: LayerSpec = {
      ops: opsOf(shape),
      width,
      height,
      type,
      context: 3 * height + 1,
      append,
      group: groupSize,
    };
    const { program, phases } = lowerLayer(spec, wse2);
    expect(Math.abs(simulate(program, wse2).cycles / priceSequence(phases, wse2) - 1)).toBeLessThan(0.05);
    expect(new Set(program.routes.map(({ color }) => color)).size).toBeLessThanOrEqual(
      wse2.colors - wse2.reservedColors,
    );
  });

  it('refuses what it has no stages for, and contexts that leave rows empty', () => {
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
    expect(() => lowerLayer({ ...spec, context: 3 }, wse2)).toThrow(/LAYER_SHAPE/);
    const windowed = spec.ops.map((op) => (op.kind === 'attention' ? { ...op, slidingWindow: 2 } : op));
    expect(() => lowerLayer({ ...spec, ops: windowed }, wse2)).toThrow(/OP_NOT_LOWERED/);
    expect(() => lowerLayer({ ...spec, ops: spec.ops.slice(1) }, wse2)).toThrow(/OP_NOT_LOWERED/);
  });
});

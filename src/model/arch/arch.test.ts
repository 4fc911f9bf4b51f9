// Laws of the graphs: every known model has one that is well formed, and it reads exactly the model's weights.

import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import { llms, type LlmShape } from '../../spec/index.ts';
import type { Graph } from '../graph.ts';
import { definitionOf } from '../op/index.ts';
import { opsOf, verifyGraph, weightsOf } from '../op/verify-graph.ts';
import { kvWidth, parameterCount, weightSpecs } from '../weights.ts';
import { archs, graphOf, requireExecutable } from './index.ts';

/** Architectures whose mixtures are read. */
const mixtures: readonly string[] = ['mixtral', 'qwen3_moe', 'gpt_oss', 'deepseek_v3'];

const executable = archs.filter(({ parse }) => parse !== undefined).map(({ id }) => id);
const models = Object.values(llms);

/** Weight elements of all ops; a tied table is read twice and counted once. */
function elementsOf(graph: Graph): number {
  const { tiedEmbeddings, vocab, hidden } = graph.shape;
  const sum = opsOf(graph).reduce((total, op) => total + definitionOf(op).weightElements(op), 0);
  return sum - (tiedEmbeddings ? vocab * hidden : 0);
}

const named = (weights: readonly { readonly name: string; readonly shape: readonly number[] }[]): string[] =>
  weights.map(({ name, shape }) => `${name} [${shape.join(', ')}]`).sort();

/** Small shapes of the executable architectures, features in all combinations. */
const smallShape: fc.Arbitrary<LlmShape> = fc
  .record({
    arch: fc.constantFrom(...executable),
    layers: fc.integer({ min: 1, max: 3 }),
    kvHeads: fc.integer({ min: 1, max: 3 }),
    groups: fc.integer({ min: 1, max: 3 }),
    half: fc.integer({ min: 1, max: 4 }),
    hidden: fc.integer({ min: 1, max: 20 }),
    ffn: fc.integer({ min: 1, max: 20 }),
    vocab: fc.integer({ min: 1, max: 30 }),
    tiedEmbeddings: fc.boolean(),
    qkvBias: fc.boolean(),
    outBias: fc.boolean(),
    qkNorm: fc.boolean(),
    slidingWindow: fc.option(fc.integer({ min: 1, max: 9 }), { nil: undefined }),
    experts: fc.integer({ min: 0, max: 4 }),
    bias: fc.constantFrom('logits', 'choice', undefined),
    sharedExperts: fc.integer({ min: 0, max: 2 }),
    denseLayers: fc.integer({ min: 0, max: 2 }),
  })
  .map(
    ({
      kvHeads,
      groups,
      half,
      ffn,
      qkvBias,
      outBias,
      qkNorm,
      slidingWindow,
      experts,
      bias,
      sharedExperts,
      denseLayers,
      ...rest
    }) => ({
      ...rest,
      maxContext: 64,
      normEps: 1e-5,
      layerNorms: rest.arch === 'gemma2' ? 4 : 2,
      ...(rest.arch === 'phi3' ? { fusedProjections: true } : {}),
      rope: { theta: 10_000 },
      attention: {
        kind: 'gqa',
        heads: kvHeads * groups,
        kvHeads,
        headDim: 2 * half,
        qkvBias: qkvBias && rest.arch !== 'phi3',
        outBias,
        qkNorm,
        ...(slidingWindow === undefined ? {} : { slidingWindow }),
      },
      mlp:
        experts === 0 || !mixtures.includes(rest.arch)
          ? { kind: 'dense', ffn }
          : {
              kind: 'moe',
              experts,
              activeExperts: 1,
              expertFfn: ffn,
              sharedExperts,
              sharedFfn: 3,
              denseLayers: Math.min(denseLayers, rest.layers),
              denseFfn: 7,
              routing: { score: 'softmax', normalize: true, scale: 1, ...(bias === undefined ? {} : { bias }) },
              expertBias: qkvBias,
            },
    }),
  );

describe('registry', () => {
  it('ids and model types are unique, and cover every model of spec', () => {
    const ids = archs.map(({ id }) => id);
    const types = archs.flatMap(({ hfModelTypes }) => hfModelTypes);
    expect(new Set(ids).size).toBe(ids.length);
    expect(new Set(types).size).toBe(types.length);
    expect(new Set(models.map(({ shape }) => shape.arch))).toEqual(new Set(ids));
  });
  it('executes the families that have a reader of configurations', () => {
    expect(executable).toEqual(
      expect.arrayContaining(['llama', 'qwen3', 'mixtral', 'qwen3_moe', 'gpt_oss', 'gemma2', 'phi3']),
    );
  });
  it('an unknown architecture is refused with the nearest', () => {
    expect(() => graphOf({ ...llms['llama-3.1-8b'].shape, arch: 'qwen4' })).toThrow(/ARCH_UNKNOWN/);
  });
});

describe.each(models)('$id', ({ shape }) => {
  const graph = graphOf(shape);
  it('has a well-formed graph', () => {
    verifyGraph(graph);
    expect(graph.layers).toHaveLength(shape.layers);
  });
  it('has the parameters of its shape', () => {
    expect(elementsOf(graph)).toBe(parameterCount(shape));
  });
  it('says what it lacks exactly where it cannot be executed', () => {
    expect(graph.unsupported.length === 0).toBe(executable.includes(shape.arch));
    if (executable.includes(shape.arch)) requireExecutable(graph);
    else expect(() => requireExecutable(graph)).toThrow(/ARCH_UNSUPPORTED/);
  });
  it('caches what its shape says', () => {
    for (const op of opsOf(graph)) {
      if (op.kind === 'attention')
        expect((op.latent === undefined ? 2 : 1) * op.kvHeads * op.headDim).toBe(kvWidth(shape));
    }
  });
  if (executable.includes(shape.arch)) {
    it('reads the weights of the checkpoint, by name and shape', () => {
      expect(named(weightsOf(graph))).toEqual(named(weightSpecs(shape)));
    });
  }
});

describe('graphs of any shape', () => {
  it('are well formed and read the weights of the checkpoint', () => {
    fc.assert(
      fc.property(smallShape, (shape) => {
        const graph = graphOf(shape);
        verifyGraph(graph);
        expect(named(weightsOf(graph))).toEqual(named(weightSpecs(shape)));
        expect(elementsOf(graph)).toBe(parameterCount(shape));
      }),
    );
  });
  it('a decoded token costs two FLOPs per weight of a projection, and little else', () => {
    const { shape } = llms['llama-3.1-8b'];
    const graph = graphOf(shape);
    const flops = opsOf(graph).reduce((sum, op) => sum + definitionOf(op).flops(op, 1, 0), 0);
    // All weights but the embedding table are in projections or norms.
    const projected = 2 * (parameterCount(shape) - shape.vocab * shape.hidden);
    expect(flops / projected).toBeGreaterThan(1);
    expect(flops / projected).toBeLessThan(1.001);
  });
  it('windows alternate with full attention where the shape says so', () => {
    const windows = graphOf(llms['gemma-2-9b'].shape).layers.map(
      (layer) => layer.find((op) => op.kind === 'attention')?.slidingWindow,
    );
    expect(windows.slice(0, 4)).toEqual([4096, undefined, 4096, undefined]);
  });
});

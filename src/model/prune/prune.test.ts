import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findLlm, type LlmShape } from '../../spec/index.ts';
import { graphOf } from '../arch/index.ts';
import type { Graph, WeightSource } from '../graph.ts';
import { DTYPE_BYTES, widenInto } from '../format/float-formats.ts';
import { createReference } from '../reference.ts';
import { randomWeights } from '../testing/random-weights.ts';
import { parameterCount } from '../weights.ts';
import { parsePruning, prunedGraph, prunedWeights, pruningText } from './index.ts';

const tiny = (arch: string, fused = false): LlmShape => ({
  arch,
  hidden: 16,
  layers: 2,
  vocab: 30,
  maxContext: 32,
  normEps: 1e-5,
  layerNorms: 2,
  rope: { theta: 10_000 },
  tiedEmbeddings: false,
  ...(fused ? { fusedProjections: true } : {}),
  attention: { kind: 'gqa', heads: 2, kvHeads: 1, headDim: 8, qkvBias: false, outBias: false, qkNorm: false },
  mlp: { kind: 'dense', ffn: 21 },
});

/** A row as `readRows` gives it must be the row that `read` gives. */
function expectSameRows(weights: WeightSource, name: string): Float32Array {
  const values = weights.read(name);
  const [rows] = weights.shape(name);
  const width = values.length / rows;
  const bytes = width * DTYPE_BYTES[weights.dtype(name)];
  const row = new Float32Array(width);
  for (let at = 0; at < rows; at++) {
    const stored = new Uint8Array(bytes);
    weights.readRows(name, at, at + 1, stored);
    widenInto(row, 0, stored, weights.dtype(name));
    expect(row).toEqual(values.slice(at * width, (at + 1) * width));
  }
  return values;
}

const matrices = (weights: WeightSource): string[] =>
  weights.names.filter((name) => /layers.*_proj\.weight$/.test(name));

describe('zeros', () => {
  const shape = tiny('llama');
  const graph = graphOf(shape);

  it('take exactly the share of a row that was asked for, and the smallest of it', () =>
    fc.assert(
      fc.property(fc.double({ min: 0.01, max: 0.99, noNaN: true }), fc.constantFrom('f32', 'bf16'), (share, dtype) => {
        const whole = randomWeights(shape, 1, dtype as 'f32' | 'bf16');
        const pruned = prunedWeights(whole, graph, { kind: 'magnitude', share });
        for (const name of matrices(whole)) {
          const values = expectSameRows(pruned, name);
          const before = whole.read(name);
          const width = whole.shape(name)[1];
          for (let at = 0; at < values.length; at += width) {
            const gone = [...values.keys()].slice(at, at + width).filter((i) => values[i] === 0 && before[i] !== 0);
            expect(gone).toHaveLength(Math.floor(share * width));
            const largestGone = Math.max(0, ...gone.map((i) => Math.abs(before[i])));
            for (let i = at; i < at + width; i++)
              if (values[i] !== 0) expect(Math.abs(values[i])).toBeGreaterThanOrEqual(largestGone);
          }
        }
        expect(pruned.read('lm_head.weight')).toEqual(whole.read('lm_head.weight'));
      }),
      { numRuns: 12 },
    ));

  it('leave N of M neighbours, the largest', () => {
    const whole = randomWeights(shape, 2);
    const pruned = prunedWeights(whole, graph, { kind: 'pattern', keep: 2, of: 4 });
    for (const name of matrices(whole)) {
      const values = expectSameRows(pruned, name);
      const width = whole.shape(name)[1];
      for (let row = 0; row < values.length; row += width)
        for (let at = row; at < row + width; at += 4) {
          const end = Math.min(at + 4, row + width);
          const kept = values
            .slice(at, end)
            .filter((x) => x !== 0)
            .map(Math.abs);
          const all = whole
            .read(name)
            .slice(at, end)
            .map(Math.abs)
            .sort((a, b) => b - a);
          expect(kept.sort((a, b) => b - a)).toEqual(all.slice(0, 2));
        }
    }
  });
});

describe('channels', () => {
  it.each([
    ['llama', false],
    ['phi3', true],
  ])('of %s that go are as if their outputs were 0, and shapes say so', (arch, fused) => {
    const shape = tiny(arch, fused);
    const pruning = { kind: 'channels', share: 0.3 } as const;
    const whole = randomWeights(shape, 3);
    const graph: Graph = prunedGraph(graphOf(shape), pruning);
    // ⌊0.3 · 21⌋ = 6 channels of each layer, with a row of gate and up and a column of down.
    expect(parameterCount(shape) - parameterCount(graph.shape)).toBe(shape.layers * 6 * 3 * shape.hidden);
    const pruned = prunedWeights(whole, graph, pruning);
    for (const name of pruned.names) expectSameRows(pruned, name);

    // Columns of down that are not found among those that stay.
    const zeroed: WeightSource = {
      ...whole,
      read(name) {
        const values = whole.read(name);
        if (!name.endsWith('down_proj.weight')) return values;
        const kept = pruned.read(name);
        const [rows, width] = pruned.shape(name);
        const first = new Set(Array.from({ length: width }, (_, column) => kept[column]));
        for (let column = 0; column < 21; column++)
          if (!first.has(values[column])) for (let row = 0; row < rows; row++) values[row * 21 + column] = 0;
        return values;
      },
    };
    const expected = createReference(graphOf(shape), zeroed).start().forward([3, 1, 4]);
    const found = createReference(graph, pruned).start().forward([3, 1, 4]);
    for (const [i, logit] of found.entries()) expect(logit).toBeCloseTo(expected[i], 5);
  });

  it('stay in a mixture of experts', () => {
    const mixture = graphOf(findLlm('mixtral-8x7b').shape);
    expect(() => prunedGraph(mixture, { kind: 'channels', share: 0.5 })).toThrow('PRUNING_UNSUPPORTED');
  });
});

describe('as text', () => {
  it('is read as it is written', () => {
    for (const text of ['magnitude=0.5', 'channels=0.25', '2:4', '1:64'])
      expect(pruningText(parsePruning(text))).toBe(text);
  });
  it.each(['4:2', '2:65', '0:4', 'magnitude=1.5', 'magnitude=0', 'channels', 'magnitud=0.5', ''])(
    'refuses %j',
    (text) => {
      expect(() => parsePruning(text)).toThrow('PRUNING_UNKNOWN');
    },
  );
});

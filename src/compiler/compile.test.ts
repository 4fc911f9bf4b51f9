import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IngotError } from '../core/index.ts';
import { graphOf, parameterCount } from '../model/index.ts';
import { findLlm, findWafer, resolveWafer, type LlmShape } from '../spec/index.ts';
import { kvTokensOf, wafersOf, type Region } from '../wafer/index.ts';
import { bytesOfWholeHeads, compile, mostLayers, runPipeline } from './index.ts';
import type { CompileOptions, PlacementCost } from './request.ts';

const wafer = resolveWafer(findWafer('wse3'));
const fp16 = { weights: 'f16', activations: 'fp16', kv: 'fp16' } as const;
const area = ({ width, height }: { width: number; height: number }): number => width * height;
/** Seconds that grow with the PEs of a region, so that small regions are liked best. */
const costOf = (pesCost: (pes: number) => number): PlacementCost => ({
  section: (ops, mesh, { sequences, tokens }) => ops.length * sequences * tokens * pesCost(area(mesh)),
  move: () => 1e-9,
  cross: () => 1e-6,
  host: () => 1e-6,
});
const cost = costOf((pes) => pes * 1e-9);
const options = (id: string, more: Partial<CompileOptions> = {}): CompileOptions => ({
  model: id,
  graph: graphOf(findLlm(id).shape),
  wafer,
  numerics: fp16,
  kvTokens: 4096,
  cost,
  ...more,
});
const overlap = (a: Region, b: Region): boolean =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
const codeOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof IngotError) return error.code;
    throw error;
  }
  return 'no error';
};

const shapes: fc.Arbitrary<LlmShape> = fc
  .record({
    layers: fc.integer({ min: 1, max: 40 }),
    headDim: fc.constantFrom(32, 64, 128),
    kvHeads: fc.integer({ min: 1, max: 8 }),
    queries: fc.integer({ min: 1, max: 8 }),
    hidden: fc.integer({ min: 1, max: 64 }).map((n) => n * 64),
    ffn: fc.integer({ min: 1, max: 256 }).map((n) => n * 64),
    vocab: fc.integer({ min: 32, max: 150_000 }),
    tied: fc.boolean(),
  })
  .map(({ layers, headDim, kvHeads, queries, hidden, ffn, vocab, tied }) => ({
    arch: 'llama',
    hidden,
    layers,
    vocab,
    maxContext: 8192,
    normEps: 1e-5,
    layerNorms: 2,
    rope: { theta: 1e4 },
    tiedEmbeddings: tied,
    attention: {
      kind: 'gqa',
      heads: kvHeads * queries,
      kvHeads,
      headDim,
      qkvBias: false,
      outBias: false,
      qkNorm: false,
    },
    mlp: { kind: 'dense', ffn },
  }));

describe('compile', () => {
  it('places every layer once, in order, within the program rectangle and the SRAM', () => {
    fc.assert(
      fc.property(shapes, (shape) => {
        const program = compile({ model: 'm', graph: graphOf(shape), wafer, numerics: fp16, kvTokens: 64, cost });
        expect(
          program.stages.flatMap((s) => Array.from({ length: s.toLayer - s.fromLayer }, (_, i) => s.fromLayer + i)),
        ).toEqual(Array.from({ length: shape.layers }, (_, i) => i));
        expect(program.stages.map((s) => s.hasEmbedding)).toEqual(program.stages.map((_, i) => i === 0));
        expect(program.stages.map((s) => s.hasHead)).toEqual(
          program.stages.map((_, i) => i === program.stages.length - 1),
        );
        for (const [i, a] of program.stages.entries())
          for (const b of program.stages.slice(i + 1))
            expect(a.wafer === b.wafer && overlap(a.region, b.region)).toBe(false);
        for (const { region, memory } of program.stages) {
          expect(region.x + region.width).toBeLessThanOrEqual(wafer.programWidth);
          expect(region.y + region.height).toBeLessThanOrEqual(wafer.programHeight);
          expect(memory.kv).toBeGreaterThanOrEqual(0);
          const { system, code, weights, padding, activations, kv, capacity } = memory;
          expect(system + code + weights + padding + activations + kv).toBe(capacity);
          expect(memory.kvTokens ?? 64).toBeGreaterThanOrEqual(64);
        }
        // Tiles are rounded up, so the PEs together hold at least every parameter.
        const held = program.stages.reduce((sum, s) => sum + s.memory.weights * area(s.region), 0);
        expect(held).toBeGreaterThanOrEqual(parameterCount(shape) * 2);
      }),
      { numRuns: 12 },
    );
  });

  it('accepts exactly the KV tokens that it promises', () => {
    const mesh = { width: 513, height: 513 };
    const roomy = compile(options('llama-3.2-1b', { mesh, kvTokens: 64 }));
    const most = kvTokensOf(roomy);
    const tight = compile(options('llama-3.2-1b', { mesh, kvTokens: most, maxWafers: 1 }));
    expect(tight.prefillChunk).toBe(roomy.prefillChunk);
    // One more token takes a smaller chunk, and beyond the smallest chunk there is nothing.
    const more = compile(options('llama-3.2-1b', { mesh, kvTokens: most + 1, maxWafers: 1 }));
    expect(more.prefillChunk).toBeLessThan(roomy.prefillChunk);
    expect(kvTokensOf(more)).toBeGreaterThan(most);
  });

  it('refuses the first KV token too many, and says by how few bytes', () => {
    const mesh = { width: 513, height: 513 };
    const at = (kvTokens: number): string =>
      codeOf(() => compile(options('llama-3.2-1b', { mesh, kvTokens, maxWafers: 1 })));
    let [low, high] = [64, 10_000_000];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (at(middle) === 'no error') low = middle;
      else high = middle;
    }
    const last = compile(options('llama-3.2-1b', { mesh, kvTokens: low, maxWafers: 1 }));
    expect(kvTokensOf(last)).toBe(low);
    expect(at(high)).toBe('PROGRAM_DOES_NOT_FIT');
  });

  it('takes the mesh that the cost function likes best', () => {
    const layerRegion = (more: Partial<CompileOptions>): Region => {
      const held = compile(options('qwen3-0.6b', more)).stages.find((stage) => stage.toLayer > stage.fromLayer);
      if (held === undefined) throw new Error('some stage holds layers');
      return held.region;
    };
    expect(area(layerRegion({}))).toBeLessThan(area(layerRegion({ cost: costOf((pes) => 1 / pes) })));
    expect(layerRegion({ mesh: { width: 400, height: 500 } })).toMatchObject({ width: 400, height: 500 });
  });

  it('gives each objective what no other placement of the frontier beats', () => {
    const of = (objective: CompileOptions['objective']) =>
      runPipeline(options('llama-3.1-8b', { objective, cost: costOf((pes) => 1e-6 + 1 / pes) })).search;
    const [wafers, latency, throughput] = [of('wafers'), of('latency'), of('throughput')];
    for (const other of wafers.frontier) {
      expect(wafers.chosen.wafers).toBeLessThanOrEqual(other.wafers);
      expect(latency.chosen.decode + latency.chosen.prefill).toBeLessThanOrEqual(other.decode + other.prefill);
      expect(throughput.chosen.throughput / throughput.chosen.wafers).toBeGreaterThanOrEqual(
        other.throughput / other.wafers,
      );
    }
  });

  it('says what is the best where a latency cannot be met', () => {
    const { search } = runPipeline(options('qwen3-0.6b', { objective: 'throughput' }));
    const fastest = Math.min(...search.frontier.map(({ decode }) => decode));
    expect(codeOf(() => compile(options('qwen3-0.6b', { maxLatency: fastest / 2 })))).toBe('OBJECTIVE_UNMET');
    const bounded = runPipeline(options('qwen3-0.6b', { objective: 'throughput', maxLatency: 2 * fastest })).search
      .chosen;
    expect(bounded.decode).toBeLessThanOrEqual(2 * fastest);
    expect(bounded.throughput).toBeLessThanOrEqual(search.chosen.throughput);
  });

  it('finds the most layers that fit: one more does not', () => {
    const { shape } = findLlm('llama-3.1-8b');
    const at = (layers: number): CompileOptions =>
      options('llama-3.1-8b', { graph: graphOf({ ...shape, layers }), maxWafers: 1 });
    const most = mostLayers(at(1));
    expect(codeOf(() => compile(at(most)))).toBe('no error');
    expect(codeOf(() => compile(at(most + 1)))).toBe('PROGRAM_DOES_NOT_FIT');
  });

  it('needs fewer wafers for smaller weights', () => {
    const wafers = (weights: 'f32' | 'f16' | 'int8'): number =>
      wafersOf(compile(options('llama-3.1-70b', { numerics: { ...fp16, weights } })));
    const [f32, f16, int8] = [wafers('f32'), wafers('f16'), wafers('int8')];
    expect(f32).toBeGreaterThan(f16);
    expect(f16).toBeGreaterThan(int8);
  });

  it('says by how much a model does not fit and how many wafers would do', () => {
    let message = '';
    try {
      compile(options('llama-3.1-70b', { maxWafers: 1 }));
    } catch (error) {
      const [d] = (error as IngotError).diagnostics;
      message = `${d.code} ${d.found} ${d.suggestion}`;
    }
    const enough = wafersOf(compile(options('llama-3.1-70b')));
    expect(message).toMatch(/^PROGRAM_DOES_NOT_FIT [\d,]+ B per PE over/);
    expect(message).toContain(`use ${enough} wafers`);
    expect(codeOf(() => compile(options('llama-3.1-70b', { maxWafers: enough - 1 })))).toBe('PROGRAM_DOES_NOT_FIT');
    expect(codeOf(() => compile(options('llama-3.1-70b', { maxWafers: enough })))).toBe('no error');
  });

  it('refuses a mesh outside the program rectangle', () => {
    const at = (width: number, height: number): string =>
      codeOf(() => compile(options('qwen3-0.6b', { mesh: { width, height } })));
    expect(at(wafer.programWidth + 1, 100)).toBe('MESH_INVALID');
    expect(at(0, 100)).toBe('MESH_INVALID');
    expect(at(wafer.programWidth, wafer.programHeight)).toBe('no error');
  });

  it('is deterministic', () => {
    expect(JSON.stringify(compile(options('qwen3-8b')))).toBe(JSON.stringify(compile(options('qwen3-8b'))));
  });
});

describe('bytes of whole heads', () => {
  const on = (width: number): number[] => {
    const program = compile(options('llama-3.1-8b'));
    const stages = program.stages.slice(0, 1).map((stage) => ({
      ...stage,
      region: { ...stage.region, width, height: 256 },
      fromLayer: 0,
      toLayer: 3,
    }));
    return bytesOfWholeHeads({ ...program, stages });
  };

  it('are none where PEs are a multiple of heads and divide their pairs', () => {
    expect(on(256)).toEqual([0]);
  });

  it('are the columns of queries, keys and values that a PE has more, and the rows of the output', () => {
    // 8 heads of 64 pairs over 250 PEs: 31 PEs a head, 3 pairs a PE, so 6 channels of 4 queries, a key and a value.
    const equal = { query: Math.ceil(4096 / 250), key: Math.ceil(1024 / 250) };
    const more = 2 * (24 - equal.query) + 2 * (6 - equal.key);
    expect(on(250)).toEqual([3 * more * Math.ceil(4096 / 256) * 2]);
  });
});

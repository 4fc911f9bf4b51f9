import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compile, runPipeline } from '../../compiler/index.ts';
import { definitionOf, graphOf } from '../../model/index.ts';
import { findLlm, findWafer, resolveWafer } from '../../spec/index.ts';
import { kvTokensOf, phase, wafersOf } from '../../wafer/index.ts';
import { createPlacementCost } from './placement-cost.ts';
import { price, total } from './price.ts';
import { layerCycles } from './section-cost.ts';
import { createStepModel, pipelineTime } from './step-model.ts';

const wafer = resolveWafer(findWafer('wse2'));
const graph = graphOf(findLlm('qwen3-0.6b').shape);
const numerics = { weights: 'f16', activations: 'fp16', kv: 'fp16' } as const;
const cost = createPlacementCost(graph, numerics, wafer);
const options = { model: 'qwen3-0.6b', graph, wafer, numerics, kvTokens: 4096, cost };
const program = compile(options);
const model = createStepModel(program, wafer);
/** All on one region: nothing is in flight beside a token. */
const alone = compile({ ...options, mesh: { width: 700, height: 900 } });

describe('price', () => {
  it('is the sum of counts times constants', () => {
    const p = phase('p', {
      repeat: 3,
      hops: 10,
      ramps: 4,
      wavelets: 7,
      steps: 2,
      tasks: 5,
      divisions: 1,
      vectors: [{ count: 2, length: 9, type: 'fp16', looped: true }],
    });
    const { vectorStartup, loopIteration, taskStart, division, hop, ramp } = wafer;
    // 9 fp16 elements on 4 lanes take 3 cycles.
    const once = 10 * hop + 4 * ramp + 7 + 2 + 5 * taskStart + division + 2 * (vectorStartup + loopIteration + 3);
    expect(total(price(p, wafer))).toBe(3 * once);
  });

  it('hides communication beside longer work, and only then', () => {
    const work = { vectors: [{ count: 1, length: 4 * 94, type: 'fp16' as const }] }; // 6 + 94 = 100 cycles
    const at = (wavelets: number): number =>
      total(price(phase('p', { ...work, beside: { hops: 2, ramps: 2, wavelets } }), wafer));
    expect(at(94)).toBe(100);
    expect(at(95)).toBe(101);
  });

  it('feeds no more lanes than the SRAM ports can: fp16 on WSE-3 has 8 lanes and 16 B of reads', () => {
    const wse3 = resolveWafer(findWafer('wse3'));
    const p = phase('p', { vectors: [{ count: 1, length: 64, type: 'fp16' }] });
    expect(total(price(p, wse3))).toBe(wse3.vectorStartup + 64 / (wse3.sramReadPerCycle / 4));
  });
});

describe('step model', () => {
  it('never beats the arithmetic of the datapath, the SRAM or the distance, on any stage', () => {
    for (const cached of [0, 1000, 4000]) {
      const stages = model.stageSeconds(cached);
      for (const [i, { region, fromLayer, toLayer, hasEmbedding, hasHead, memory }] of program.stages.entries()) {
        const sections = [
          ...(hasEmbedding ? [graph.prologue] : []),
          ...graph.layers.slice(fromLayer, toLayer),
          ...(hasHead ? [graph.epilogue] : []),
        ];
        const pes = region.width * region.height;
        const ops = sections.flat();
        const flops = ops.reduce((sum, op) => sum + definitionOf(op).flops(op, 1, cached), 0);
        const cyclesOf = stages[i] * wafer.clock;
        expect(cyclesOf).toBeGreaterThan(flops / (2 * wafer.fp16Lanes * pes));
        // Every weight of a matrix is read once; of the embedding's table one row is.
        if (!hasEmbedding) expect(cyclesOf).toBeGreaterThan(memory.weights / wafer.sramReadPerCycle);
        // A sum over a line has come from its ends.
        if (toLayer > fromLayer)
          expect(cyclesOf).toBeGreaterThan((toLayer - fromLayer) * (region.width + region.height));
      }
    }
  });

  it('is the sum of the stages for one token, and as the program is priced when it is placed', () => {
    for (const cached of [0, 17, 4000]) {
      const { time, cycles, io } = model.decode(cached);
      const stages = model.stageSeconds(cached).reduce((sum, s) => sum + s, 0);
      expect(time).toBeCloseTo(cycles / wafer.clock + io, 12);
      // The host gives ids and takes logits: two latencies, and their bytes.
      expect(time - stages).toBeGreaterThan(2 * wafer.ioLatency);
      expect(time - stages).toBeLessThan(2 * wafer.ioLatency + 1e-5);
      expect(total(model.breakdown(cached))).toBeCloseTo(cycles, 6);
    }
    const { chosen } = runPipeline(options).search;
    expect(model.decode(4095).time).toBeCloseTo(chosen.decode, 12);
  });

  it('answers the same whatever it was asked before', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(4095), { minLength: 1, maxLength: 8 }), (contexts) => {
        const fresh = createStepModel(program, wafer);
        for (const cached of contexts) expect(fresh.decode(cached)).toEqual(model.decode(cached));
      }),
      { numRuns: 10 },
    );
  });

  it('grows with the context and with the tokens of a step', () => {
    const contexts = [0, 500, 1000, 2000, 4000].map((cached) => model.decode(cached).cycles);
    expect(contexts).toEqual([...contexts].sort((a, b) => a - b));
    expect(contexts[4]).toBeGreaterThan(contexts[0]);
    const prompts = [1, 8, 64, 65, 256].map((tokens) => model.prefill(tokens).time);
    for (let i = 1; i < prompts.length; i++) expect(prompts[i]).toBeGreaterThan(prompts[i - 1]);
  });

  it('is cheaper for two sequences together than one after the other, and dearer than for one', () => {
    for (const placed of [program, alone]) {
      const steps = createStepModel(placed, wafer);
      const item = { tokens: 1, cached: 100 };
      const one = steps.step({ items: [item] });
      const two = steps.step({ items: [item, item] });
      expect(two.time).toBeGreaterThan(one.time);
      expect(two.time).toBeLessThan(2 * one.time);
      expect(one.energy).toBeCloseTo(one.time * wafer.systemPower * wafersOf(placed), 9);
      expect(one.time).toBeCloseTo(steps.decode(100).time, 12);
      expect(steps.step({ items: [] }).time).toBe(0);
    }
  });

  it('prices a long item as its chunks', () => {
    const tokens = program.prefillChunk * 2 + 1;
    const step = model.step({ items: [{ tokens, cached: 0 }] });
    expect(step.time).toBeGreaterThan(model.prefill(tokens - 1).time);
    expect(step.time).toBe(model.prefill(tokens).time);
  });

  it('serves many sequences no faster than its slowest stage, and one no faster than its latency', () => {
    for (const cached of [10, 500, 4000]) {
      const { tokensPerSecond, together, slowest, sequences, idle } = model.throughput(cached);
      expect(tokensPerSecond).toBeLessThanOrEqual(together / slowest + 1e-9);
      expect(tokensPerSecond).toBeLessThanOrEqual(sequences / model.decode(cached).time + 1e-9);
      expect(tokensPerSecond).toBeGreaterThanOrEqual(1 / model.decode(cached).time - 1e-9);
      expect(sequences * (cached + 1)).toBeLessThanOrEqual(kvTokensOf(program));
      expect(idle).toBeGreaterThanOrEqual(-1e-9);
      expect(idle).toBeLessThan(1);
    }
  });

  it('has the sign that was measured: more PEs make decode slower', () => {
    const [ops] = graphOf(findLlm('llama-3.1-8b').shape).layers;
    const layer = (side: number): number =>
      layerCycles(ops, { width: side, height: side }, 'fp16', wafer, { tokens: 1, cached: 4096 });
    expect(layer(540)).toBeGreaterThan(layer(420));
    expect(layer(660)).toBeGreaterThan(layer(540));
  });

  it('takes detours of a repaired wafer into account', () => {
    const around = { ...program, stages: program.stages.map((s) => ({ ...s, detours: { x: 3, y: 40 } })) };
    const more = createStepModel(around, wafer).decode(100).cycles - model.decode(100).cycles;
    // At least one all-reduce for each matrix and norm of a layer.
    expect(more).toBeGreaterThan(40 * graph.layers.length * 8);
  });

  it('says what it rests on', () => {
    expect(model.basis).toMatch(
      /simulated: closed form on WSE-2, \d+ regions on 1 wafer, \d+x\d+ PEs for layers, 0.850 GHz/,
    );
  });
});

it('times a step that is like the one before as if there had been none', () => {
  const [asked, interrupted] = [createStepModel(program, wafer), createStepModel(program, wafer)];
  const contexts = [5, 90, 700, 1900];
  for (let grown = 0; grown < 40; grown++) {
    const step = { items: contexts.map((cached) => ({ tokens: 1, cached: cached + 25 * grown })) };
    interrupted.step({ items: [...step.items, { tokens: 1, cached: 3 }] });
    const [{ time, busy }, expected] = [asked.step(step), interrupted.step(step)];
    expect(time).toBe(expected.time);
    expect(busy()).toEqual(expected.busy());
  }
});

describe('pipelineTime', () => {
  const times = fc.array(fc.array(fc.nat(100), { minLength: 3, maxLength: 3 }), { minLength: 1, maxLength: 6 });
  /** When the last batch leaves the last of three stages, each batch as early as it can. */
  const exact = (batches: readonly (readonly number[])[]): number => {
    const done = [0, 0, 0];
    for (const batch of batches)
      for (const stage of done.keys()) done[stage] = Math.max(done[stage], done[stage - 1] ?? 0) + batch[stage];
    return done[2];
  };

  it('is never below what happens, and exact where batches are alike', () => {
    fc.assert(
      fc.property(times, (batches) => {
        const bound = pipelineTime(
          batches.map((b) => Float64Array.from(b)),
          [1, 1, 1],
        );
        expect(bound).toBeGreaterThanOrEqual(exact(batches));
        const alike = batches.map(() => batches[0]);
        expect(
          pipelineTime(
            alike.map((b) => Float64Array.from(b)),
            [1, 1, 1],
          ),
        ).toBe(exact(alike));
      }),
    );
  });
});

import { describe, expect, it } from 'vitest';
import { compile } from '../../compiler/index.ts';
import { definitionOf, graphOf } from '../../model/index.ts';
import { findLlm, findWafer, resolveWafer } from '../../spec/index.ts';
import { phase } from '../../wafer/index.ts';
import { createCostModel, createStepModel } from './program-cost.ts';
import { price, total } from './price.ts';

const wafer = resolveWafer(findWafer('wse2'));
const graph = graphOf(findLlm('qwen3-0.6b').shape);
const program = compile({
  model: 'qwen3-0.6b',
  graph,
  wafer,
  numerics: { weights: 'f16', activations: 'fp16', kv: 'fp16' },
  kvTokens: 4096,
  cost: ({ width, height }) => width * height,
});
const model = createStepModel(program, wafer);

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
  it('never beats the arithmetic of the datapath', () => {
    const { width, height } = program.stages[0].region;
    for (const cached of [0, 1000, 4000]) {
      let flops = 0;
      for (const ops of [graph.prologue, ...graph.layers, graph.epilogue]) {
        for (const op of ops) flops += definitionOf(op).flops(op, 1, cached);
      }
      const floor = flops / (2 * wafer.fp16Lanes * width * height);
      expect(model.decode(cached).cycles).toBeGreaterThan(floor);
    }
  });

  it('grows with the context and with the tokens of a step', () => {
    const contexts = [0, 500, 1000, 2000, 4000].map((cached) => model.decode(cached).cycles);
    expect(contexts).toEqual([...contexts].sort((a, b) => a - b));
    expect(contexts[4]).toBeGreaterThan(contexts[0]);
    const prompts = [1, 8, 64, 65, 256].map((tokens) => model.prefill(tokens).cycles);
    for (let i = 1; i < prompts.length; i++) expect(prompts[i]).toBeGreaterThan(prompts[i - 1]);
  });

  it('is cheaper for two sequences together than one after the other, and dearer than for one', () => {
    const one = model.step({ items: [{ tokens: 1, cached: 100 }] });
    const two = model.step({
      items: [
        { tokens: 1, cached: 100 },
        { tokens: 1, cached: 100 },
      ],
    });
    expect(two.time).toBeGreaterThan(one.time);
    expect(two.time).toBeLessThan(2 * one.time);
    expect(one.energy).toBeCloseTo(one.time * wafer.systemPower, 9);
    expect(model.step({ items: [] }).time).toBe(0);
  });

  it('prices a long item as its chunks', () => {
    const tokens = program.prefillChunk * 2 + 1;
    const step = model.step({ items: [{ tokens, cached: 0 }] });
    expect(step.time).toBeGreaterThan(model.prefill(tokens - 1).time);
  });

  it('has the sign that was measured: more PEs make decode slower', () => {
    const layer = (side: number): number =>
      total(
        createCostModel(graphOf(findLlm('llama-3.1-8b').shape), { width: side, height: side }, 'fp16', wafer).layer(
          1,
          4096,
        ),
      );
    expect(layer(540)).toBeGreaterThan(layer(420));
    expect(layer(660)).toBeGreaterThan(layer(540));
  });

  it('says what it rests on', () => {
    expect(model.basis).toMatch(/simulated: closed form on WSE-2, \d+x\d+ PEs on each of 1 wafer, 0.850 GHz/);
  });
});

import { describe, expect, it } from 'vitest';
import { seconds } from '../../core/index.ts';
import { graphOf } from '../../model/index.ts';
import { findLlm, findWafer, heatFacts, resolveWafer } from '../../spec/index.ts';
import { allReduceWork, noMemory, type Program, type Stage } from '../../wafer/index.ts';
import { joulesPerSramByte, powerAt, stageEnergies, tokenRate, workEnergy } from './energy.ts';

const wafer = resolveWafer(findWafer('wse3'));
const graph = graphOf(findLlm('llama-3.1-8b').shape);
const memory = { ...noMemory, capacity: wafer.sramPerPe, kvPerToken: 1, kvTokens: 8192 };
const stage = (index: number, fromLayer: number, toLayer: number): Stage => ({
  wafer: 0,
  region: { x: 200 * index, y: 0, width: 200, height: 200 },
  groups: { x: 14, y: 14 },
  fromLayer,
  toLayer,
  hasEmbedding: fromLayer === 0,
  hasHead: toLayer === 32,
  memory,
});
const programOf = (stages: readonly Stage[]): Program => ({
  format: 'ingot-program',
  version: 2,
  target: 'wse3',
  model: 'llama-3.1-8b',
  graph,
  numerics: { weights: 'f16', activations: 'fp16', kv: 'fp16' },
  prefillChunk: 16,
  stages,
});

describe('energy of work', () => {
  it('reaches rated power when every port of every PE is busy and nothing else happens', () => {
    const bytes =
      wafer.programWidth * wafer.programHeight * wafer.clock * (wafer.sramReadPerCycle + wafer.sramWritePerCycle);
    const active = bytes * joulesPerSramByte(wafer, heatFacts);
    expect(active + heatFacts.idleShare.value * wafer.systemPower).toBeCloseTo(wafer.systemPower, 6);
  });

  it('is of the order that is published for a core: under 30 mW a core at its peak (HC34)', () => {
    const perCycle = joulesPerSramByte(wafer, heatFacts) * (wafer.sramReadPerCycle + wafer.sramWritePerCycle);
    expect(perCycle * wafer.clock).toBeLessThan(30e-3);
    expect(perCycle * wafer.clock).toBeGreaterThan(10e-3);
  });

  it('counts links and ramps by the bits of a wavelet', () => {
    const { hops, ramps } = allReduceWork({ parts: 10, group: 3, values: 4, type: 'fp32' });
    const { fabric } = workEnergy({ elements: { fp16: 0, fp32: 0 }, hops, ramps }, wafer, heatFacts);
    expect(fabric).toBeCloseTo((hops + ramps) * 38 * 0.1e-12, 20);
  });
});

describe('energy of a program', () => {
  const whole = stageEnergies(programOf([stage(0, 0, 32)]), wafer, heatFacts, 1000);
  const halves = stageEnergies(programOf([stage(0, 0, 16), stage(1, 16, 32)]), wafer, heatFacts, 1000);

  it('does not depend on how layers are cut into stages of one shape', () => {
    expect(halves[0].elements + halves[1].elements).toBeCloseTo(whole[0].elements, 9);
    expect(halves[0].fabric + halves[1].fabric).toBeCloseTo(whole[0].fabric, 9);
    expect(halves[0].cycles + halves[1].cycles).toBeCloseTo(whole[0].cycles, 3);
  });

  it('is no less than one access to every weight', () => {
    const matrices = [...graph.layers.flat(), ...graph.epilogue].reduce(
      (sum, op) => sum + (op.kind === 'linear' ? op.n * op.k : 0),
      0,
    );
    expect(whole[0].elements).toBeGreaterThan(matrices * 2 * joulesPerSramByte(wafer, heatFacts));
  });

  it('is idle power over time and work besides, and falls per token as more are in flight', () => {
    const program = programOf([stage(0, 0, 16), stage(1, 16, 32)]);
    const latency = seconds((halves[0].cycles + halves[1].cycles) / wafer.clock);
    const one = tokenRate(halves, 1, latency, wafer.clock);
    const many = tokenRate(halves, 100, latency, wafer.clock);
    expect(one.tokensPerSecond).toBeCloseTo(1 / latency, 6);
    expect(many.tokensPerSecond).toBeCloseTo(wafer.clock / Math.max(halves[0].cycles, halves[1].cycles), 6);
    expect(many.saturated).toBe(2);
    const alone = powerAt(program, halves, 1, one.tokensPerSecond, wafer, heatFacts);
    const busy = powerAt(program, halves, 1, many.tokensPerSecond, wafer, heatFacts);
    expect(alone.idle).toBeCloseTo(0.3 * wafer.systemPower, 6);
    expect(alone.joulesPerToken * one.tokensPerSecond).toBeCloseTo(alone.total, 6);
    expect(busy.joulesPerToken).toBeLessThan(alone.joulesPerToken);
    expect(busy.total).toBeGreaterThan(alone.total);
    expect(busy.total).toBeLessThan(busy.rated);
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { graphOf } from '../../model/index.ts';
import { findLlm, findWafer, heatFacts, resolveWafer, silicon } from '../../spec/index.ts';
import { noMemory, type Program, type Region, type Stage } from '../../wafer/index.ts';
import { offWaferBytes, powerAt, stageEnergies } from './energy.ts';
import { createHardwareModel } from './hardware.ts';
import { createHeatResponse, dieGrid, heatMap } from './heat.ts';
import { total } from './price.ts';
import { createSectionCost } from './section-cost.ts';
import { createStepModel } from './step-model.ts';

const wafer = resolveWafer(findWafer('wse3'));
const memory = { ...noMemory, capacity: wafer.sramPerPe, kvPerToken: 1, kvTokens: 4096 };
const stage = (on: number, x: number, fromLayer: number, toLayer: number): Stage => ({
  wafer: on,
  region: { x, y: 100, width: 200, height: 200 },
  groups: { x: 14, y: 14 },
  fromLayer,
  toLayer,
  hasEmbedding: fromLayer === 0,
  hasHead: toLayer === 32,
  memory,
});
const program: Program = {
  format: 'ingot-program',
  version: 2,
  target: 'wse3',
  model: 'llama-3.1-8b',
  graph: graphOf(findLlm('llama-3.1-8b').shape),
  numerics: { weights: 'f16', activations: 'fp16', kv: 'fp16' },
  prefillChunk: 16,
  stages: [stage(0, 0, 0, 10), stage(0, 250, 10, 20), stage(1, 0, 20, 32)],
} as Program;
const steps = createStepModel(program, wafer);
const model = createHardwareModel(program, wafer, steps, heatFacts, silicon['wse3']);
const grid = dieGrid(silicon['wse3']);
const area = { width: wafer.programWidth, height: wafer.programHeight };

describe('the machine while it works', () => {
  it('draws what energy.ts says for the same rate of decoded tokens, at any context, within 1 %', () => {
    for (const cached of [0, 77, 1000, 4000]) {
      const [seconds, tokens] = [2, 3000];
      const state = model.state({ seconds, tokens, cached: cached * tokens, logits: tokens, busy: [0, 0, 0] });
      const energies = stageEnergies(program, wafer, heatFacts, cached);
      const power = powerAt(program, energies, 2, tokens / seconds, wafer, heatFacts);
      expect(state.power.idle).toBe(power.idle);
      for (const cause of ['elements', 'fabric', 'offWafer'] as const)
        expect(Math.abs(state.power[cause] / power[cause] - 1), `${cause} at ${cached}`).toBeLessThan(0.01);
      expect(state.total).toBeCloseTo(
        Object.values(state.power).reduce((sum, watts) => sum + watts, 0),
        6,
      );
      expect(state.rated).toBe(power.rated);
    }
  });

  it('draws less for tokens of a prompt, whose logits nobody makes', () => {
    const work = { seconds: 1, tokens: 100, cached: 0, busy: [0, 0, 0] };
    const [prompt, answer] = [0, 100].map((logits) => model.state({ ...work, logits }));
    expect(prompt.power.elements).toBeLessThan(answer.power.elements);
    expect(answer.power.offWafer - prompt.power.offWafer).toBeCloseTo(
      100 * (offWaferBytes(program, 2) - offWaferBytes(program, 2, 0)) * 8 * heatFacts.offWaferBit.value,
      12,
    );
  });

  it('rests at idle power, with the coolant above its inlet by that share, and unthrottled', () => {
    const state = model.state({ seconds: 0, tokens: 0, cached: 0, logits: 0, busy: [0, 0, 0] });
    expect(state.total).toBe(2 * heatFacts.idleShare.value * wafer.systemPower);
    const { coolantInlet, coolantRise, idleShare } = heatFacts;
    expect(state.coolant).toBeCloseTo(coolantInlet.value + coolantRise.value * idleShare.value, 9);
    expect(state.hottest).toBeGreaterThan(state.coolant);
    expect(state.clockScale).toBe(1);
    expect(state.stages).toEqual(Array.from({ length: 3 }, () => ({ busy: 0, linkLoad: 0 })));
  });

  it('loads links by the wavelets that cross them, and says how busy its regions are', () => {
    const { clock } = wafer;
    const energies = stageEnergies(program, wafer, heatFacts, 0);
    const state = model.state({ seconds: 1, tokens: 500, cached: 0, logits: 500, busy: [0.5, 0.25, 0] });
    const links = 4 * 200 * 199;
    state.stages.forEach(({ linkLoad }, s) =>
      expect(linkLoad).toBeCloseTo((500 * energies[s].hops) / (links * wafer.linkRate * clock), 9),
    );
    expect(state.stages.map(({ busy }) => busy)).toEqual([0.5, 0.25, 0]);
  });

  it('throttles where the work is too hot, as the heat map does', () => {
    const work = { seconds: 1, tokens: 2e8, cached: 0, logits: 2e8, busy: [1, 1, 1] };
    const { clockScale, hottest } = model.state(work);
    expect(hottest).toBeGreaterThan(heatFacts.temperatureLimit.value);
    expect(clockScale).toBeLessThan(1);
  });
});

describe('the response of temperature to power', () => {
  const regions: Region[] = [
    { x: 0, y: 0, width: 300, height: 200 },
    { x: 400, y: 700, width: 100, height: 300 },
    { x: 600, y: 10, width: 33, height: 44 },
  ];
  const idle = 6900;
  const response = createHeatResponse(grid, area, idle, regions, wafer.systemPower, heatFacts);

  it('equals the map that is solved anew', () => {
    const watts = fc.double({ min: 0, max: 30_000, noNaN: true });
    fc.assert(
      fc.property(fc.tuple(watts, watts, watts), (powers) => {
        const sources = regions.map((region, i) => ({ region, power: powers[i] }));
        const map = heatMap(grid, area, idle, sources, wafer.systemPower, heatFacts);
        const found = response(powers);
        expect(found.coolant).toBeCloseTo(map.coolant, 6);
        expect(found.hottest).toBeCloseTo(map.hottest, 3);
        expect(found.clockScale).toBeCloseTo(map.clockScale, 5);
      }),
      { numRuns: 20 },
    );
  });
});

describe('busy time of a step', () => {
  it('of one token is that of each stage, and adds up to the step without links to the host', () => {
    for (const cached of [0, 500, 3000]) {
      const cost = steps.step({ items: [{ tokens: 1, cached }] });
      const busy = [...cost.busy()];
      steps.stageSeconds(cached).forEach((time, s) => expect(busy[s]).toBeCloseTo(time, 12));
      expect(busy.reduce((sum, time) => sum + time, 0)).toBeLessThanOrEqual(cost.time);
    }
  });

  it('never exceeds the step for any stage, whatever its shape', () =>
    fc.assert(
      fc.property(
        fc.array(fc.record({ tokens: fc.integer({ min: 1, max: 40 }), cached: fc.integer({ min: 0, max: 2000 }) }), {
          minLength: 1,
          maxLength: 6,
        }),
        (items) => {
          const cost = steps.step({ items });
          for (const time of cost.busy()) {
            expect(time).toBeGreaterThan(0);
            expect(time).toBeLessThanOrEqual(cost.time * (1 + 1e-9));
          }
        },
      ),
      { numRuns: 40 },
    ));
});

describe('the passage of a token', () => {
  it('takes the time of its stages, and its layers their parts, sums over the region among them', () => {
    for (const cached of [0, 3000]) {
      const passage = model.passage(cached);
      const times = steps.stageSeconds(cached);
      const cost = createSectionCost(program.graph.layers[0], { width: 200, height: 200 }, program.numerics, wafer);
      const layer = total(cost.step([{ tokens: 1, cached }])) / wafer.clock;
      passage.forEach(({ seconds, parts }, s) => {
        expect(seconds).toBe(times[s]);
        expect(parts.reduce((sum, part) => sum + part.seconds, 0)).toBeCloseTo(layer, 12);
        // Query, key and value; output; gate and up; down; two norms; attention's maximum and sums.
        expect(parts.filter(({ kind }) => kind === 'collective').length).toBeGreaterThanOrEqual(6);
        const { fromLayer, toLayer } = program.stages[s];
        expect((toLayer - fromLayer) * layer).toBeLessThanOrEqual(seconds);
      });
    }
  });
});

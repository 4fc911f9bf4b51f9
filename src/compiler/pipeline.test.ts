import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openCheckpoint } from '../model/index.node.ts';
import { createPlacementCost } from '../sim/index.ts';
import { findWafer, resolveWafer } from '../spec/index.ts';
import { expectGolden } from '../../test/golden.ts';
import { orderErrors, passes, runPipeline } from './pipeline.ts';

const wafer = resolveWafer(findWafer('wse3'));
const numerics = { weights: 'bf16', activations: 'fp32', kv: 'fp32' } as const;
const checkpoint = openCheckpoint(join(import.meta.dirname, '..', '..', 'checkpoint'));
const { graph } = checkpoint;
checkpoint.close();
const options = {
  model: 'ingot-tiny',
  graph,
  wafer,
  numerics,
  kvTokens: 2048,
  cost: createPlacementCost(graph, numerics, wafer),
};

describe('the pipeline', () => {
  it('gives every pass what it needs, and every slot once', () => {
    expect(orderErrors(passes)).toEqual([]);
  });

  it('finds an order in which a pass lacks something, and a slot that two passes give', () => {
    for (const [i, pass] of passes.entries()) {
      const without = passes.filter((_, j) => j !== i);
      const isRead = without.some(({ needs }) => needs.some((slot) => pass.gives.includes(slot)));
      expect(orderErrors(without).length > 0).toBe(isRead);
      expect(orderErrors([...passes, pass]).length).toBeGreaterThan(0);
    }
    expect(() =>
      runPipeline(
        options,
        undefined,
        passes.filter(({ name }) => name !== 'fuse'),
      ),
    ).toThrow('needs sections');
  });

  it('stops after a pass whose law does not hold, and names it', () => {
    const broken = passes.map((pass) =>
      pass.name === 'place'
        ? { ...pass, run: (...args: Parameters<typeof pass.run>) => ({ ...pass.run(...args), places: [] }) }
        : pass,
    );
    expect(() => runPipeline(options, undefined, broken)).toThrow(/after pass place: every part has a region/);
  });

  const shown = new Map<string, unknown>();
  runPipeline(options, (pass, show) => shown.set(pass.name, show()));
  it.each(passes.map(({ name }) => name))('makes of the shipped checkpoint what is on file: %s', (name) => {
    const pass = passes.find((p) => p.name === name);
    expectGolden(`passes/${name}.txt`, `${pass?.sentence}\n\n${JSON.stringify(shown.get(name), null, 2)}\n`);
  });
});

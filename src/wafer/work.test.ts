import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { graphOf } from '../model/index.ts';
import { findLlm, findWafer, resolveWafer } from '../spec/index.ts';
import { lowerBroadcast } from './collective/broadcast.ts';
import { twoLevel } from './collective/two-level.ts';
import { expVectors } from './kernel/index.ts';
import { waveletsOf } from './phase.ts';
import { treeRoot } from './reduction.ts';
import { allReduceWork, sectionWork } from './work.ts';
import { simulate } from '../sim/index.ts';
import { groupSize } from './collective/index.ts';

const wafer = resolveWafer(findWafer('wse2'));

describe('work of an all-reduce', () => {
  it('crosses as many links and ramps as its program does on the cycle simulator', () =>
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 40 }),
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 1, max: 9 }),
        fc.constantFrom('fp16', 'fp32'),
        (parts, group, values, type) => {
          const line = { parts, group: Math.min(group, parts), values, type };
          const reduce = simulate(twoLevel.lower(line, wafer).program, wafer).counts;
          const back = simulate(lowerBroadcast(line, treeRoot(parts, line.group), wafer).program, wafer).counts;
          const work = allReduceWork(line);
          expect(work.hops).toBe(reduce.hops + back.hops);
          // Down the ramp each message once, up once; the multicast goes up once and down everywhere but there.
          const wavelets = waveletsOf(values, type);
          expect(work.ramps).toBe(2 * reduce.delivered + back.delivered + wavelets);
        },
      ),
      { numRuns: 40 },
    ));
});

describe('work of a layer', () => {
  const graph = graphOf(findLlm('llama-3.1-8b').shape);
  const of = (width: number, height: number, tokens = 1, cached = 0) =>
    sectionWork(graph.layers[0], 'y', {
      width,
      height,
      tokens,
      cached,
      type: 'fp16',
      group: groupSize,
      expVectors,
    });

  it('multiplies every weight once', () => {
    const { hidden } = graph.shape;
    const matrices = graph.layers[0].reduce((sum, op) => sum + (op.kind === 'linear' ? op.n * op.k : 0), 0);
    const { elements } = of(64, 64);
    expect(elements.fp16).toBeGreaterThan(matrices);
    // Besides: norms, rotation, activation and sums, which all lines of PEs repeat.
    expect(elements.fp16).toBeLessThan(matrices + 64 * 64 * (hidden / 64) * 200);
  });

  it('grows with tokens, with the context, and with the mesh', () => {
    expect(of(64, 64, 8).elements.fp16).toBeGreaterThan(4 * of(64, 64).elements.fp16);
    expect(of(64, 64, 1, 8192).elements.fp16).toBeGreaterThan(of(64, 64).elements.fp16);
    expect(of(128, 128).hops).toBeGreaterThan(of(64, 64).hops);
  });
});

// Laws of the fabric, on random meshes, trees, types and lengths, by the plain engine: the others are held to it in
// engines.test.ts.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRng } from '../../core/index.ts';
import type { DefectMap } from '../../wafer/index.ts';
import { interpret, type MemoryReader } from '../../wafer/machine/index.ts';
import { simulate } from './simulate.ts';
import { touched } from './testing/detour.ts';
import { detouredTraffic, traffic, variedTraffic, type Traffic } from './testing/random-traffic.ts';
import { shuffle, wse2 } from './testing/programs.ts';

const runs = { numRuns: 120 };

const contents = ({ expected }: Traffic, run: MemoryReader): number[][] =>
  expected.map(({ x, y, object }) => [...run.read(x, y, object)]);

describe('fabric', () => {
  it('loses, duplicates and reorders no wavelet of a color', () => {
    fc.assert(
      fc.property(traffic, (t) => {
        const run = simulate(t.program, wse2, { ...t, engine: 'plain' });
        expect(contents(t, run)).toEqual(t.expected.map(({ values }) => values));
      }),
      runs,
    );
  });

  it('does neither where routes lead around dead PEs and links', () => {
    let detours = 0;
    fc.assert(
      fc.property(detouredTraffic, (t) => {
        const { deadPes, deadLinks } = t.defects as DefectMap;
        if (deadPes.length + deadLinks.length > 0 && t.expected.length > 0) detours++;
        expect(touched(t.defects as DefectMap, t.program.routes)).toEqual([]);
        const run = simulate(t.program, wse2, { ...t, engine: 'plain' });
        expect(contents(t, run)).toEqual(t.expected.map(({ values }) => values));
      }),
      runs,
    );
    expect(detours).toBeGreaterThan(runs.numRuns / 3);
  });

  it('does neither where control wavelets turn switches, filters drop, and tasks and FIFOs take at their own pace', () => {
    const seen = { switched: 0, filtered: 0, tasks: 0 };
    fc.assert(
      fc.property(variedTraffic, (t) => {
        for (const kind of ['switched', 'filtered', 'tasks'] as const) if (t[kind]) seen[kind]++;
        const run = simulate(t.program, wse2, { ...t, engine: 'plain' });
        expect(contents(t, run)).toEqual(t.expected.map(({ values }) => values));
      }),
      { numRuns: 200 },
    );
    for (const count of Object.values(seen)) expect(count).toBeGreaterThan(30);
  });

  it('gives the values of the untimed interpreter, in whatever order that visits the PEs', () => {
    fc.assert(
      fc.property(traffic, fc.integer(), (t, seed) => {
        const timed = contents(t, simulate(t.program, wse2, { ...t, engine: 'plain' }));
        expect(contents(t, interpret(t.program, wse2, t))).toEqual(timed);
        expect(contents(t, interpret(t.program, wse2, { ...t, rng: createRng(seed) }))).toEqual(timed);
      }),
      runs,
    );
  });

  it('does not depend on the order in which PEs are visited within a cycle; the same run twice is the same', () => {
    fc.assert(
      fc.property(traffic, fc.integer(), (t, seed) => {
        const plain = simulate(t.program, wse2, { ...t, engine: 'plain' });
        for (const engine of ['plain', 'routes'])
          for (const order of [undefined, shuffle(createRng(seed))]) {
            const again = simulate(t.program, wse2, { ...t, engine, order });
            expect(again.cycles).toBe(plain.cycles);
            expect(again.counts).toEqual(plain.counts);
            expect(again.busy).toEqual(plain.busy);
            expect(again.links).toEqual(plain.links);
            expect(contents(t, again)).toEqual(contents(t, plain));
          }
      }),
      runs,
    );
  });
});

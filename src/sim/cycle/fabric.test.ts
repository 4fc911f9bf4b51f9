// Laws of the fabric, on random meshes, trees, types and lengths.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRng } from '../../core/index.ts';
import type { DefectMap } from '../../wafer/index.ts';
import { interpret } from '../../wafer/machine/index.ts';
import type { MemoryReader } from '../../wafer/machine/index.ts';
import { simulate } from './simulate.ts';
import { touched } from './testing/detour.ts';
import { detouredTraffic, traffic } from './testing/random-traffic.ts';
import type { Traffic } from './testing/random-traffic.ts';
import { shuffle, wse2 } from './testing/programs.ts';

const runs = { numRuns: 120 };

const contents = ({ expected }: Traffic, run: MemoryReader): number[][] =>
  expected.map(({ x, y, object }) => [...run.read(x, y, object)]);

describe('fabric', () => {
  it('loses, duplicates and reorders no wavelet of a color', () => {
    fc.assert(
      fc.property(traffic, (t) => {
        const run = simulate(t.program, wse2, t);
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
        const run = simulate(t.program, wse2, t);
        expect(contents(t, run)).toEqual(t.expected.map(({ values }) => values));
      }),
      runs,
    );
    expect(detours).toBeGreaterThan(runs.numRuns / 3);
  });

  it('gives the values of the untimed interpreter, in whatever order that visits the PEs', () => {
    fc.assert(
      fc.property(traffic, fc.integer(), (t, seed) => {
        const timed = contents(t, simulate(t.program, wse2, t));
        expect(contents(t, interpret(t.program, wse2, t))).toEqual(timed);
        expect(contents(t, interpret(t.program, wse2, { ...t, rng: createRng(seed) }))).toEqual(timed);
      }),
      runs,
    );
  });

  it('does not depend on the order in which PEs are visited within a cycle; the same run twice is the same', () => {
    fc.assert(
      fc.property(traffic, fc.integer(), (t, seed) => {
        const order = shuffle(createRng(seed));
        const plain = simulate(t.program, wse2, t);
        for (const again of [simulate(t.program, wse2, { ...t, order }), simulate(t.program, wse2, t)]) {
          expect(again.cycles).toBe(plain.cycles);
          expect(again.counts).toEqual(plain.counts);
          expect(again.busy).toEqual(plain.busy);
          expect(again.load).toEqual(plain.load);
          expect(contents(t, again)).toEqual(contents(t, plain));
        }
      }),
      runs,
    );
  });
});

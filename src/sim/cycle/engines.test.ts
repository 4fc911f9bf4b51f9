// The law that makes fast engines usable: wherever one takes a program, nothing that a run leaves differs from
// what the plain engine leaves, and a run that fails fails alike.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IngotError } from '../../core/index.ts';
import { collectives } from '../../wafer/index.ts';
import type { MachineProgram, MemoryImage } from '../../wafer/machine/index.ts';
import { createActivity } from './activity.ts';
import { engines } from './engine/index.ts';
import { simulate, type EngineChoice } from './simulate.ts';
import { wse2 } from './testing/programs.ts';
import { localProgram } from './testing/random-local.ts';
import { orderedTraffic, traffic, variedTraffic } from './testing/random-traffic.ts';
import { timingOf } from './timing.ts';

interface Case {
  readonly program: MachineProgram;
  readonly inputs: readonly MemoryImage[];
}

const reasonOf = (error: unknown) => {
  if (!(error instanceof IngotError)) throw error;
  return error.diagnostics;
};

/** All that a run leaves, or why there was none. */
function outcome({ program, inputs }: Case, engine: EngineChoice) {
  try {
    const run = simulate(program, wse2, { inputs, engine });
    const { cycles, counts, busy, load, links } = run;
    const values = program.tiles.flatMap(({ on, role }) =>
      program.roles[role].memory.map(({ name }) => run.read(on.x, on.y, name)),
    );
    return { cycles, counts, busy, load, links, values };
  } catch (error) {
    return { failed: reasonOf(error) };
  }
}

const isRefused = (result: ReturnType<typeof outcome>): boolean =>
  result.failed?.some(({ code }) => code === 'ENGINE_REFUSED') === true;

/** The law over many programs; the share of them that the engine takes. */
function taken(engine: EngineChoice, cases: fc.Arbitrary<Case>, numRuns: number): number {
  let all = 0;
  let refusals = 0;
  fc.assert(
    fc.property(cases, (each) => {
      all++;
      const fast = outcome(each, engine);
      if (isRefused(fast)) refusals++;
      else expect(fast).toEqual(outcome(each, 'plain'));
    }),
    { numRuns },
  );
  return 1 - refusals / all;
}

/** Collectives whose PEs do one thing after another, over routes that stay. */
const streamed = ['broadcast', 'chain'];

const lines = (ids: readonly string[]): fc.Arbitrary<Case> =>
  fc
    .record({
      id: fc.constantFrom(...ids),
      parts: fc.integer({ min: 1, max: 40 }),
      values: fc.integer({ min: 1, max: 30 }),
      type: fc.constantFrom('fp32', 'fp16'),
      group: fc.integer({ min: 1, max: 9 }),
    })
    .map(
      ({ id, ...line }): Case => ({
        program: collectives[id].lower(line, wse2).program,
        inputs: Array.from({ length: line.parts }, (_, x) => ({
          x,
          y: 0,
          object: 'x',
          values: Array.from({ length: line.values }, (__, i) => Math.fround(0.1 * x + i)),
        })),
      }),
    );

describe.each(engines.filter(({ id }) => id !== 'plain'))('$id', ({ id }) => {
  it('is the plain engine on random traffic, whether it ends or not', () => {
    expect(taken(id, traffic, 150)).toBeGreaterThan(id === 'routes' ? 0.99 : 0.1);
    expect(taken(id, orderedTraffic, 200)).toBeGreaterThan(id === 'routes' ? 0.99 : 0.3);
  });

  it('is the plain engine, or refuses, where switches turn, filters drop, and tasks and FIFOs take', () => {
    const share = taken(id, variedTraffic, 150);
    if (id === 'routes') expect(share).toBe(1);
    else expect(share).toBeLessThan(0.9);
  });

  it('is the plain engine on random work between messages', () => {
    const oneByOne = fc.integer().map((seed) => localProgram(seed, true));
    expect(taken(id, oneByOne, 100)).toBeGreaterThan(id === 'routes' ? 0.99 : 0.9);
    const any = fc.integer().map((seed) => localProgram(seed));
    if (id === 'routes') expect(taken(id, any, 100)).toBe(1);
  });

  it('is the plain engine on collectives', () => {
    expect(taken(id, lines(Object.keys(collectives)), 150)).toBeGreaterThan(id === 'routes' ? 0.99 : 0.1);
    expect(taken(id, lines(streamed), 40)).toBe(1);
  });
});

describe('routes', () => {
  it('tells watchers of CEs the same', () => {
    fc.assert(
      fc.property(orderedTraffic, ({ program, inputs }) => {
        const held = (engine: EngineChoice): Int32Array | undefined => {
          let activity: Int32Array | undefined;
          try {
            simulate(program, wse2, {
              inputs,
              engine,
              observe: (m) => {
                const watcher = createActivity(m, timingOf(wse2));
                activity = watcher.held;
                return [watcher];
              },
            });
          } catch (error) {
            reasonOf(error);
          }
          return activity;
        };
        expect(held('routes')).toEqual(held('plain'));
      }),
      { numRuns: 50 },
    );
  });
});

// The law that lets the engine do a CE's work ahead of the others: no cycle, count or value differs from the
// plain schedule, in which every step is taken in its own cycle.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IngotError, createRng } from '../../core/index.ts';
import type { MachineProgram } from '../../wafer/machine/index.ts';
import { createActivity } from './activity.ts';
import { simulate, type SimulateOptions } from './simulate.ts';
import { machine, main, role, shuffle, wse2 } from './testing/programs.ts';
import { localObjects, localProgram } from './testing/random-local.ts';
import { traffic } from './testing/random-traffic.ts';
import { timingOf } from './timing.ts';
import { createWakeRing } from './wake.ts';

function outcome(program: MachineProgram, options: SimulateOptions, objects: readonly string[]) {
  const held: Int32Array[] = [];
  const run = simulate(program, wse2, {
    ...options,
    explain: true,
    observe: (m) => {
      const activity = createActivity(m, timingOf(wse2));
      held.push(activity.held);
      return [activity];
    },
  });
  const { cycles, counts, breakdown, busy, load, links } = run;
  const pes = Array.from({ length: program.width * program.height }, (_, pe) => pe);
  const values = pes.map((pe) =>
    objects.map((object) => run.read(pe % program.width, Math.floor(pe / program.width), object)),
  );
  return { cycles, counts, breakdown, busy, load, links, held, values };
}

/** Without anybody who watches, when whole blocks of instructions are done at once. */
function unwatched(program: MachineProgram, options: SimulateOptions, objects: readonly string[]) {
  const { cycles, counts, busy, load, links, read } = simulate(program, wse2, { ...options, engine: 'plain' });
  const pes = Array.from({ length: program.width * program.height }, (_, pe) => pe);
  const values = pes.map((pe) =>
    objects.map((object) => read(pe % program.width, Math.floor(pe / program.width), object)),
  );
  return { cycles, counts, busy, load, links, values };
}

function refusal(run: () => void): (string | undefined)[] {
  try {
    run();
  } catch (error) {
    if (error instanceof IngotError) return error.diagnostics.map(({ where }) => where);
  }
  return [];
}

describe('a CE that goes ahead', () => {
  it('changes no cycle, count or value of random work between messages', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const { program, inputs } = localProgram(seed);
        const plain = outcome(program, { inputs, stepByStep: true }, localObjects);
        expect(outcome(program, { inputs }, localObjects)).toEqual(plain);
        const order = shuffle(createRng(seed));
        expect(outcome(program, { inputs, order }, localObjects)).toEqual(plain);
        expect(plain).toMatchObject(unwatched(program, { inputs }, localObjects));
      }),
      { numRuns: 400 },
    );
  });

  it('changes nothing of random traffic', () => {
    fc.assert(
      fc.property(traffic, ({ program, inputs }) => {
        const plain = outcome(program, { inputs, stepByStep: true }, []);
        expect(outcome(program, { inputs }, [])).toEqual(plain);
        expect(plain).toMatchObject(unwatched(program, { inputs }, []));
      }),
      { numRuns: 100 },
    );
  });

  it('reports the fault that comes first, also when the other PE was looked at before', () => {
    const faulty = (steps: number) =>
      role({
        memory: [{ name: 'x', dtype: 'fp32', length: 4, address: 0 }],
        ...main(...Array.from({ length: steps }, () => ({ kind: 'store', object: 'x', index: 0, src: 1 }) as const), {
          kind: 'store',
          object: 'x',
          index: { register: 0 },
          src: 0,
        }),
        registers: [4],
      });
    const program = machine(
      2,
      1,
      [],
      [
        [0, 0, faulty(60)],
        [1, 0, faulty(20)],
      ],
    );
    for (const stepByStep of [true, false])
      expect(refusal(() => simulate(program, wse2, { stepByStep }))).toEqual(['PE (1, 0)']);
  });

  it('waits for room in a FIFO', () => {
    const pusher = role({
      memory: [{ name: 'ring', dtype: 'fp32', length: 4, address: 0 }],
      dsds: { ring: { kind: 'fifo', object: 'ring', length: 5 } },
      ...main({ kind: 'vector', op: 'mov', dtype: 'fp32', dst: 'ring', src: [1] }),
    });
    for (const stepByStep of [true, false])
      expect(() => simulate(machine(1, 1, [], [[0, 0, pusher]]), wse2, { stepByStep })).toThrow(/DEADLOCK/);
  });
});

describe('wake ring', () => {
  it('lists each id in its cycle, however far ahead, and once', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(9), fc.nat(5000))), (wakes) => {
        const ring = createWakeRing(10);
        for (const [id, at] of wakes) ring.wake(id, at);
        const found: string[] = [];
        for (let at = 0; ring.pending() > 0; at++) {
          const count = ring.take(at);
          for (const id of ring.taken().subarray(0, count)) found.push(`${id} ${at}`);
        }
        expect(found.sort()).toEqual([...new Set(wakes.map(([id, at]) => `${id} ${at}`))].sort());
      }),
    );
  });
});

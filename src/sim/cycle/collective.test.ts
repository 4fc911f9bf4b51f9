// Collectives, cycle by cycle: right sums, the order that is promised, the counts that are stated.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRng } from '../../core/index.ts';
import { publishedRows } from '../../spec/index.ts';
import { collectives, outcomeAt, reduceInOrder, sliceLength, waveletsOf, type LineShape } from '../../wafer/index.ts';
import { interpret, type MemoryImage } from '../../wafer/machine/index.ts';
import { collectiveCycles } from '../analytic/collective-cost.ts';
import { simulateCollective } from './testing/simulate-collective.ts';
import { simulate } from './simulate.ts';
import { shuffle, wse2 } from './testing/programs.ts';

const { taskStart, vectorStartup } = wse2;
const execute = 1;

const shapes = fc.record({
  parts: fc.integer({ min: 1, max: 40 }),
  values: fc.integer({ min: 1, max: 30 }),
  type: fc.constantFrom('fp32', 'fp16'),
  group: fc.integer({ min: 1, max: 9 }),
});

const inputsOf = ({ parts, values }: LineShape, seed: number, draw: (u: number) => number): MemoryImage[] => {
  const rng = createRng(seed);
  return Array.from({ length: parts }, (_, x) => ({
    x,
    y: 0,
    object: 'x',
    values: Array.from({ length: values }, () => draw(rng.uniform())),
  }));
};

const inSlices = ['reduce-scatter', 'all-gather', 'all-to-all', 'ring'];

/** Small integers are summed exactly in every type and order. */
const integers = (u: number): number => Math.floor(u * 21) - 10;

describe.each(Object.values(collectives))('$id', (collective) => {
  it('leaves the right values where it says, untimed and timed, within its colors', () => {
    fc.assert(
      fc.property(shapes, fc.integer(), (line, seed) => {
        const { program, results, outcome = 'x' } = collective.lower(line, wse2);
        const inputs = inputsOf(line, seed, integers);
        for (const run of [
          simulate(program, wse2, { inputs }),
          interpret(program, wse2, { inputs, rng: createRng(seed) }),
        ])
          for (const x of results) {
            const { from, to, value } = outcomeAt(collective.does, line, x, (pe, i) => inputs[pe].values[i]);
            const expected = Array.from({ length: to - from }, (_, i) => value(from + i));
            expect([...run.read(x, 0, outcome)].slice(from, to)).toEqual(expected);
          }
        expect(new Set(program.routes.map((rule) => rule.color)).size).toBeLessThanOrEqual(collective.colors);
      }),
      { numRuns: 40 },
    );
  });

  // Where the vector goes in slices every PE handles others, and is a kind of its own.
  it.skipIf(inSlices.includes(collective.id))('runs the same program, in shape, on a line of any length', () => {
    const size = (parts: number): number =>
      Object.keys(collective.lower({ parts, values: 4, type: 'fp32', group: 8 }, wse2).program.roles).length;
    // Roles are the different kinds of PEs; only a tree has more of them on a longer line (one kind per depth).
    expect(size(512)).toBeLessThanOrEqual(collective.id === 'tree' ? 2 * 9 + 1 : size(64));
  });

  it('does not depend on the order in which PEs are visited', () => {
    fc.assert(
      fc.property(shapes, fc.integer(), (line, seed) => {
        const { program } = collective.lower(line, wse2);
        const inputs = inputsOf(line, seed, (u) => u - 0.5);
        const plain = simulate(program, wse2, { inputs });
        const shuffled = simulate(program, wse2, { inputs, order: shuffle(createRng(seed)) });
        expect(shuffled.cycles).toBe(plain.cycles);
        expect(shuffled.counts).toEqual(plain.counts);
        for (let x = 0; x < line.parts; x++) expect(shuffled.read(x, 0, 'x')).toEqual(plain.read(x, 0, 'x'));
      }),
      { numRuns: 20 },
    );
  });

  it('accounts for every cycle of its critical path', () => {
    fc.assert(
      fc.property(shapes, (line) => {
        const { cycles, breakdown } = simulateCollective(collective.id, line, wse2);
        const { compute, link, ramp, task, stall } = breakdown;
        expect(compute + link + ramp + task + stall).toBe(cycles);
        expect(Math.min(compute, link, ramp, task, stall)).toBeGreaterThanOrEqual(0);
      }),
      { numRuns: 20 },
    );
  });
});

describe('critical path', () => {
  it('of a chain: every word once, and per stage one add, one link and two ramps', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 40 }), fc.integer({ min: 1, max: 100 }), (parts, values) => {
        const line: LineShape = { parts, values, type: 'fp32', group: parts };
        const stages = parts - 1;
        expect(simulateCollective('chain', line, wse2).breakdown).toEqual({
          compute: vectorStartup + values + stages * execute,
          link: stages * wse2.hop,
          ramp: stages * 2 * wse2.ramp,
          task: taskStart,
          stall: 0,
        });
      }),
      { numRuns: 20 },
    );
  });

  it('of a pipeline: the first task and one per relay on the way to the root, then the way back', () => {
    const { breakdown } = simulateCollective('pipeline', { parts: 20, values: 8, type: 'fp32', group: 1 }, wse2);
    expect(breakdown.task).toBe((1 + 18) * taskStart);
    expect(breakdown.link).toBe(2 * 19 * wse2.hop);
  });
});

describe('order of addition', () => {
  it('two-level adds in the order of reduceInOrder, bit for bit', () => {
    fc.assert(
      fc.property(shapes, fc.integer(), (line, seed) => {
        const single: LineShape = { ...line, type: 'fp32' };
        const { program, results } = collectives['two-level'].lower(single, wse2);
        const inputs = inputsOf(single, seed, (u) => Math.fround((u - 0.5) * 10 ** (10 * u)));
        const sums = Array.from({ length: single.values }, (_, i) =>
          reduceInOrder(
            { tile: 1, parts: single.parts, group: single.group },
            (part) => inputs[part].values[i],
            Math.fround,
          ),
        );
        expect([...simulate(program, wse2, { inputs }).read(results[0], 0, 'x')]).toEqual(sums);
      }),
      { numRuns: 60 },
    );
  });
});

/** Simulated cycles beyond the closed form. */
const beyond = (id: string, line: LineShape): number =>
  simulateCollective(id, line, wse2).cycles - collectiveCycles(collectives[id], line, wse2);

describe('phases() against the simulation', () => {
  // The closed form of a posted collective begins when all operations are posted. The simulation begins when
  // the tasks are activated, so it has one task start more, and one vector start-up per instruction in turn.
  const line = fc.record({
    parts: fc.integer({ min: 2, max: 64 }),
    values: fc.integer({ min: 1, max: 100 }),
    type: fc.constantFrom('fp32', 'fp16'),
  });

  it('chain: exact, with one task start and one start-up', () => {
    fc.assert(
      fc.property(line, (l) => {
        expect(beyond('chain', { ...l, group: l.parts })).toBe(taskStart + vectorStartup);
      }),
      { numRuns: 40 },
    );
  });

  it('two-phase: exact for whole groups, with one task start and two start-ups', () => {
    fc.assert(
      fc.property(line, fc.integer({ min: 2, max: 8 }), fc.integer({ min: 2, max: 8 }), (l, group, groups) => {
        const setUp = taskStart + 2 * vectorStartup;
        expect(beyond('two-phase', { ...l, parts: group * groups, group })).toBe(setUp);
        // A short last group begins the second phase early: it saves time, or competes with the first for links.
        expect(beyond('two-phase', { ...l, group })).toBeLessThanOrEqual(setUp + waveletsOf(l.values, l.type));
      }),
      { numRuns: 40 },
    );
  });

  it('star: exact, with one task start and one start-up; messages about as long as the buffers hide some start-ups', () => {
    fc.assert(
      fc.property(line, (l) => {
        const isShort = waveletsOf(l.values, l.type) < 6;
        expect(beyond('star', { ...l, values: isShort ? l.values : l.values + 16, group: 1 })).toBe(
          taskStart + vectorStartup,
        );
        expect(beyond('star', { ...l, group: 1 })).toBeLessThanOrEqual(taskStart + vectorStartup);
      }),
      { numRuns: 20 },
    );
  });

  // Else the receiver of a message that has waited may first finish what it does: 9 cycles at most were seen up to 1,000 PEs.
  it('tree: exact for powers of two, with one task start; up to 9 cycles more for other numbers', () => {
    fc.assert(
      fc.property(line, fc.integer({ min: 1, max: 6 }), (l, rounds) => {
        expect(beyond('tree', { ...l, parts: 2 ** rounds, group: 1 })).toBe(taskStart);
        const more = beyond('tree', { ...l, group: 1 }) - taskStart;
        expect(more).toBeGreaterThanOrEqual(0);
        expect(more).toBeLessThanOrEqual(9);
      }),
      { numRuns: 60 },
    );
  });

  it('broadcast: exact, with one task start', () => {
    fc.assert(
      fc.property(line, (l) => {
        expect(beyond('broadcast', { ...l, group: 1 })).toBe(taskStart);
      }),
      { numRuns: 40 },
    );
  });

  it('pipeline: exact, with one task start, and a cycle to unblock the way back where a long message still passes', () => {
    fc.assert(
      fc.property(line, (l) => {
        const more = beyond('pipeline', { ...l, group: 1 }) - taskStart;
        expect(more).toBeGreaterThanOrEqual(0);
        expect(more).toBeLessThanOrEqual(waveletsOf(l.values, l.type) > 3 ? 1 : 0);
      }),
      { numRuns: 40 },
    );
  });

  // The closed form begins with the first instruction, the simulation with its task. Where a level's two chains are
  // equally long, the second waits in full buffers while the root takes the first, and starts again in up to 3 cycles.
  it('two-level: one task start, and up to 3 cycles per level, for whole groups', () => {
    fc.assert(
      fc.property(line, fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }), (l, group, groups) => {
        const shape = { ...l, parts: group * groups, group };
        fc.pre(shape.parts > 1);
        const more = beyond('two-level', shape) - taskStart;
        const equal = [group, groups].filter((count) => count > 1 && count % 2 === 1).length;
        expect(more).toBeGreaterThanOrEqual(0);
        expect(more).toBeLessThanOrEqual(3 * equal);
      }),
      { numRuns: 60 },
    );
  });

  it('two-level: a short last group begins the second level earlier, by at most its stages', () => {
    fc.assert(
      fc.property(line, fc.integer({ min: 1, max: 9 }), (l, group) => {
        const more = beyond('two-level', { ...l, group }) - taskStart;
        expect(more).toBeGreaterThanOrEqual(-group);
        expect(more).toBeLessThanOrEqual(6);
      }),
      { numRuns: 60 },
    );
  });

  /** On a line of `parts` PEs with slices of so many words. */
  const inSlicesOf = (parts: number, words: number, type: 'fp32' | 'fp16'): LineShape => ({
    parts,
    values: parts * words * (type === 'fp16' ? 2 : 1),
    type,
    group: 1,
  });
  const spread = [2, 3, 8, 13, 31].flatMap((parts) =>
    ([1, 5, 6, 9, 13] as const).map((words, i) => inSlicesOf(parts, words, i % 2 === 0 ? 'fp32' : 'fp16')),
  );

  it('ring: within 3 cycles, where the ends of the ring are one hop apart', () => {
    for (const line of spread) expect(Math.abs(beyond('ring', line) - taskStart)).toBeLessThanOrEqual(3);
  });

  it('all-to-all: exact but for the copy of the own slice, which in fp16 takes half of its words', () => {
    for (const line of [...spread.slice(0, 15), inSlicesOf(24, 2, 'fp32'), inSlicesOf(17, 12, 'fp32')]) {
      const words = waveletsOf(sliceLength(line), line.type);
      const more = beyond('all-to-all', line) - taskStart;
      expect(more + (line.type === 'fp16' ? Math.floor(words / 2) : 0)).toBe(0);
    }
  });

  // Two streams share the CEs, word by word. The closed form says what the middle of the line does; how the streams
  // mesh elsewhere moves the end by a few cycles, most where a slice is just about as long as the buffers.
  it.each(['reduce-scatter', 'all-gather'])('%s: within 16 cycles, or a tenth where that is more', (id) => {
    for (const line of [...spread, inSlicesOf(64, 16, 'fp32')]) {
      const more = Math.abs(beyond(id, line) - taskStart);
      expect(more).toBeLessThanOrEqual(Math.max(16, 0.1 * collectiveCycles(collectives[id], line, wse2)));
    }
  });

  it('slices of less than a whole share cost as much as whole ones', () => {
    const line: LineShape = { parts: 10, values: 31, type: 'fp32', group: 1 };
    expect(sliceLength(line)).toBe(4);
    for (const id of inSlices) expect(beyond(id, line)).toBe(beyond(id, { ...line, values: 40 }));
  });
});

describe('published rows', () => {
  const rows = publishedRows.filter((row) => row.group === 'collective' && row.conditions['machine'] === 'wse2');
  const lineOf = ({ conditions }: (typeof rows)[number]): LineShape => ({
    parts: (conditions['shape'] as number[])[0],
    values: Number(conditions['words']),
    type: 'fp32',
    group: Number(conditions['groupSize']),
  });

  it('has them', () => expect(rows.map((row) => row.id)).toEqual(['C01', 'C02', 'C04', 'C06']));

  // Measured by others on the vendor's cycle simulator; no constant was chosen on these rows. C01 is simulated
  // (2 million hops). The others are two-phase with whole groups, for which the law above gives the simulated
  // cycles exactly.
  it('C01 (chain) is within 3 %', () => {
    const { cycles } = simulate(collectives['chain'].lower(lineOf(rows[0]), wse2).program, wse2);
    expect(cycles).toBe(collectiveCycles(collectives['chain'], lineOf(rows[0]), wse2) + taskStart + vectorStartup);
    expect(Math.abs(cycles / rows[0].value - 1)).toBeLessThan(0.03);
  });

  it.each(rows.slice(1))('$id (two-phase) is within 3 %', (row) => {
    const cycles = collectiveCycles(collectives['two-phase'], lineOf(row), wse2) + taskStart + 2 * vectorStartup;
    expect(Math.abs(cycles / row.value - 1)).toBeLessThan(0.03);
  });
});

// Collectives over meshes: right values, the counts of their parts, and a choice that the simulation confirms.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRng } from '../../core/index.ts';
import { chooseCollective, meshCollectives, outcomeAt } from '../../wafer/index.ts';
import type { MeshCollective, MeshShape, Need } from '../../wafer/index.ts';
import { interpret, type MemoryImage } from '../../wafer/machine/index.ts';
import { priceSequence } from '../analytic/collective-cost.ts';
import { simulate } from './simulate.ts';
import { wse2 } from './testing/programs.ts';

const { taskStart, vectorStartup } = wse2;
const price = (phases: Parameters<typeof priceSequence>[0]): number => priceSequence(phases, wse2);
const all = Object.values(meshCollectives).flat();
const named = all.map((collective) => [`${collective.does} by ${collective.algorithm}`, collective] as const);

const shapes = fc.record({
  width: fc.integer({ min: 1, max: 7 }),
  height: fc.integer({ min: 1, max: 6 }),
  values: fc.integer({ min: 1, max: 20 }),
  type: fc.constantFrom('fp32', 'fp16'),
  group: fc.integer({ min: 1, max: 4 }),
});

/** A mesh that the collective takes: the row of it where it takes only lines. */
const fitting = (collective: MeshCollective, shape: MeshShape): MeshShape =>
  collective.accepts(shape) ? shape : { ...shape, height: 1 };

const cyclesOf = (collective: MeshCollective, shape: MeshShape): number =>
  simulate(collective.lower(shape, wse2).program, wse2).cycles;

describe.each(named)('%s', (_, collective) => {
  it('leaves the right values where it says, untimed and timed', () => {
    fc.assert(
      fc.property(shapes, fc.nat(1000), (drawn, seed) => {
        const shape = fitting(collective, drawn);
        const { width, height, values } = shape;
        const parts = width * height;
        const rng = createRng(seed);
        const inputs = Array.from(
          { length: parts },
          (__, pe): MemoryImage => ({
            x: pe % width,
            y: Math.floor(pe / width),
            object: 'x',
            values: Array.from({ length: values }, () => Math.floor(rng.uniform() * 21) - 10),
          }),
        );
        const middle = (height >> 1) * width + (width >> 1);
        const { program, results, outcome } = collective.lower(shape, wse2);
        for (const run of [simulate(program, wse2, { inputs }), interpret(program, wse2, { inputs, rng })])
          for (const { x, y } of results) {
            const { from, to, value } = outcomeAt(collective.does, { ...shape, parts }, y * width + x, (pe, i) =>
              i < values ? inputs[collective.does === 'broadcast' ? middle : pe].values[i] : 0,
            );
            const expected = Array.from({ length: to - from }, (__, i) => value(from + i));
            expect([...run.read(x, y, outcome)].slice(from, to)).toEqual(expected);
          }
      }),
      { numRuns: 8 },
    );
  });
});

describe('phases() against the simulation', () => {
  const beyond = (need: Need, algorithm: string, shape: MeshShape): number => {
    const collective = meshCollectives[need].find((one) => one.algorithm === algorithm) as MeshCollective;
    return cyclesOf(collective, shape) - price(collective.phases(shape)) - taskStart;
  };
  const mesh = (width: number, height: number, values: number, group = 1): MeshShape => ({
    width,
    height,
    values,
    type: 'fp32',
    group,
  });

  it('broadcast is exact: B + M + N - 2 + 2 T_R + 1 from a corner, less from the middle, and a start-up', () => {
    for (const shape of [mesh(7, 1, 3), mesh(1, 6, 40), mesh(9, 9, 1), mesh(5, 16, 12)]) {
      expect(beyond('broadcast', 'multicast', shape)).toBe(0);
      const ways = (shape.width >> 1) + (shape.height >> 1);
      expect(price(meshCollectives.broadcast[0].phases(shape))).toBe(
        shape.values + ways + 2 * wse2.ramp + 1 + vectorStartup,
      );
    }
  });

  it.each(['reduce', 'all-reduce'] as const)(
    '%s: exact for chain, star and snake, a start-up for each line',
    (need) => {
      for (const shape of [mesh(5, 4, 1), mesh(9, 7, 40), mesh(3, 16, 3)]) {
        expect(beyond(need, 'chain', shape)).toBe(2 * vectorStartup);
        expect(beyond(need, 'star', shape)).toBe(2 * vectorStartup);
        expect(beyond(need, 'snake', shape)).toBe(vectorStartup);
        expect(beyond(need, 'chain', { ...shape, height: 1 })).toBe(vectorStartup);
      }
    },
  );

  it.each(['reduce', 'all-reduce'] as const)('%s: within what the two lines differ alone for the others', (need) => {
    for (const shape of [mesh(6, 8, 1, 2), mesh(9, 9, 40, 3), mesh(8, 12, 5, 4)]) {
      expect(beyond(need, 'two-phase', shape)).toBe(4 * vectorStartup);
      expect(Math.abs(beyond(need, 'two-level', shape))).toBeLessThanOrEqual(12);
      // Each line is exact where it is a power of two, else up to 9 more.
      expect(beyond(need, 'tree', shape)).toBeGreaterThanOrEqual(0);
      expect(beyond(need, 'tree', shape)).toBeLessThanOrEqual(18);
      expect(beyond(need, 'tree', { ...shape, width: 8, height: 4 })).toBe(0);
    }
    expect(Math.abs(beyond('all-reduce', 'ring', mesh(9, 6, 40)))).toBeLessThanOrEqual(6 + taskStart);
    expect(beyond('all-reduce', 'pipeline', mesh(9, 6, 40))).toBeLessThanOrEqual(2);
  });

  // The largest strips of the wafer, with few words so that they stay fast.
  it.each([
    ['chain', mesh(750, 1, 2)],
    ['chain', mesh(1, 994, 2)],
    ['two-phase', mesh(750, 1, 2, 25)],
    ['two-phase', mesh(1, 994, 2, 14)],
    ['two-level', mesh(750, 1, 2, 25)],
    ['two-level', mesh(1, 994, 2, 14)],
    ['tree', mesh(512, 1, 2)],
    ['star', mesh(750, 1, 2)],
  ] as const)('%s is within 2 %% on a strip of the wafer, all-reduce included', (algorithm, shape) => {
    const collective = meshCollectives['all-reduce'].find((one) => one.algorithm === algorithm) as MeshCollective;
    const closed = price(collective.phases(shape));
    expect(Math.abs(cyclesOf(collective, shape) / closed - 1)).toBeLessThan(0.02);
  });

  it.each([
    ['reduce-scatter', 750],
    ['all-gather', 750],
    ['all-to-all', 48],
  ] as const)('%s is within 2 %% on a long line', (need, width) => {
    const [collective] = meshCollectives[need];
    const shape = mesh(width, 1, width);
    expect(Math.abs(cyclesOf(collective, shape) / price(collective.phases(shape)) - 1)).toBeLessThan(0.02);
  });
});

describe('chooseCollective', () => {
  it('ranks every way that the mesh allows, the cheapest first', () => {
    const shape = { width: 12, height: 9, values: 30, type: 'fp32' } as const;
    const choices = chooseCollective('all-reduce', shape, price);
    expect(choices.map(({ collective }) => collective.algorithm).sort()).toEqual(
      meshCollectives['all-reduce'].map(({ algorithm }) => algorithm).sort(),
    );
    const costs = choices.map(({ cost }) => cost);
    expect(costs).toEqual(costs.toSorted((a, b) => a - b));
    for (const { collective, group, cost } of choices) expect(price(collective.phases({ ...shape, group }))).toBe(cost);
  });

  it('keeps a group that is given', () => {
    const shape = { width: 16, height: 1, values: 1, type: 'fp32', group: 5 } as const;
    expect(new Set(chooseCollective('reduce', shape, price).map(({ group }) => group))).toEqual(new Set([5]));
  });

  it('says that there is none on a mesh for what is only known on lines', () =>
    expect(() => chooseCollective('all-to-all', { width: 4, height: 4, values: 16, type: 'fp32' }, price)).toThrow(
      /COLLECTIVE_SHAPE/,
    ));

  // The closed forms leave out the start-ups of posted operations, at most four (two-phase on both axes), and may be off
  // by 16 cycles where streams cross.
  const bound = 4 * vectorStartup + 16;

  it.each(['reduce', 'all-reduce'] as const)(
    '%s: no way that it passes over is faster by more than the bound',
    (need) => {
      for (const [width, height] of [
        [4, 1],
        [16, 1],
        [1, 33],
        [4, 4],
        [9, 5],
      ])
        for (const values of [1, 12, 200]) {
          const shape = { width, height, values, type: 'fp32' } as const;
          const simulated = chooseCollective(need, shape, price).map(({ collective, group }) =>
            cyclesOf(collective, { ...shape, group }),
          );
          expect(simulated[0] - Math.min(...simulated)).toBeLessThanOrEqual(bound);
        }
    },
  );
});

// Scalar division and square root, and one memory read as two types.
import { describe, expect, it } from 'vitest';
import { allocate, interpret, type Instruction, type MachineProgram } from '../../wafer/machine/index.ts';
import { simulate } from './simulate.ts';
import { machine, main, role, wse2 } from './testing/programs.ts';

const memory = allocate(
  [
    { name: 'x', dtype: 'fp32', length: 4 },
    { name: 'bits', dtype: 'i32', length: 2, over: 'x' },
  ],
  wse2,
);
const alone = (...code: Instruction[]): MachineProgram =>
  machine(1, 1, [], [[0, 0, role({ memory, ...main(...code) })]]);
const r = (register: number) => ({ register });
const divide: Instruction = { kind: 'scalar', op: 'div', dtype: 'fp32', dst: r(0), src: [1, 3] };
const root: Instruction = { kind: 'scalar', op: 'sqrt', dtype: 'fp32', dst: r(1), src: [2] };
const keep = (index: number): Instruction => ({ kind: 'store', object: 'x', index, src: r(index) });

describe('division', () => {
  it('takes the division time of the wafer, a square root too', () => {
    expect(simulate(alone(divide), wse2).cycles).toBe(wse2.taskStart + wse2.division);
    const both = simulate(alone(divide, root, keep(0), keep(1)), wse2, { explain: true });
    expect(both.cycles).toBe(wse2.taskStart + 2 * wse2.division + 2);
    expect(both.breakdown?.stall).toBe(0);
  });

  it('rounds once, untimed and timed', () => {
    const program = alone(divide, root, keep(0), keep(1));
    for (const run of [interpret(program, wse2), simulate(program, wse2)])
      expect([...run.read(0, 0, 'x')].slice(0, 2)).toEqual([Math.fround(1 / 3), Math.fround(Math.SQRT2)]);
  });
});

describe('an object over another', () => {
  it('has the same bytes', () => {
    const program = alone({ kind: 'store', object: 'x', index: 1, src: -1.5 });
    for (const run of [interpret(program, wse2), simulate(program, wse2)])
      expect([...run.read(0, 0, 'bits')]).toEqual([0, 0xbfc00000 | 0]);
  });

  it('must lie inside it', () => {
    const [x, bits] = memory;
    for (const wrong of [
      { ...bits, length: 5 },
      { ...bits, address: 1000 },
      { ...bits, over: 'y' },
    ])
      expect(() => simulate(machine(1, 1, [], [[0, 0, role({ memory: [x, wrong], ...main(root) })]]), wse2)).toThrow(
        /MEMORY_OVER/,
      );
  });
});

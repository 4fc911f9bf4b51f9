import { describe, expect, it } from 'vitest';
import { IngotError } from '../../core/index.ts';
import { allocate, interpret, verify } from '../../wafer/machine/index.ts';
import type { Instruction, MachineProgram, RouteRule } from '../../wafer/machine/index.ts';
import { simulate } from './simulate.ts';
import { eastward, machine, main, queues, receiver, role, sender, wse2 } from './testing/programs.ts';

const line = machine(3, 1, eastward(0, 0, 2), [
  [0, 0, sender(0, 4)],
  [2, 0, receiver(0, 4)],
]);
const at = (x: number, y = 0) => ({ x, y, width: 1, height: 1 });
const codes = (program: MachineProgram): string[] => verify(program, wse2).map((d) => d.code);
const withRoutes = (routes: readonly RouteRule[]): MachineProgram => ({ ...line, routes });

describe('verify', () => {
  it('accepts a program that runs', () => expect(verify(line, wse2)).toEqual([]));

  it('refuses what the target lacks', () => {
    expect(codes({ ...line, target: 'wse3' })).toEqual(['MACHINE_TARGET']);
    expect(codes({ ...line, width: wse2.programWidth + 1 })).toContain('MACHINE_SIZE');
    expect(codes(withRoutes(line.routes.map((rule) => ({ ...rule, color: 21 }))))).toContain('COLOR_NUMBER');
    expect(codes(withRoutes([{ ...line.routes[0], positions: Array(5).fill(line.routes[0].positions[0]) }]))).toEqual([
      'SWITCH_POSITIONS',
    ]);
    const tooManyQueues = role({ inputs: [{ queue: 8, color: 0 }] });
    expect(
      codes(machine(1, 1, [{ on: at(0), color: 0, positions: [{ rx: ['W'], tx: ['R'] }] }], [[0, 0, tooManyQueues]])),
    ).toEqual(['QUEUE_NUMBER']);
  });

  it('refuses routes that lead nowhere, naming PE and color', () => {
    expect(verify(withRoutes(line.routes.slice(0, 2)), wse2)).toContainEqual(
      expect.objectContaining({ code: 'COLOR_UNROUTABLE', where: 'PE (1, 0), color 0' }),
    );
    // The router there has the color, but not from this side.
    const fromNorth = { ...line.routes[2], positions: [{ rx: ['N'], tx: ['R'] }] } as const;
    expect(codes(withRoutes([...line.routes.slice(0, 2), fromNorth]))).toEqual(['COLOR_UNROUTABLE']);
    expect(codes(machine(1, 1, [{ on: at(0), color: 0, positions: [{ rx: ['W'], tx: ['E'] }] }], []))).toContain(
      'ROUTE_OFF_MESH',
    );
    expect(codes(withRoutes([...line.routes, line.routes[0]]))).toContain('COLOR_TWO_ROUTES');
    expect(
      codes(withRoutes([...line.routes, { on: at(1), color: 1, positions: [{ rx: ['W'], tx: ['W'] }] }])),
    ).toContain('ROUTE_BACK');
    expect(codes(machine(3, 1, line.routes, [[0, 0, sender(0, 4)]]))).toEqual(['RAMP_MISMATCH']);
  });

  it('refuses two writers of one color on one link unless switches take turns', () => {
    const merge = (positions: RouteRule['positions']): MachineProgram =>
      machine(
        3,
        1,
        [
          { on: at(0), color: 0, positions: [{ rx: ['R'], tx: ['E'] }] },
          { on: at(1), color: 0, positions },
          { on: at(2), color: 0, positions: [{ rx: ['R'], tx: ['W'] }] },
        ],
        [
          [0, 0, sender(0, 4)],
          [1, 0, receiver(0, 8)],
          [2, 0, sender(0, 4)],
        ],
      );
    expect(codes(merge([{ rx: ['W', 'E'], tx: ['R'] }]))).toEqual(['COLOR_TWO_WRITERS']);
    expect(
      codes(
        merge([
          { rx: ['W'], tx: ['R'] },
          { rx: ['E'], tx: ['R'] },
        ]),
      ),
    ).toEqual([]);
  });

  it('refuses a loop of fixed routes', () => {
    const ring: RouteRule[] = [
      { on: at(0, 0), color: 0, positions: [{ rx: ['S'], tx: ['E'] }] },
      { on: at(1, 0), color: 0, positions: [{ rx: ['W'], tx: ['S'] }] },
      { on: at(1, 1), color: 0, positions: [{ rx: ['N'], tx: ['W'] }] },
      { on: at(0, 1), color: 0, positions: [{ rx: ['E'], tx: ['N'] }] },
    ];
    expect(codes(machine(2, 2, ring, []))).toEqual(['COLOR_LOOP']);
  });

  it('refuses memory over budget, overlaps and operands out of bounds, naming the address', () => {
    const alone = (parts: Parameters<typeof role>[0]): readonly string[] =>
      verify(machine(1, 1, [], [[0, 0, role(parts)]]), wse2).map((d) => `${d.code} ${d.message} ${d.where}`);
    expect(alone({ memory: allocate([{ name: 'x', dtype: 'fp32', length: 12288 }], wse2), ...main() })).toEqual([]);
    expect(
      alone({
        memory: allocate([{ name: 'x', dtype: 'fp32', length: 12288 }], wse2),
        ...main({ kind: 'scalar', op: 'mov', dtype: 'i32', dst: { register: 0 }, src: [0] }),
      })[0],
    ).toMatch(/^SRAM_OVER 49152 B of objects and 16 B of code .*address 49152/);
    expect(
      alone({
        memory: [
          { name: 'x', dtype: 'fp32', length: 4, address: 0 },
          { name: 'y', dtype: 'fp32', length: 4, address: 12 },
        ],
      })[0],
    ).toMatch(/^MEMORY_OVERLAP .*"y" at address 12/);
    expect(
      alone({
        memory: [{ name: 'x', dtype: 'fp32', length: 8, address: 16 }],
        dsds: { bad: { kind: 'memory', object: 'x', offset: 2, extents: [4], strides: [2] } },
      })[0],
    ).toMatch(/^DSD_BOUNDS element 8 of "x", address 48/);
  });

  it('refuses instructions that cannot mean anything', () => {
    const alone = (...code: Instruction[]): string[] =>
      codes(
        machine(
          1,
          1,
          [{ on: at(0), color: 2, positions: [{ rx: ['R'], tx: ['E'] }] }],
          [
            [
              0,
              0,
              role({
                memory: allocate(
                  [
                    { name: 'x', dtype: 'fp32', length: 4 },
                    { name: 'h', dtype: 'fp16', length: 4 },
                  ],
                  wse2,
                ),
                outputs: queues(2),
                dsds: {
                  x: { kind: 'memory', object: 'x', extents: [4] },
                  xx: { kind: 'memory', object: 'x', extents: [2, 2] },
                  x3: { kind: 'memory', object: 'x', extents: [3] },
                  h: { kind: 'memory', object: 'h', extents: [4] },
                  out: { kind: 'fabricOut', color: 2, length: 4 },
                  turn: { kind: 'fabricOut', color: 2, length: 4, control: true },
                },
                ...main(...code),
              }),
            ],
          ],
        ),
      ).filter((code) => code !== 'ROUTE_OFF_MESH');
    const vector = { kind: 'vector', op: 'mov', dtype: 'fp32', dst: 'x', src: [0] } as const;
    expect(alone(vector)).toEqual([]);
    expect(alone({ ...vector, dst: 'h' })).toEqual(['DTYPE_MISMATCH']);
    expect(alone({ ...vector, src: ['x3'] })).toEqual(['LENGTH_MISMATCH']);
    expect(alone({ ...vector, src: ['out'] })).toEqual(['OPERAND_KIND']);
    expect(alone({ ...vector, src: [] })).toEqual(['OPERAND_COUNT']);
    expect(alone({ ...vector, dst: 'turn' })).toEqual(['DTYPE_MISMATCH']);
    expect(alone({ ...vector, src: [{ register: 16 }] })).toEqual(['REGISTER']);
    expect(alone({ ...vector, async: { thread: 8 } })).toEqual(['MICROTHREAD']);
    expect(alone({ kind: 'dsd', set: 'shift', dsd: 'out', value: 1 })).toEqual(['OPERAND_KIND']);
    expect(alone({ kind: 'dsd', set: 'length', dsd: 'xx', value: 1 })).toEqual(['OPERAND_KIND']);
    expect(alone({ kind: 'switch', color: 2, position: 1 })).toEqual(['SWITCH_POSITIONS']);
    expect(alone({ kind: 'store', object: 'x', index: 4, src: 0 })).toEqual(['MEMORY_BOUNDS']);
    expect(alone({ kind: 'jump', to: 'nowhere' })).toEqual(['NAME_UNKNOWN']);
  });

  it('suggests the nearest name', () => {
    const typo = role({
      ...main({ kind: 'activate', task: 'mian' }),
    });
    expect(verify(machine(1, 1, [], [[0, 0, typo]]), wse2)[0]).toMatchObject({
      code: 'NAME_UNKNOWN',
      suggestion: 'did you mean "main"?',
    });
  });
});

describe('deadlock', () => {
  /** Two PEs that each wait to receive before they send. */
  const circle = (): MachineProgram => {
    const swap = (send: number, receive: number) =>
      role({
        memory: allocate([{ name: 'y', dtype: 'fp32', length: 1 }], wse2),
        inputs: queues(receive),
        outputs: queues(send),
        dsds: {
          y: { kind: 'memory', object: 'y', extents: [1] },
          in: { kind: 'fabricIn', color: receive, length: 1 },
          out: { kind: 'fabricOut', color: send, length: 1 },
        },
        ...main(
          { kind: 'vector', op: 'mov', dtype: 'fp32', dst: 'y', src: ['in'] },
          { kind: 'vector', op: 'mov', dtype: 'fp32', dst: 'out', src: ['y'] },
        ),
      });
    return machine(
      2,
      1,
      [
        { on: at(0), color: 3, positions: [{ rx: ['R'], tx: ['E'] }] },
        { on: at(1), color: 3, positions: [{ rx: ['W'], tx: ['R'] }] },
        { on: at(1), color: 4, positions: [{ rx: ['R'], tx: ['W'] }] },
        { on: at(0), color: 4, positions: [{ rx: ['E'], tx: ['R'] }] },
      ],
      [
        [0, 0, swap(3, 4)],
        [1, 0, swap(4, 3)],
      ],
    );
  };

  it.each([
    ['timed', () => simulate(circle(), wse2)],
    ['untimed', () => interpret(circle(), wse2)],
  ])('a circle of waiting PEs is named, never hangs (%s)', (_, run) => {
    let found: unknown;
    try {
      run();
    } catch (error) {
      found = error;
    }
    expect(found).toBeInstanceOf(IngotError);
    expect((found as IngotError).diagnostics[0]).toMatchObject({
      code: 'DEADLOCK',
      where: 'PE (0, 0) waits to receive color 4 from PE (1, 0); PE (1, 0) waits to receive color 3 from PE (0, 0)',
      found: 'a circle of 2 PEs',
    });
  });

  it('a sender whose words nobody takes is named with the PE that holds them up', () => {
    const program = machine(3, 1, eastward(0, 0, 2), [
      [0, 0, sender(0, 100)],
      [2, 0, receiver(0, 1)],
    ]);
    expect(() => simulate(program, wse2)).toThrow(IngotError);
    try {
      simulate(program, wse2);
    } catch (error) {
      expect((error as IngotError).diagnostics[0].where).toBe('PE (0, 0) waits to send color 0 to PE (2, 0)');
    }
  });

  it('an endless program is stopped', () => {
    const spin = role(main({ kind: 'label', name: 'again' }, { kind: 'jump', to: 'again' }));
    expect(() => simulate(machine(1, 1, [], [[0, 0, spin]]), wse2, { maxCycles: 1000 })).toThrow(/RUN_TOO_LONG/);
  });
});

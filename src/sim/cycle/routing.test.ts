// What routers do beside passing a color on: color swap, popped commands, and who holds up whom.
import { describe, expect, it } from 'vitest';
import { IngotError } from '../../core/index.ts';
import { findWafer, resolveWafer } from '../../spec/index.ts';
import { allocate, encodeControl, interpret, verify } from '../../wafer/machine/index.ts';
import type { Instruction, MachineProgram, RouteRule } from '../../wafer/machine/index.ts';
import { simulate } from './simulate.ts';
import { eastward, machine, main, queues, receiver, role, sender, wse2 } from './testing/programs.ts';

const { hop, ramp, taskStart, vectorStartup } = wse2;
const execute = 1;
const firstIssue = taskStart + vectorStartup;
const message = (distance: number): number => execute + ramp + distance * hop + ramp + execute;
const at = (x: number, y = 0) => ({ x, y, width: 1, height: 1 });
const codes = (program: MachineProgram): string[] => verify(program, wse2).map((d) => d.code);

/** Done at cycle `at`: still running when given one cycle less, by whichever engine. */
function exactly(program: MachineProgram, cycles: number): void {
  for (const engine of ['plain', 'routes'] as const) {
    expect(simulate(program, wse2, { engine, maxCycles: cycles }).cycles).toBe(cycles);
    expect(() => simulate(program, wse2, { engine, maxCycles: cycles - 1 })).toThrow(/RUN_TOO_LONG/);
  }
}

describe('color swap', () => {
  // As in the vendor's tutorial topic-14: one pair of colors serves every pair of neighbours, and all PEs are alike.
  const words = 9;
  const parts = 6;
  const inner = { x: 1, y: 0, width: parts - 2, height: 1 };
  const exchange = machine(
    parts,
    1,
    [
      { on: { ...inner, x: 0, width: parts - 1 }, color: 4, positions: [{ rx: ['R'], tx: ['E'] }], swap: 'x' },
      { on: { ...inner, width: parts - 1 }, color: 5, positions: [{ rx: ['W'], tx: ['R'] }] },
    ],
    Array.from({ length: parts }, (_, x) => {
      const sends = x < parts - 1 ? sender(4, words) : undefined;
      const takes = x > 0 ? receiver(5, words) : undefined;
      const both = role({
        memory: allocate(
          ['x', 'y'].map((name) => ({ name, dtype: 'fp32', length: words }) as const),
          wse2,
        ),
        inputs: takes?.inputs ?? [],
        outputs: sends?.outputs ?? [],
        dsds: {
          ...sends?.dsds,
          ...takes?.dsds,
        },
        ...main(
          ...(sends === undefined
            ? []
            : [{ kind: 'vector', op: 'mov', dtype: 'fp32', dst: 'out', src: ['x'], async: { thread: 0 } } as const]),
          ...(takes === undefined
            ? []
            : [{ kind: 'vector', op: 'mov', dtype: 'fp32', dst: 'y', src: ['in'], async: { thread: 1 } } as const]),
        ),
      });
      return [x, 0, both] as const;
    }),
  );

  it('carries every neighbour its words, timed and untimed', () => {
    const inputs = Array.from({ length: parts }, (_, x) => ({
      x,
      y: 0,
      object: 'x',
      values: Array.from({ length: words }, (__, i) => 100 * x + i),
    }));
    for (const run of [interpret(exchange, wse2, { inputs }), simulate(exchange, wse2, { inputs })])
      for (let x = 1; x < parts; x++) expect([...run.read(x, 0, 'y')]).toEqual(inputs[x - 1].values);
  });

  it('costs no cycle: a line whose color changes at every link', () => {
    const line = (swap: RouteRule['swap']): MachineProgram =>
      machine(
        parts,
        1,
        eastward(4, 0, parts - 1).flatMap((rule): RouteRule[] =>
          Array.from({ length: rule.on.width }, (_, i) => ({
            ...rule,
            on: at(rule.on.x + i),
            color: swap === undefined ? 4 : 4 + ((rule.on.x + i) % 2),
            swap,
          })),
        ),
        [
          [0, 0, sender(4, words)],
          [parts - 1, 0, receiver(swap === undefined ? 4 : 5, words)],
        ],
      );
    for (const swap of ['x', 'xy', undefined] as const)
      exactly(line(swap), firstIssue + message(parts - 1) + words - 1);
    // Along y nothing changes, so the color that is routed at the next PE is not the one that comes.
    expect(codes(line('y'))).toContain('COLOR_UNROUTABLE');
  });

  it('takes a control wavelet along, which turns the switches of both colors', () => {
    // The command of PE 0 goes by color 4 and 5 to PE 4, whose switch then opens for the word from the other side.
    const opened = machine(
      6,
      1,
      [
        { on: at(0), color: 4, positions: [{ rx: ['R'], tx: ['E'] }], swap: 'x' },
        { on: at(1), color: 5, positions: [{ rx: ['W'], tx: ['E'] }], swap: 'x' },
        { on: at(2), color: 4, positions: [{ rx: ['W'], tx: ['E'] }], swap: 'x' },
        {
          on: at(3),
          color: 5,
          positions: [
            { rx: ['W'], tx: ['R'] },
            { rx: ['E'], tx: ['R'] },
          ],
        },
        { on: at(4), color: 4, positions: [{ rx: ['R'], tx: ['W'] }], swap: 'x' },
      ],
      [
        [
          0,
          0,
          role({
            outputs: queues(4),
            dsds: { out: { kind: 'fabricOut', color: 4, length: 1, control: true } },
            ...main({
              kind: 'vector',
              op: 'mov',
              dtype: 'i32',
              dst: 'out',
              src: [encodeControl({ commands: ['advance'] })],
            }),
          }),
        ],
        [3, 0, receiver(5, 1)],
        [4, 0, sender(4, 1)],
      ],
    );
    // The word has waited since; it passes in the cycle after the command.
    exactly(opened, firstIssue + message(3) + 1);
  });

  it('takes a teardown to the other color, by every engine', () => {
    const command = encodeControl({ commands: ['none', 'none', 'none', 'teardown'] });
    const torn = machine(
      6,
      1,
      [
        { on: at(0), color: 4, positions: [{ rx: ['R'], tx: ['E'] }], swap: 'x', pop: 'always' },
        { on: { ...at(1), width: 4 }, color: 5, positions: [{ rx: ['W'], tx: ['E'] }], pop: 'always' },
        { on: at(5), color: 5, positions: [{ rx: ['W'], tx: ['R'] }] },
      ],
      [
        [
          0,
          0,
          role({
            outputs: queues(4),
            dsds: {
              out: { kind: 'fabricOut', color: 4, length: 1 },
              tear: { kind: 'fabricOut', color: 4, length: 1, control: true },
            },
            ...main(
              { kind: 'vector', op: 'mov', dtype: 'i32', dst: 'tear', src: [command] },
              { kind: 'vector', op: 'mov', dtype: 'fp32', dst: 'out', src: [1] },
            ),
          }),
        ],
        [5, 0, receiver(5, 1)],
      ],
    );
    // The command is gone and the word waits before the router that was torn down.
    for (const engine of ['plain', 'routes'])
      expect(() => simulate(torn, wse2, { engine })).toThrow(/DEADLOCK: nothing can move: 1 PEs wait and 1 wavelets/);
  });

  it('is refused where two colors would write one link, or the other color of the pair is not for programs', () => {
    const pair = (swap: RouteRule['swap']): MachineProgram =>
      machine(
        2,
        1,
        [
          { on: at(0), color: 4, positions: [{ rx: ['R'], tx: ['E'] }], swap },
          { on: at(0), color: 5, positions: [{ rx: ['R'], tx: ['E'] }], swap: 'x' },
          { on: at(1), color: 4, positions: [{ rx: ['W'], tx: ['R'] }] },
          ...(swap === 'x' ? [{ on: at(1), color: 5, positions: [{ rx: ['W'], tx: ['R'] }] } as const] : []),
        ],
        [[1, 0, role({ inputs: swap === 'x' ? queues(4, 5) : queues(4) })]],
      );
    expect(codes(pair('x'))).toEqual([]);
    expect(codes(pair(undefined))).toEqual(['COLOR_TWO_WRITERS']);
    const last = wse2.colors - wse2.reservedColors - 1;
    expect(
      codes(machine(2, 1, [{ on: at(0), color: last, positions: [{ rx: ['R'], tx: ['E'] }], swap: 'x' }], [])),
    ).toEqual(['COLOR_NUMBER']);
  });

  it('closes loops that are refused, and a deadlock through it names the PE at the other end', () => {
    const ring: RouteRule[] = [
      { on: at(0, 0), color: 0, positions: [{ rx: ['S'], tx: ['E'] }], swap: 'x' },
      { on: at(1, 0), color: 1, positions: [{ rx: ['W'], tx: ['S'] }] },
      { on: at(1, 1), color: 1, positions: [{ rx: ['N'], tx: ['W'] }], swap: 'x' },
      { on: at(0, 1), color: 0, positions: [{ rx: ['E'], tx: ['N'] }] },
    ];
    expect(codes(machine(2, 2, ring, []))).toEqual(['COLOR_LOOP']);
    const waiting = machine(
      2,
      1,
      [
        { ...exchange.routes[0], on: at(0) },
        { ...exchange.routes[1], on: at(1) },
      ],
      [
        [0, 0, { ...sender(4, 1), start: [] }],
        [1, 0, receiver(5, 1)],
      ],
    );
    try {
      simulate(waiting, wse2);
      expect.unreachable();
    } catch (error) {
      expect((error as IngotError).diagnostics[0].where).toBe('PE (1, 0) waits to receive color 5 from PE (0, 0)');
    }
  });
});

describe('filters', () => {
  it.each([
    [{ kind: 'counter', init: 0, limit: 3, max: 2 }, 'FILTER_RANGE'],
    [{ kind: 'counter', init: -1, limit: 0, max: 2 }, 'FILTER_RANGE'],
    [{ kind: 'range', min: 5, max: 4 }, 'FILTER_RANGE'],
    [{ kind: 'range', min: 0, max: 2 ** 16 }, 'FILTER_RANGE'],
    [{ kind: 'sparse', min: 0, max: 1 } as unknown as RouteRule['filter'], 'FILTER_KIND'],
  ] as const)('refuses %o: %s', (filter, code) => {
    const program = machine(
      2,
      1,
      [eastward(0, 0, 1)[0], { ...eastward(0, 0, 1)[1], filter }],
      [
        [0, 0, sender(0, 1)],
        [1, 0, receiver(0, 1)],
      ],
    );
    expect(codes(program)).toEqual([code]);
  });

  it('drop in no time: what is kept comes when it would have come alone', () => {
    // Three of four words are dropped at the ramp of PE 1, at one a cycle; the last is taken.
    const [first, last] = eastward(0, 0, 1);
    const program = machine(
      2,
      1,
      [first, { ...last, filter: { kind: 'counter', init: 1, limit: 0, max: 3 } }],
      [
        [0, 0, sender(0, 4)],
        [1, 0, receiver(0, 1)],
      ],
    );
    exactly(program, firstIssue + message(1) + 3);
  });
});

describe('popped commands', () => {
  const words = 2;
  /** A row of four: PE 0 sends ones, a control wavelet, twos; PEs 1 and 2 copy to their CE in position 0 only. */
  const heard = (
    pop: RouteRule['pop'],
    commands: Parameters<typeof encodeControl>[0]['commands'],
    takes: readonly [number, number],
  ): number[][] => {
    const say = (dst: string, value: number): Instruction => ({
      kind: 'vector',
      op: 'mov',
      dtype: dst === 'control' ? 'i32' : 'fp32',
      dst,
      src: [value],
    });
    const program = machine(
      4,
      1,
      [
        { on: at(0), color: 0, positions: [{ rx: ['R'], tx: ['E'] }] },
        {
          on: { x: 1, y: 0, width: 2, height: 1 },
          color: 0,
          positions: [
            { rx: ['W'], tx: ['R', 'E'] },
            { rx: ['W'], tx: ['E'] },
          ],
          pop,
        },
        { on: at(3), color: 0, positions: [{ rx: ['W'], tx: ['R'] }] },
      ],
      [
        [
          0,
          0,
          role({
            outputs: queues(0),
            dsds: {
              out: { kind: 'fabricOut', color: 0, length: words },
              control: { kind: 'fabricOut', color: 0, length: 1, control: true },
            },
            ...main(say('out', 1), say('control', encodeControl({ commands })), say('out', 2)),
          }),
        ],
        ...[...takes, 2].map((segments, i) => [i + 1, 0, receiver(0, segments * words)] as const),
      ],
    );
    const [timed, untimed] = [simulate(program, wse2), interpret(program, wse2)].map((run) =>
      [1, 2, 3].map((x) => [...run.read(x, 0, 'y')]),
    );
    expect(untimed).toEqual(timed);
    return timed;
  };
  const [first, all] = [
    [1, 1],
    [1, 1, 2, 2],
  ];

  it('onAdvance: a router takes away the command by which it advances, and leaves any other', () => {
    expect(heard('onAdvance', ['advance', 'advance'], [1, 1])).toEqual([first, first, all]);
    expect(heard('onAdvance', ['advance', 'none'], [1, 2])).toEqual([first, all, all]);
    expect(heard('onAdvance', ['none', 'advance'], [2, 2])).toEqual([all, all, all]);
  });

  it('always: the second command is the second router’s, whatever the first was', () => {
    expect(heard('always', ['none', 'advance'], [2, 1])).toEqual([all, first, all]);
  });

  it('never: every router on the way obeys the first command', () => {
    expect(heard('never', ['advance', 'none'], [1, 1])).toEqual([first, first, all]);
  });
});

describe('who holds up whom', () => {
  const words = 40;
  const delay = 300;
  /** Color 0 to PE 2, which takes it late, and color 1 to PE 3, over the same links from PE 0 on. */
  const shared = (late: boolean): MachineProgram => {
    const target = receiver(0, words);
    return machine(
      4,
      1,
      [...eastward(0, 0, 2), ...eastward(1, 0, 3)],
      [
        [
          0,
          0,
          role({
            outputs: queues(0, 1),
            dsds: {
              a: { kind: 'fabricOut', color: 0, length: words },
              b: { kind: 'fabricOut', color: 1, length: words },
            },
            ...main(
              { kind: 'vector', op: 'mov', dtype: 'fp32', dst: 'a', src: [1], async: { thread: 0 } },
              { kind: 'vector', op: 'mov', dtype: 'fp32', dst: 'b', src: [2], async: { thread: 1 } },
            ),
          }),
        ],
        [
          2,
          0,
          {
            ...target,
            memory: [...target.memory, { name: 'z', dtype: 'fp32', length: delay, address: 4 * words }],
            dsds: { ...target.dsds, z: { kind: 'memory', object: 'z', extents: [delay] } },
            ...main(...(late ? [{ kind: 'vector', op: 'mov', dtype: 'fp32', dst: 'z', src: [0] } as const] : []), {
              kind: 'vector',
              op: 'mov',
              dtype: 'fp32',
              dst: 'y',
              src: ['in'],
            }),
          },
        ],
        [
          3,
          0,
          {
            ...receiver(1, words),
            memory: allocate(
              [
                { name: 'y', dtype: 'fp32', length: words },
                { name: 't', dtype: 'i32', length: 1 },
              ],
              wse2,
            ),
            ...main(
              { kind: 'vector', op: 'mov', dtype: 'fp32', dst: 'y', src: ['in'] },
              { kind: 'timestamp', object: 't', index: 0 },
            ),
          },
        ],
      ],
    );
  };
  const doneAt = (late: boolean): number => simulate(shared(late), wse2).read(3, 0, 't')[0];

  it('a color that nobody takes lets another pass on the same links, and leaves it the slots that it cannot use', () => {
    // Free, the two take turns: color 1's last word leaves with the last of 2 * words. Held up, color 0 moves only what
    // its buffers hold: behind the sending CE, at two routers, and before the taking CE.
    const held = ramp + execute + 1 + 2 * (hop + 1) + (ramp + 1);
    expect(doneAt(false)).toBe(firstIssue + message(3) + 2 * words - 1);
    expect(doneAt(true)).toBe(firstIssue + message(3) + words + held - 1);
  });

  it('inside an input queue the head holds up all behind it: a control wavelet waits for the words before it', () => {
    const control = (before: number): MachineProgram => {
      const target = receiver(0, 1);
      return machine(2, 1, eastward(0, 0, 1), [
        [
          0,
          0,
          role({
            outputs: queues(0),
            dsds: {
              out: { kind: 'fabricOut', color: 0, length: 1 },
              control: { kind: 'fabricOut', color: 0, length: 1, control: true },
            },
            ...main(
              ...(before > 0 ? [{ kind: 'vector', op: 'mov', dtype: 'fp32', dst: 'out', src: [1] } as const] : []),
              {
                kind: 'vector',
                op: 'mov',
                dtype: 'i32',
                dst: 'control',
                src: [encodeControl({ commands: [], task: 7 })],
              },
            ),
          }),
        ],
        [
          1,
          0,
          {
            ...target,
            tasks: [
              { name: 'asked', kind: 'control', id: 7, code: [{ kind: 'store', object: 'y', index: 0, src: 9 }] },
            ],
            start: [],
          },
        ],
      ]);
    };
    expect([...simulate(control(0), wse2).read(1, 0, 'y')]).toEqual([9]);
    exactly(control(0), firstIssue + message(1) - execute + taskStart + execute);
    expect(() => simulate(control(1), wse2)).toThrow(/DEADLOCK/);
  });
});

describe('generations', () => {
  const wse3 = resolveWafer(findWafer('wse3'));
  const elements = 1024;
  const work = (target: string, id: number): MachineProgram => ({
    ...machine(
      1,
      1,
      [],
      [
        [
          0,
          0,
          role({
            memory: allocate(
              [
                { name: 'x', dtype: 'fp16', length: elements, bank: 0 },
                { name: 'y', dtype: 'fp16', length: elements, bank: 4 },
              ],
              wse2,
            ),
            dsds: Object.fromEntries(
              ['x', 'y'].map((name) => [name, { kind: 'memory', object: name, extents: [elements] }]),
            ),
            tasks: [
              {
                name: 'main',
                kind: 'local',
                id,
                code: [{ kind: 'vector', op: 'add', dtype: 'fp16', dst: 'y', src: ['x', 1] }],
              },
            ],
            start: ['main'],
          }),
        ],
      ],
    ),
    target,
  });

  it('differ by what their tables say: a WSE-3 adds 8 fp16 elements a cycle, a WSE-2 4', () => {
    for (const [wafer, lanes] of [
      [wse2, 4],
      [wse3, 8],
    ] as const)
      expect(simulate(work(wafer.id, 8), wafer).cycles).toBe(wafer.taskStart + wafer.vectorStartup + elements / lanes);
  });

  it('and by the numbers that they have: a local task 7 is none of a WSE-3', () => {
    expect(verify(work('wse2', 7), wse2)).toEqual([]);
    expect(verify(work('wse3', 7), wse3)).toEqual([expect.objectContaining({ code: 'TASK_ID', expected: '8 to 30' })]);
  });
});

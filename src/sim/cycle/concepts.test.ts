// Each concept of the PE program once, run untimed and timed: both must give the same values.
import { describe, expect, it } from 'vitest';
import { allocate, encodeControl, interpret } from '../../wafer/machine/index.ts';
import type {
  Instruction,
  MachineProgram,
  MemoryImage,
  MemoryReader,
  Role,
  RouteRule,
  Task,
} from '../../wafer/machine/index.ts';
import { simulate } from './simulate.ts';
import { eastward, machine, main, queues, receiver, role, sender, wse2 } from './testing/programs.ts';

function both(program: MachineProgram, inputs: readonly MemoryImage[], check: (run: MemoryReader) => void): void {
  check(interpret(program, wse2, { inputs }));
  check(simulate(program, wse2, { inputs }));
}

const at = (x: number) => ({ x, y: 0, width: 1, height: 1 });
const one = (body: Role): MachineProgram => machine(1, 1, [], [[0, 0, body]]);
const r = (register: number) => ({ register });

describe('DSDs', () => {
  it('walk up to four dimensions with any strides', () => {
    // Transpose 2 x 3, and sum rows into one column by a stride of 0.
    const program = one(
      role({
        memory: allocate(
          [
            { name: 'a', dtype: 'fp32', length: 6 },
            { name: 'b', dtype: 'fp32', length: 6 },
            { name: 'sums', dtype: 'fp32', length: 2 },
            { name: 'c', dtype: 'i16', length: 16 },
            { name: 'd', dtype: 'i16', length: 16 },
          ],
          wse2,
        ),
        dsds: {
          transposed: { kind: 'memory', object: 'a', extents: [3, 2], strides: [1, 3] },
          b: { kind: 'memory', object: 'b', extents: [6] },
          a: { kind: 'memory', object: 'a', extents: [2, 3] },
          sums: { kind: 'memory', object: 'sums', extents: [2, 3], strides: [1, 0] },
          backwards: { kind: 'memory', object: 'c', offset: 15, extents: [2, 2, 2, 2], strides: [-8, -4, -2, -1] },
          d: { kind: 'memory', object: 'd', extents: [16] },
        },
        ...main(
          { kind: 'vector', op: 'mov', dtype: 'fp32', dst: 'b', src: ['transposed'] },
          { kind: 'vector', op: 'add', dtype: 'fp32', dst: 'sums', src: ['sums', 'a'] },
          { kind: 'vector', op: 'mov', dtype: 'i16', dst: 'd', src: ['backwards'] },
        ),
      }),
    );
    const c = Array.from({ length: 16 }, (_, i) => i);
    const inputs = [
      { x: 0, y: 0, object: 'a', values: [1, 2, 3, 4, 5, 6] },
      { x: 0, y: 0, object: 'c', values: c },
    ];
    both(program, inputs, (run) => {
      expect([...run.read(0, 0, 'b')]).toEqual([1, 4, 2, 5, 3, 6]);
      expect([...run.read(0, 0, 'sums')]).toEqual([6, 15]);
      expect([...run.read(0, 0, 'd')]).toEqual([...c].reverse());
    });
  });

  it('are shifted and shortened by instructions in a loop, and checked when used', () => {
    // y = A x by columns: y += A[:, k] * x[k].
    const [n, k] = [3, 4];
    const gemv = (turns: number): MachineProgram =>
      one(
        role({
          memory: allocate(
            [
              { name: 'A', dtype: 'fp32', length: n * k },
              { name: 'x', dtype: 'fp32', length: k },
              { name: 'y', dtype: 'fp32', length: n },
            ],
            wse2,
          ),
          dsds: {
            column: { kind: 'memory', object: 'A', extents: [n] },
            y: { kind: 'memory', object: 'y', extents: [n] },
          },
          ...main(
            { kind: 'label', name: 'next' },
            { kind: 'load', object: 'x', index: r(0), dst: r(1) },
            { kind: 'vector', op: 'mac', dtype: 'fp32', dst: 'y', src: ['y', 'column', r(1)] },
            { kind: 'dsd', set: 'shift', dsd: 'column', value: n },
            { kind: 'scalar', op: 'add', dtype: 'i32', dst: r(0), src: [r(0), 1] },
            { kind: 'branch', when: '<', left: r(0), right: turns, to: 'next' },
          ),
        }),
      );
    const A = Array.from({ length: n * k }, (_, i) => i + 1);
    const x = [1, -2, 3, 5];
    const inputs = [
      { x: 0, y: 0, object: 'A', values: A },
      { x: 0, y: 0, object: 'x', values: x },
    ];
    const expected = [0, 1, 2].map((row) => x.reduce((sum, v, col) => sum + v * A[col * n + row], 0));
    both(gemv(k), inputs, (run) => expect([...run.read(0, 0, 'y')]).toEqual(expected));
    expect(() => simulate(gemv(k + 1), wse2, { inputs })).toThrow(/MEMORY_BOUNDS.*"x"/);
  });

  it('take another length while the program runs', () => {
    // The triangle of running sums: the first n elements of y gain one, for n = 4, 3, 2, 1.
    const program = one(
      role({
        memory: allocate([{ name: 'y', dtype: 'i32', length: 4 }], wse2),
        dsds: { y: { kind: 'memory', object: 'y', extents: [4] } },
        ...main(
          { kind: 'label', name: 'next' },
          { kind: 'dsd', set: 'length', dsd: 'y', value: r(0) },
          { kind: 'vector', op: 'add', dtype: 'i32', dst: 'y', src: ['y', 1] },
          { kind: 'scalar', op: 'sub', dtype: 'i32', dst: r(0), src: [r(0), 1] },
          { kind: 'branch', when: '>=', left: r(0), right: 1, to: 'next' },
        ),
        registers: [4],
      }),
    );
    both(program, [], (run) => expect([...run.read(0, 0, 'y')]).toEqual([4, 3, 2, 1]));
  });

  it('a FIFO joins a pusher and a popper on two microthreads', () => {
    const words = 50;
    const through = role({
      memory: allocate(
        [
          { name: 'ring', dtype: 'fp32', length: 3 },
          { name: 'y', dtype: 'fp32', length: words },
        ],
        wse2,
      ),
      inputs: queues(0),
      dsds: {
        in: { kind: 'fabricIn', color: 0, length: words },
        ring: { kind: 'fifo', object: 'ring', length: words },
        y: { kind: 'memory', object: 'y', extents: [words] },
      },
      ...main(
        { kind: 'vector', op: 'mul', dtype: 'fp32', dst: 'ring', src: ['in', 2], async: { thread: 0 } },
        { kind: 'vector', op: 'add', dtype: 'fp32', dst: 'y', src: ['ring', 1], async: { thread: 1 } },
      ),
    });
    const values = Array.from({ length: words }, (_, i) => i);
    const program = machine(2, 1, eastward(0, 0, 1), [
      [0, 0, sender(0, words)],
      [1, 0, through],
    ]);
    both(program, [{ x: 0, y: 0, object: 'x', values }], (run) =>
      expect([...run.read(1, 0, 'y')]).toEqual(values.map((v) => 2 * v + 1)),
    );
  });

  it('convert changes the type between memory objects', () => {
    const program = one(
      role({
        memory: allocate(
          [
            { name: 'h', dtype: 'fp16', length: 3 },
            { name: 's', dtype: 'fp32', length: 3 },
            { name: 'i', dtype: 'i16', length: 3 },
          ],
          wse2,
        ),
        dsds: {
          h: { kind: 'memory', object: 'h', extents: [3] },
          s: { kind: 'memory', object: 's', extents: [3] },
          i: { kind: 'memory', object: 'i', extents: [3] },
        },
        ...main(
          { kind: 'vector', op: 'convert', dtype: 'fp16', from: 'fp32', dst: 'h', src: ['s'] },
          { kind: 'vector', op: 'convert', dtype: 'i16', from: 'fp16', dst: 'i', src: ['h'] },
        ),
      }),
    );
    both(program, [{ x: 0, y: 0, object: 's', values: [2049, -3.75, 0.1] }], (run) => {
      expect([...run.read(0, 0, 'h')]).toEqual([2048, -3.75, 0.0999755859375]);
      expect([...run.read(0, 0, 'i')]).toEqual([2048, -3, 0]);
    });
  });
});

describe('tasks', () => {
  const sum: Task = {
    name: 'sum',
    kind: 'data',
    color: 0,
    dtype: 'fp32',
    argument: r(0),
    code: [
      { kind: 'scalar', op: 'add', dtype: 'fp32', dst: r(1), src: [r(1), r(0)] },
      { kind: 'store', object: 'y', index: 0, src: r(1) },
    ],
  };
  const memory = allocate([{ name: 'y', dtype: 'fp32', length: 1 }], wse2);

  it('a data task runs once per wavelet, with its payload', () => {
    const program = machine(2, 1, eastward(0, 0, 1), [
      [0, 0, sender(0, 10)],
      [1, 0, role({ memory, inputs: queues(0), tasks: [sum] })],
    ]);
    const values = Array.from({ length: 10 }, (_, i) => i + 1);
    const inputs = [{ x: 0, y: 0, object: 'x', values }];
    both(program, inputs, (run) => expect([...run.read(1, 0, 'y')]).toEqual([55]));
    expect(simulate(program, wse2, { inputs }).counts.tasks).toBe(1 + 10);
  });

  it('block, unblock and activate order tasks; a completion may unblock', () => {
    const log = (digit: number): Instruction[] => [
      { kind: 'scalar', op: 'mul', dtype: 'i32', dst: r(0), src: [r(0), 10] },
      { kind: 'scalar', op: 'add', dtype: 'i32', dst: r(0), src: [r(0), digit] },
      { kind: 'store', object: 'y', index: 0, src: r(0) },
    ];
    const program = one(
      role({
        memory: allocate(
          [
            { name: 'y', dtype: 'i32', length: 1 },
            { name: 'z', dtype: 'fp32', length: 100 },
          ],
          wse2,
        ),
        dsds: { z: { kind: 'memory', object: 'z', extents: [100] } },
        tasks: [
          {
            name: 'first',
            kind: 'local',
            id: 8,
            code: [
              { kind: 'vector', op: 'mov', dtype: 'fp32', dst: 'z', src: [1], async: { thread: 0, unblock: 'last' } },
              { kind: 'activate', task: 'last' },
              { kind: 'activate', task: 'second' },
              ...log(1),
            ],
          },
          { name: 'second', kind: 'local', id: 9, code: log(2) },
          { name: 'last', kind: 'local', id: 10, blocked: true, code: log(3) },
        ],
        start: ['first'],
      }),
    );
    both(program, [], (run) => expect([...run.read(0, 0, 'y')]).toEqual([123]));
  });

  it('a blocked data task leaves its wavelets in the queue until it is unblocked', () => {
    // `main` blocks the task, works for longer than all words take to come, notes the sum so far, and unblocks it.
    const words = 20;
    const program = machine(2, 1, eastward(0, 0, 1), [
      [0, 0, sender(0, words)],
      [
        1,
        0,
        role({
          memory: allocate(
            [
              { name: 'y', dtype: 'fp32', length: 1 },
              { name: 'before', dtype: 'fp32', length: 1 },
              { name: 'z', dtype: 'fp32', length: 500 },
            ],
            wse2,
          ),
          inputs: queues(0),
          dsds: { z: { kind: 'memory', object: 'z', extents: [500] } },
          tasks: [
            {
              name: 'main',
              kind: 'local',
              id: 8,
              code: [
                { kind: 'block', task: 'sum' },
                {
                  kind: 'vector',
                  op: 'mov',
                  dtype: 'fp32',
                  dst: 'z',
                  src: [0],
                  async: { thread: 0, activate: 'later' },
                },
              ],
            },
            {
              name: 'later',
              kind: 'local',
              id: 9,
              code: [
                { kind: 'load', object: 'y', index: 0, dst: r(2) },
                { kind: 'store', object: 'before', index: 0, src: r(2) },
                { kind: 'unblock', task: 'sum' },
              ],
            },
            sum,
          ],
          start: ['main'],
        }),
      ],
    ]);
    const inputs = [{ x: 0, y: 0, object: 'x', values: Array(words).fill(1) }];
    both(program, inputs, (run) => expect([...run.read(1, 0, 'y')]).toEqual([words]));
    // In an untimed run `later` may come at any time; in a timed one no word was taken before it.
    expect([...simulate(program, wse2, { inputs }).read(1, 0, 'before')]).toEqual([0]);
  });

  it('a pending task that nobody unblocks is reported', () => {
    const stuck = one(
      role({ tasks: [{ name: 'never', kind: 'local', id: 8, blocked: true, code: [] }], start: ['never'] }),
    );
    expect(() => simulate(stuck, wse2)).toThrow(/DEADLOCK/);
  });

  it('a control wavelet starts the control task that it names', () => {
    const signal = role({
      outputs: queues(0),
      dsds: { out: { kind: 'fabricOut', color: 0, length: 1, control: true } },
      ...main({
        kind: 'vector',
        op: 'mov',
        dtype: 'i32',
        dst: 'out',
        src: [encodeControl({ commands: [], task: 40 })],
      }),
    });
    const store = (value: number): Instruction[] => [{ kind: 'store', object: 'y', index: 0, src: value }];
    const program = machine(2, 1, eastward(0, 0, 1), [
      [0, 0, signal],
      [
        1,
        0,
        role({
          memory,
          inputs: queues(0),
          tasks: [
            { name: 'other', kind: 'control', id: 39, code: store(1) },
            { name: 'asked', kind: 'control', id: 40, code: store(2) },
          ],
        }),
      ],
    ]);
    both(program, [], (run) => expect([...run.read(1, 0, 'y')]).toEqual([2]));
  });
});

describe('switches and filters', () => {
  const chainOf = (positions: RouteRule['positions'], pop: RouteRule['pop'], ring?: boolean): RouteRule[] => [
    { on: at(0), color: 0, positions: [{ rx: ['R'], tx: ['E'] }] },
    { on: { x: 1, y: 0, width: 2, height: 1 }, color: 0, positions, pop, ring },
    { on: at(3), color: 0, positions: [{ rx: ['W'], tx: ['R'] }] },
  ];
  /** Sends 1, a control, 2, a control, 3 (each `words` times). */
  const words = 2;
  const speaker = (control: number): Role =>
    role({
      outputs: queues(0),
      dsds: {
        out: { kind: 'fabricOut', color: 0, length: words },
        control: { kind: 'fabricOut', color: 0, length: 1, control: true },
      },
      ...main(
        ...[1, 2, 3].flatMap((value): Instruction[] => [
          ...(value > 1 ? [{ kind: 'vector', op: 'mov', dtype: 'i32', dst: 'control', src: [control] } as const] : []),
          { kind: 'vector', op: 'mov', dtype: 'fp32', dst: 'out', src: [value] },
        ]),
      ),
    });
  const toRampThenEast: RouteRule['positions'] = [
    { rx: ['W'], tx: ['R'] },
    { rx: ['W'], tx: ['E'] },
  ];
  const deal = (control: number, pop: RouteRule['pop']): MachineProgram =>
    machine(4, 1, chainOf(toRampThenEast, pop), [
      [0, 0, speaker(control)],
      [1, 0, receiver(0, words)],
      [2, 0, receiver(0, words)],
      [3, 0, receiver(0, words)],
    ]);

  it('each control wavelet advances the first router that still keeps the stream', () => {
    // The control wavelet is swallowed where it advances: there the route ends at the ramp, and CEs ignore it.
    both(deal(encodeControl({ commands: ['advance'] }), 'never'), [], (run) =>
      expect([1, 2, 3].map((x) => run.read(x, 0, 'y')[0])).toEqual([1, 2, 3]),
    );
  });

  it('reset returns to the first position, and a ring to the first after the last', () => {
    const two = (control: number, ring: boolean): MachineProgram =>
      machine(
        3,
        1,
        [
          { on: at(0), color: 0, positions: [{ rx: ['R'], tx: ['E'] }] },
          { on: at(1), color: 0, positions: toRampThenEast, ring },
          { on: at(2), color: 0, positions: [{ rx: ['W'], tx: ['R'] }] },
        ],
        [
          [0, 0, speaker(control)],
          [1, 0, receiver(0, ring ? 2 * words : 3 * words)],
          ...(ring ? [[2, 0, receiver(0, words)] as const] : []),
          ...(ring ? [] : [[2, 0, role({ inputs: queues(0) })] as const]),
        ],
      );
    both(two(encodeControl({ commands: ['advance'] }), true), [], (run) => {
      expect([...run.read(1, 0, 'y')]).toEqual([1, 1, 3, 3]);
      expect([...run.read(2, 0, 'y')]).toEqual([2, 2]);
    });
    both(two(encodeControl({ commands: ['reset'] }), false), [], (run) =>
      expect([...run.read(1, 0, 'y')]).toEqual([1, 1, 2, 2, 3, 3]),
    );
  });

  it('popped commands reach one router each', () => {
    // Two routers that pass the stream on from the start; each obeys the next command of one control wavelet.
    const program = machine(
      4,
      1,
      chainOf(
        [
          { rx: ['W'], tx: ['E'] },
          { rx: ['W'], tx: ['E', 'R'] },
        ],
        'always',
      ),
      [
        [0, 0, speaker(encodeControl({ commands: ['none', 'advance'] }))],
        [1, 0, role({ inputs: queues(0) })],
        [2, 0, receiver(0, 2 * words)],
        [3, 0, receiver(0, 3 * words)],
      ],
    );
    both(program, [], (run) => {
      expect([...run.read(2, 0, 'y')]).toEqual([2, 2, 3, 3]);
      expect([...run.read(3, 0, 'y')]).toEqual([1, 1, 2, 2, 3, 3]);
    });
  });

  it('a torn-down color waits until the CE writes its switch', () => {
    // The sender's router pops the first command, so that only the receiver's is torn down.
    const routes: RouteRule[] = [
      { on: at(0), color: 0, positions: [{ rx: ['R'], tx: ['E'] }], pop: 'always' },
      { on: at(1), color: 0, positions: [{ rx: ['W'], tx: ['R'] }] },
    ];
    const send = speaker(encodeControl({ commands: ['none', 'teardown'], task: 5 }));
    const [speech] = send.tasks;
    const halves = (reopen: boolean): MachineProgram =>
      machine(2, 1, routes, [
        [0, 0, { ...send, tasks: [{ ...speech, code: speech.code.slice(0, 3) }] }],
        [
          1,
          0,
          role({
            memory: allocate(
              [
                { name: 'y', dtype: 'fp32', length: words },
                { name: 'z', dtype: 'fp32', length: words },
              ],
              wse2,
            ),
            inputs: queues(0),
            dsds: {
              in: { kind: 'fabricIn', color: 0, length: words },
              y: { kind: 'memory', object: 'y', extents: [words] },
              z: { kind: 'memory', object: 'z', extents: [words] },
            },
            tasks: [
              {
                name: 'main',
                kind: 'local',
                id: 8,
                code: [{ kind: 'vector', op: 'mov', dtype: 'fp32', dst: 'y', src: ['in'] }],
              },
              {
                name: 'torn',
                kind: 'control',
                id: 5,
                code: [
                  ...(reopen ? [{ kind: 'switch', color: 0, position: 0 } as const] : []),
                  { kind: 'vector', op: 'mov', dtype: 'fp32', dst: 'z', src: ['in'] },
                ],
              },
            ],
            start: ['main'],
          }),
        ],
      ]);
    both(halves(true), [], (run) => {
      expect([...run.read(1, 0, 'y')]).toEqual(Array(words).fill(1));
      expect([...run.read(1, 0, 'z')]).toEqual(Array(words).fill(2));
    });
    expect(() => simulate(halves(false), wse2)).toThrow(/DEADLOCK/);
    expect(() => interpret(halves(false), wse2)).toThrow(/DEADLOCK/);
  });

  it('a counter filter deals words round, a range filter takes its own', () => {
    const parts = 3;
    const total = 12;
    const routes = (filterOf: (i: number) => RouteRule['filter']): RouteRule[] => [
      { on: at(0), color: 0, positions: [{ rx: ['R'], tx: ['E'] }] },
      ...Array.from(
        { length: parts },
        (_, i): RouteRule => ({
          on: at(i + 1),
          color: 0,
          positions: [{ rx: ['W'], tx: i + 1 < parts ? ['R', 'E'] : ['R'] }],
          filter: filterOf(i),
        }),
      ),
    ];
    const placed = Array.from({ length: parts }, (_, i) => [i + 1, 0, receiver(0, total / parts)] as const);
    const values = Array.from({ length: total }, (_, i) => i);
    // Counter: PE i takes words i, i + 3, i + 6 … : passes at count 0, starting so that word i is count 0.
    const counter = routes((i) => ({ kind: 'counter', init: (parts - i) % parts, limit: 0, max: parts - 1 }));
    both(
      machine(parts + 1, 1, counter, [[0, 0, sender(0, total)], ...placed]),
      [{ x: 0, y: 0, object: 'x', values }],
      (run) => {
        for (let i = 0; i < parts; i++)
          expect([...run.read(i + 1, 0, 'y')]).toEqual([0, 1, 2, 3].map((n) => n * parts + i));
      },
    );
    // Range: the index is the upper half of the payload; i16 pairs put it there.
    const pairs = role({
      memory: allocate([{ name: 'x', dtype: 'i16', length: 2 * total }], wse2),
      outputs: queues(0),
      dsds: {
        x: { kind: 'memory', object: 'x', extents: [2 * total] },
        out: { kind: 'fabricOut', color: 0, length: 2 * total },
      },
      ...main({ kind: 'vector', op: 'mov', dtype: 'i16', dst: 'out', src: ['x'] }),
    });
    const take = role({
      memory: allocate([{ name: 'y', dtype: 'i16', length: 8 }], wse2),
      inputs: queues(0),
      dsds: { y: { kind: 'memory', object: 'y', extents: [8] }, in: { kind: 'fabricIn', color: 0, length: 8 } },
      ...main({ kind: 'vector', op: 'mov', dtype: 'i16', dst: 'y', src: ['in'] }),
    });
    const range = routes((i) => ({ kind: 'range', min: 4 * i, max: 4 * i + 3 }));
    const indexed = values.flatMap((v) => [100 + v, v]);
    both(
      machine(parts + 1, 1, range, [[0, 0, pairs], ...placed.map(([x, y]) => [x, y, take] as const)]),
      [{ x: 0, y: 0, object: 'x', values: indexed }],
      (run) => {
        for (let i = 0; i < parts; i++) expect([...run.read(i + 1, 0, 'y')]).toEqual(indexed.slice(8 * i, 8 * i + 8));
      },
    );
  });
});

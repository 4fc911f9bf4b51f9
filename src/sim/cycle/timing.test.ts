// Tight timing: not done at t − 1, done at t. Every expected value is a sum of the wafer's constants.
import { describe, expect, it } from 'vitest';
import { allocate, encodeControl } from '../../wafer/machine/index.ts';
import type { Instruction, MachineProgram, MemoryImage, RouteRule } from '../../wafer/machine/index.ts';
import { simulate } from './simulate.ts';
import { eastward, machine, main, queues, receiver, role, sender, wse2 } from './testing/programs.ts';

const { hop, ramp, taskStart, vectorStartup } = wse2;
const execute = 1;

const cyclesOf = (program: MachineProgram, inputs?: readonly MemoryImage[]): number =>
  simulate(program, wse2, { inputs }).cycles;

/** Done at cycle `at`: still running when given one cycle less, and not a cycle later. */
function exactly(program: MachineProgram, at: number, wafer = wse2): void {
  expect(simulate(program, wafer, { maxCycles: at }).cycles).toBe(at);
  expect(() => simulate(program, wafer, { maxCycles: at - 1 })).toThrow(/RUN_TOO_LONG/);
}

/** First wavelet leaves the sender's CE at this cycle. */
const firstIssue = taskStart + vectorStartup;
/** From a CE issuing a wavelet to the end of the step that takes it, over `distance` links. */
const message = (distance: number): number => execute + ramp + distance * hop + ramp + execute;

const line = (parts: number, words: number): MachineProgram =>
  machine(parts, 1, eastward(0, 0, parts - 1), [
    [0, 0, sender(0, words)],
    [parts - 1, 0, receiver(0, words)],
  ]);

describe('links and ramps', () => {
  it.each([2, 3, 10, 100])('a word over %i PEs costs its hops and two ramps', (parts) => {
    exactly(line(parts, 1), firstIssue + message(parts - 1));
  });

  it.each([1, 2, 7, 64])('%i words stream behind the first, one a cycle', (words) => {
    exactly(line(5, words), firstIssue + message(4) + words - 1);
  });

  it('one more cycle of hop or ramp is one more cycle per traversal', () => {
    const slowHop = { ...wse2, hop: (hop + 1) as typeof hop };
    const slowRamp = { ...wse2, ramp: (ramp + 1) as typeof ramp };
    // Streams stay at one word a cycle: buffers grow with the latency that they cover.
    exactly(line(10, 50), firstIssue + message(9) + 49 + 9, slowHop);
    exactly(line(10, 50), firstIssue + message(9) + 49 + 2, slowRamp);
  });
});

describe('link rate', () => {
  it.each([
    [1 / 2, 2],
    [3 / 4, 4 / 3],
    [8 / 9, 9 / 8],
  ])('at %f wavelets a cycle a stream takes %f cycles a word', (linkRate, period) => {
    const words = 73;
    // Word n begins on the first link n periods after the first, in the cycle that holds that instant.
    exactly(line(5, words), firstIssue + message(4) + Math.floor((words - 1) * period + 1e-9), { ...wse2, linkRate });
  });

  it('refuses a link faster than one wavelet a cycle', () => {
    expect(() => simulate(line(2, 1), { ...wse2, linkRate: 2 })).toThrow(/WAFER_TIMING/);
  });
});

describe('multicast', () => {
  it('a copy to the ramp and onwards costs no PE anything', () => {
    const routes: RouteRule[] = [
      { on: { x: 0, y: 0, width: 1, height: 1 }, color: 0, positions: [{ rx: ['R'], tx: ['E'] }] },
      { on: { x: 1, y: 0, width: 3, height: 1 }, color: 0, positions: [{ rx: ['W'], tx: ['R', 'E'] }] },
      { on: { x: 4, y: 0, width: 1, height: 1 }, color: 0, positions: [{ rx: ['W'], tx: ['R'] }] },
    ];
    const words = 20;
    const all = machine(5, 1, routes, [
      [0, 0, sender(0, words)],
      [1, 0, receiver(0, words)],
      [2, 0, receiver(0, words)],
      [3, 0, receiver(0, words)],
      [4, 0, receiver(0, words)],
    ]);
    exactly(all, firstIssue + message(4) + words - 1);
  });

  it('goes whole or not at all: one copy that cannot be taken holds up the others', () => {
    const routes: RouteRule[] = [
      { on: { x: 0, y: 0, width: 1, height: 1 }, color: 0, positions: [{ rx: ['R'], tx: ['E'] }] },
      { on: { x: 1, y: 0, width: 1, height: 1 }, color: 0, positions: [{ rx: ['W'], tx: ['R', 'E'] }] },
      { on: { x: 2, y: 0, width: 1, height: 1 }, color: 0, positions: [{ rx: ['W'], tx: ['R'] }] },
    ];
    const words = 20;
    const delay = 100;
    // The middle PE first works on something else for `delay` elements.
    const busy = receiver(0, words);
    const late = {
      ...busy,
      memory: [...busy.memory, { name: 'z', dtype: 'fp32', length: delay, address: 4 * words }] as const,
      dsds: { ...busy.dsds, z: { kind: 'memory', object: 'z', extents: [delay] } as const },
      ...main(
        { kind: 'vector', op: 'mov', dtype: 'fp32', dst: 'z', src: [0] },
        { kind: 'vector', op: 'mov', dtype: 'fp32', dst: 'y', src: ['in'] },
      ),
    };
    const program = machine(3, 1, routes, [
      [0, 0, sender(0, words)],
      [1, 0, late],
      [2, 0, receiver(0, words)],
    ]);
    // The middle takes its first word after both start-ups and the delay. What waits in its queue
    // (ramp + 1 words) comes at once, so the rest follow without a gap; the last word reaches the far PE
    // one hop later than the middle.
    exactly(program, taskStart + 2 * vectorStartup + delay + words + hop);
  });
});

describe('tasks and vector instructions', () => {
  const work = (...code: Instruction[]): MachineProgram =>
    machine(
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
                { name: 'x', dtype: 'fp32', length: 1028, bank: 0 },
                { name: 'y', dtype: 'fp32', length: 1028, bank: 4 },
                { name: 'z', dtype: 'fp32', length: 1028, bank: 0 },
                { name: 'h', dtype: 'fp16', length: 1028, bank: 0 },
                { name: 'k', dtype: 'fp16', length: 1028, bank: 4 },
                { name: 't', dtype: 'i32', length: 2 },
              ],
              wse2,
            ),
            dsds: Object.fromEntries(
              ['x', 'y', 'z', 'h', 'k'].map((name) => [name, { kind: 'memory', object: name, extents: [1028] }]),
            ),
            ...main(...code),
          }),
        ],
      ],
    );
  const vector = (
    op: 'add' | 'mac',
    dst: string,
    src: (string | number)[],
    dtype: 'fp32' | 'fp16' = 'fp32',
  ): Instruction => ({ kind: 'vector', op, dtype, dst, src });

  it('a task starts after taskStart cycles, and a scalar instruction takes one', () => {
    const nothing: Instruction = { kind: 'scalar', op: 'mov', dtype: 'i32', dst: { register: 0 }, src: [1] };
    exactly(work(nothing), taskStart + 1);
    exactly(work(nothing, nothing), taskStart + 2);
  });

  it('an activated task starts taskStart cycles after the one before it', () => {
    const one: Instruction = { kind: 'scalar', op: 'mov', dtype: 'i32', dst: { register: 0 }, src: [1] };
    const program = machine(
      1,
      1,
      [],
      [
        [
          0,
          0,
          role({
            tasks: [
              { name: 'first', kind: 'local', id: 8, code: [{ kind: 'activate', task: 'second' }] },
              { name: 'second', kind: 'local', id: 9, code: [one] },
            ],
            start: ['first'],
          }),
        ],
      ],
    );
    exactly(program, taskStart + 1 + taskStart + 1);
  });

  // Rows C24 and C25 of the validation table: 1,034 and 2,062 cycles (vendor cycle simulator, WSE-2).
  // The start-up is taken from C24, so that row checks that nothing else is added; C25 is predicted.
  it('1,028 fp32 elements: operands in different banks', () => {
    const aligned = cyclesOf(work(vector('mac', 'y', ['y', 'x', 2]))) - taskStart;
    expect(aligned).toBe(vectorStartup + 1028);
    expect(aligned).toBe(1034);
  });

  it('1,028 fp32 elements: both operands in one bank', () => {
    const conflict = cyclesOf(work(vector('mac', 'z', ['z', 'x', 2]))) - taskStart;
    expect(conflict).toBe(vectorStartup + 2 * 1028);
    expect(conflict).toBe(2062);
  });

  it('timestamps around an instruction differ by its cycles and one for the reading', () => {
    const stamp = (index: number): Instruction => ({ kind: 'timestamp', object: 't', index });
    const run = simulate(work(stamp(0), vector('mac', 'y', ['y', 'x', 2]), stamp(1)), wse2);
    const [before, after] = run.read(0, 0, 't');
    expect(after - before - 1).toBe(1034);
  });

  it('fp16 does as many elements a cycle as the machine has lanes, half as many from one bank', () => {
    const lanes = wse2.fp16Lanes;
    expect(cyclesOf(work(vector('mac', 'k', ['k', 'h', 2], 'fp16')))).toBe(taskStart + vectorStartup + 1028 / lanes);
    expect(cyclesOf(work(vector('mac', 'h', ['h', 'h', 2], 'fp16')))).toBe(
      taskStart + vectorStartup + (2 * 1028) / lanes,
    );
  });

  it('a microthread runs beside the main thread and shares one execution slot a cycle', () => {
    const async = (thread: number): Instruction => ({
      kind: 'vector',
      op: 'mov',
      dtype: 'fp32',
      dst: 'y',
      src: [0],
      async: { thread },
    });
    // Two of 1,028 elements each: issued in two cycles, then alternating.
    exactly(work(async(0), async(1)), taskStart + vectorStartup + 2 * 1028);
    // The second on the same microthread waits for the first.
    exactly(work(async(0), async(0)), taskStart + 2 * (vectorStartup + 1028));
  });
});

describe('microthreads', () => {
  it('take turns with one another: of two that are equally long the first ends a cycle before the second', () => {
    const length = 40;
    const ended = (name: string, index: number) =>
      ({ name, kind: 'local', id: 9 + index, code: [{ kind: 'timestamp', object: 't', index }] }) as const;
    const fill = (dst: string, thread: number): Instruction => ({
      kind: 'vector',
      op: 'mov',
      dtype: 'fp32',
      dst,
      src: [0],
      async: { thread, activate: `ended ${dst}` },
    });
    const first = main(fill('x', 0), fill('y', 1));
    const body = role({
      memory: allocate(
        [
          { name: 'x', dtype: 'fp32', length },
          { name: 'y', dtype: 'fp32', length },
          { name: 't', dtype: 'i32', length: 2 },
        ],
        wse2,
      ),
      dsds: Object.fromEntries(['x', 'y'].map((name) => [name, { kind: 'memory', object: name, extents: [length] }])),
      ...first,
      tasks: [...first.tasks, ended('ended x', 0), ended('ended y', 1)],
    });
    const [x, y] = simulate(machine(1, 1, [], [[0, 0, body]]), wse2).read(0, 0, 't');
    // From the first start-up on they alternate; a cycle behind its last element the task begins.
    const lastOfX = taskStart + vectorStartup + 2 * (length - 1);
    expect(x).toBe(lastOfX + 1 + taskStart);
    // The second task waits for the first to be over.
    expect(y).toBe(x + 1 + taskStart);
  });
});

describe('contention', () => {
  /** Two colors from PE 0 over one link to PE 1; `words` each. */
  const both = (words: number): MachineProgram => {
    const send = role({
      outputs: queues(0, 1),
      dsds: { a: { kind: 'fabricOut', color: 0, length: words }, b: { kind: 'fabricOut', color: 1, length: words } },
      ...main(
        { kind: 'vector', op: 'mov', dtype: 'fp32', dst: 'a', src: [1], async: { thread: 0 } },
        { kind: 'vector', op: 'mov', dtype: 'fp32', dst: 'b', src: [2], async: { thread: 1 } },
      ),
    });
    const receive = role({
      memory: allocate(
        [
          { name: 'a', dtype: 'fp32', length: words },
          { name: 'b', dtype: 'fp32', length: words },
        ],
        wse2,
      ),
      inputs: queues(0, 1),
      dsds: {
        inA: { kind: 'fabricIn', color: 0, length: words },
        inB: { kind: 'fabricIn', color: 1, length: words },
        a: { kind: 'memory', object: 'a', extents: [words] },
        b: { kind: 'memory', object: 'b', extents: [words] },
      },
      ...main(
        { kind: 'vector', op: 'mov', dtype: 'fp32', dst: 'a', src: ['inA'], async: { thread: 0 } },
        { kind: 'vector', op: 'mov', dtype: 'fp32', dst: 'b', src: ['inB'], async: { thread: 1 } },
      ),
    });
    return machine(
      2,
      1,
      [...eastward(0, 0, 1), ...eastward(1, 0, 1)],
      [
        [0, 0, send],
        [1, 0, receive],
      ],
    );
  };

  it('two colors that meet on a link take turns and together carry one word a cycle', () => {
    // Colors 0 and 1 come from west and north into PE (1, 1) and leave east over one link.
    const words = 40;
    const at = (x: number, y: number) => ({ x, y, width: 1, height: 1 });
    const routes: RouteRule[] = [
      { on: at(0, 1), color: 0, positions: [{ rx: ['R'], tx: ['E'] }] },
      { on: at(1, 1), color: 0, positions: [{ rx: ['W'], tx: ['E'] }] },
      { on: at(2, 1), color: 0, positions: [{ rx: ['W'], tx: ['S'] }] },
      { on: at(2, 2), color: 0, positions: [{ rx: ['N'], tx: ['R'] }] },
      { on: at(1, 0), color: 1, positions: [{ rx: ['R'], tx: ['S'] }] },
      { on: at(1, 1), color: 1, positions: [{ rx: ['N'], tx: ['E'] }] },
      { on: at(2, 1), color: 1, positions: [{ rx: ['W'], tx: ['N'] }] },
      { on: at(2, 0), color: 1, positions: [{ rx: ['S'], tx: ['R'] }] },
    ];
    const placed = [
      [0, 1, sender(0, words)],
      [2, 2, receiver(0, words)],
    ] as const;
    const alone = machine(3, 3, routes.slice(0, 4), placed);
    const together = machine(3, 3, routes, [...placed, [1, 0, sender(1, words)], [2, 0, receiver(1, words)]]);
    exactly(alone, firstIssue + message(3) + words - 1);
    const run = simulate(together, wse2);
    // 2 * words pass the link in as many cycles; the loser of the last turn ends one cycle later.
    expect(run.cycles).toBe(firstIssue + message(3) + 2 * words - 1);
    expect(run.counts.contended).toBeGreaterThan(words);
  });

  it('one CE sends one wavelet a cycle over all colors', () => {
    const words = 30;
    // Issue of the second instruction is one cycle later; the start-ups overlap.
    exactly(both(words), firstIssue + message(1) + 2 * words - 1);
  });
});

describe('switches', () => {
  // PE 0 sends a word, a control wavelet that advances PE 1's switch, and another word: the first goes to
  // PE 1 itself, the second to PE 2.
  const words = 8;
  const at = (x: number) => ({ x, y: 0, width: 1, height: 1 });
  const switched = (commands: Parameters<typeof encodeControl>[0]['commands']): MachineProgram =>
    machine(
      3,
      1,
      [
        { on: at(0), color: 0, positions: [{ rx: ['R'], tx: ['E'] }] },
        {
          on: at(1),
          color: 0,
          positions: [
            { rx: ['W'], tx: ['R'] },
            { rx: ['W'], tx: ['E'] },
          ],
        },
        { on: at(2), color: 0, positions: [{ rx: ['W'], tx: ['R'] }] },
      ],
      [
        [
          0,
          0,
          role({
            outputs: queues(0),
            dsds: {
              first: { kind: 'fabricOut', color: 0, length: words },
              control: { kind: 'fabricOut', color: 0, length: 1, control: true },
            },
            ...main(
              { kind: 'vector', op: 'mov', dtype: 'fp32', dst: 'first', src: [1] },
              { kind: 'vector', op: 'mov', dtype: 'i32', dst: 'control', src: [encodeControl({ commands })] },
              { kind: 'vector', op: 'mov', dtype: 'fp32', dst: 'first', src: [2] },
            ),
          }),
        ],
        [1, 0, receiver(0, words)],
        [2, 0, receiver(0, words)],
      ],
    );

  it('a control wavelet advances the switch for the wavelets behind it', () => {
    const run = simulate(switched(['advance']), wse2);
    expect([...run.read(1, 0, 'y')]).toEqual(Array(words).fill(1));
    expect([...run.read(2, 0, 'y')]).toEqual(Array(words).fill(2));
    // The three instructions follow one another at the sender, so the last word leaves at the end of the third.
    expect(run.cycles).toBe(taskStart + 3 * vectorStartup + 2 * words + 1 - 1 + message(2));
  });

  it('without the advance the second half has nowhere to go, and the run says who waits', () => {
    expect(() => simulate(switched(['none']), wse2)).toThrow(/DEADLOCK/);
  });

  it.each([
    ['W', 'N'],
    ['N', 'W'],
  ] as const)('the position changes in the cycle after the control wavelet passes, by %s for %s', (opens, waits) => {
    // Two inputs of one color at PE (1, 1): first the opener's, then (after the advance) the other, whose word waits there.
    const at = (x: number, y: number) => ({ x, y, width: 1, height: 1 });
    const from = { N: at(1, 0), W: at(0, 1) };
    const routes: RouteRule[] = [
      { on: from.N, color: 0, positions: [{ rx: ['R'], tx: ['S'] }] },
      { on: from.W, color: 0, positions: [{ rx: ['R'], tx: ['E'] }] },
      {
        on: at(1, 1),
        color: 0,
        positions: [
          { rx: [opens], tx: ['R'] },
          { rx: [waits], tx: ['R'] },
        ],
      },
    ];
    const opener = role({
      outputs: queues(0),
      dsds: { control: { kind: 'fabricOut', color: 0, length: 1, control: true } },
      ...main({
        kind: 'vector',
        op: 'mov',
        dtype: 'i32',
        dst: 'control',
        src: [encodeControl({ commands: ['advance'] })],
      }),
    });
    const program = machine(2, 2, routes, [
      [from[waits].x, from[waits].y, sender(0, 1)],
      [from[opens].x, from[opens].y, opener],
      [1, 1, receiver(0, 1)],
    ]);
    // Both wavelets reach PE (1, 1) in one cycle; the data waits one cycle for the switch.
    exactly(program, firstIssue + message(1) + 1);
  });
});

describe('backpressure', () => {
  it('holds words in the fabric while nobody takes them, and loses none', () => {
    const words = 200;
    const delay = 500;
    const quick = receiver(0, words);
    const late = {
      ...quick,
      memory: [...quick.memory, { name: 'z', dtype: 'fp32', length: delay, address: 4 * words }] as const,
      dsds: { ...quick.dsds, z: { kind: 'memory', object: 'z', extents: [delay] } as const },
      ...main(
        { kind: 'vector', op: 'mov', dtype: 'fp32', dst: 'z', src: [0] },
        { kind: 'vector', op: 'mov', dtype: 'fp32', dst: 'y', src: ['in'] },
      ),
    };
    const program = machine(4, 1, eastward(0, 0, 3), [
      [0, 0, sender(0, words)],
      [3, 0, late],
    ]);
    const values = Array.from({ length: words }, (_, i) => i);
    const run = simulate(program, wse2, { inputs: [{ x: 0, y: 0, object: 'x', values }] });
    expect([...run.read(3, 0, 'y')]).toEqual(values);
    // The receiver begins late and then takes a word every cycle: full buffers restart without a gap.
    expect(run.cycles).toBe(taskStart + 2 * vectorStartup + delay + words);
  });
});

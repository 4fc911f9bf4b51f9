// What a PE of random traffic does: it sends streams and takes others, each in one of several ways.
import { allocate } from '../../../wafer/machine/index.ts';
import type { Dsd, Dtype, Instruction, Role, Task } from '../../../wafer/machine/index.ts';
import { main, role, wse2 } from './programs.ts';

export interface Send {
  readonly stream: number;
  readonly color: number;
  readonly parts: number;
  /** Payload of the control wavelet behind each part. */
  readonly control?: number;
}

export interface Take {
  readonly stream: number;
  readonly color: number;
  /** Elements that come. */
  readonly length: number;
  /** By a vector instruction, by two with a FIFO between them, or by a task for each wavelet. */
  readonly how: 'vector' | 'fifo' | 'task';
  /** Control task that its control wavelets start. */
  readonly task?: number;
}

export interface Habit {
  /** Elements of each part of a stream. */
  readonly length: number;
  readonly dtype: Dtype;
  /** Cycles before anything begins. */
  readonly delay: number;
  /** Transfers run beside one another; else in turn in the main thread. */
  readonly beside: boolean;
}

/** Elements of a FIFO: an even number, as packed ones come in pairs. */
const room = 4;

export function trafficRole(sends: readonly Send[], takes: readonly Take[], habit: Habit): Role {
  const { length, dtype, delay, beside } = habit;
  const timed = sends.reduce((n, { parts }) => n + parts, takes.length);
  const dsds: Record<string, Dsd> = {};
  if (delay > 0) dsds['idle'] = { kind: 'memory', object: 'idle', extents: [delay] };
  for (const { stream: s, color, parts, control } of sends) {
    for (let part = 0; part < parts; part++)
      dsds[`x${s} ${part}`] = { kind: 'memory', object: `x${s}`, offset: part * length, extents: [length] };
    dsds[`out${s}`] = { kind: 'fabricOut', color, length };
    if (control !== undefined) dsds[`turn${s}`] = { kind: 'fabricOut', color, length: 1, control: true };
  }
  for (const { stream: s, color, length: taken, how } of takes) {
    dsds[`y${s}`] = { kind: 'memory', object: `y${s}`, extents: [taken] };
    dsds[`in${s}`] = { kind: 'fabricIn', color, length: taken };
    if (how === 'fifo') dsds[`ring${s}`] = { kind: 'fifo', object: `ring${s}`, length: taken };
  }

  /** What a stream's source does in turn. */
  const stepsOf = ({ stream: s, parts, control }: Send): Vector[] =>
    Array.from({ length: parts }, (_, part): Vector[] => [
      { kind: 'vector', op: 'mov', dtype, dst: `out${s}`, src: [`x${s} ${part}`] },
      ...(control === undefined
        ? []
        : [{ kind: 'vector', op: 'mov', dtype: 'i32', dst: `turn${s}`, src: [control] } as const]),
    ]).flat();
  const add = (s: number, from: string): Vector => ({
    kind: 'vector',
    op: 'add',
    dtype,
    dst: `y${s}`,
    src: [from, `y${s}`],
  });

  const tasks: Task[] = [];
  const begin: Instruction[] = [];
  let threads = 0;
  let ids = 9;
  if (beside) {
    for (const { stream: s, color, how, task } of takes) {
      if (how === 'vector') begin.push({ ...add(s, `in${s}`), async: { thread: threads++ } });
      if (how === 'fifo')
        begin.push(
          { kind: 'vector', op: 'mov', dtype, dst: `ring${s}`, src: [`in${s}`], async: { thread: threads++ } },
          { ...add(s, `ring${s}`), async: { thread: threads++ } },
        );
      if (how === 'task') tasks.push(perWavelet(s, color, dtype));
      if (task !== undefined) tasks.push(perControl(s, task));
    }
    for (const send of sends) {
      const thread = threads++;
      // Each step activates a task that begins the next one, so that the main thread waits for none.
      stepsOf(send).forEach((step, i, steps) => {
        const next = i + 1 < steps.length ? `step ${send.stream} ${i + 1}` : undefined;
        const begun: Instruction = { ...step, async: { thread, ...(next !== undefined && { activate: next }) } };
        if (i === 0) begin.push(begun);
        else tasks.push({ name: `step ${send.stream} ${i}`, kind: 'local', id: ids++, code: [begun] });
      });
    }
  } else {
    // When each transfer was over is part of the outcome.
    let stamp = 0;
    for (const step of [...sends.flatMap(stepsOf), ...takes.map(({ stream: s }) => add(s, `in${s}`))])
      begin.push(
        step,
        ...(step.dst.startsWith('turn') ? [] : [{ kind: 'timestamp', object: 'stamps', index: stamp++ } as const]),
      );
  }

  const first = main(
    ...(delay > 0 ? [{ kind: 'vector', op: 'mov', dtype: 'i32', dst: 'idle', src: [1] } as const] : []),
    ...begin,
  );
  return role({
    memory: allocate(
      [
        ...sends.map(({ stream: s, parts }) => ({ name: `x${s}`, dtype, length: parts * length })),
        ...takes.map(({ stream: s, length: taken }) => ({ name: `y${s}`, dtype, length: taken })),
        ...takes.flatMap(({ stream: s, how }) => (how === 'fifo' ? [{ name: `ring${s}`, dtype, length: room }] : [])),
        ...takes.flatMap(({ stream: s, task }) =>
          task === undefined ? [] : [{ name: `n${s}`, dtype: 'i32', length: 1 } as const],
        ),
        ...(beside ? [] : [{ name: 'stamps', dtype: 'i32', length: timed } as const]),
        ...(delay > 0 ? [{ name: 'idle', dtype: 'i32', length: delay } as const] : []),
      ],
      wse2,
    ),
    outputs: sends.map(({ color }, queue) => ({ queue, color })),
    inputs: takes.map(({ color }, queue) => ({ queue, color })),
    dsds,
    ...first,
    tasks: [...first.tasks, ...tasks],
  });
}

type Vector = Extract<Instruction, { kind: 'vector' }>;

/** Registers of a stream's tasks. */
const registersOf = (s: number) =>
  [0, 1, 2, 3].map((i) => ({ register: 4 * s + i })) as [Register, Register, Register, Register];
type Register = { readonly register: number };

/** Adds the payload to the next element. */
function perWavelet(s: number, color: number, dtype: Dtype): Task {
  const [argument, index, own] = registersOf(s);
  return {
    name: `word ${s}`,
    kind: 'data',
    color,
    dtype,
    argument,
    code: [
      { kind: 'load', object: `y${s}`, index, dst: own },
      { kind: 'scalar', op: 'add', dtype, dst: own, src: [own, argument] },
      { kind: 'store', object: `y${s}`, index, src: own },
      { kind: 'scalar', op: 'add', dtype: 'i32', dst: index, src: [index, 1] },
    ],
  };
}

/** Counts the control wavelets. */
function perControl(s: number, id: number): Task {
  const [, , , count] = registersOf(s);
  return {
    name: `turned ${s}`,
    kind: 'control',
    id,
    code: [
      { kind: 'scalar', op: 'add', dtype: 'i32', dst: count, src: [count, 1] },
      { kind: 'store', object: `n${s}`, index: 0, src: count },
    ],
  };
}

// What one PE of a line does in a collective, as a list of steps on its vector x, and the role that does it.
// `posted`: one task issues every step in turn, each waiting for its data (all PEs post before data arrives).
// `driven`: a PE that passes a message on learns of it by a task that its first wavelet starts. What comes before the
// first such step is posted as above, so a PE that only collects waits for its data. A later step's task is unblocked
// when the one before it is done, so sums keep the order of the steps.

import type { Wafer } from '../../spec/index.ts';
import { allocate, encodeControl } from '../machine/index.ts';
import type { Dsd, Instruction, Role, Task } from '../machine/index.ts';
import type { VectorType } from '../phase.ts';

export type Step =
  /** Send x. */
  | { readonly do: 'send'; readonly color: number }
  /** x = x + what comes, `messages` times in a row. */
  | { readonly do: 'add'; readonly color: number; readonly messages?: number }
  /** Send x + what comes. */
  | { readonly do: 'relay'; readonly color: number; readonly to: number }
  /** x = what comes. */
  | { readonly do: 'take'; readonly color: number }
  /** Turn the own router's switch of a color. */
  | { readonly do: 'switch'; readonly color: number; readonly position: number }
  /** A control wavelet that turns the switch of the own router only. */
  | { readonly do: 'advance'; readonly color: number };

export type Trigger = 'posted' | 'driven';

/** Registers of a driven step: the payload of the first wavelet. */
const first = { register: 0 };
const second = { register: 1 };

export function lineRole(
  steps: readonly Step[],
  trigger: Trigger,
  values: number,
  type: VectorType,
  wafer: Wafer,
): Role {
  // Messages are whole wavelets, so that one instruction can run over several of them.
  const packed = type === 'fp16';
  const head = packed ? 2 : 1;
  const length = head * Math.ceil(values / head);
  const rest = length - head;
  const incoming = [
    ...new Set(steps.flatMap((s) => (s.do === 'add' || s.do === 'relay' || s.do === 'take' ? [s.color] : []))),
  ];
  const outgoing = [
    ...new Set(
      steps.flatMap((s) => (s.do === 'send' || s.do === 'advance' ? [s.color] : s.do === 'relay' ? [s.to] : [])),
    ),
  ];
  const dsds: Record<string, Dsd> = { x: { kind: 'memory', object: 'x', extents: [length] } };
  const driven = trigger === 'driven' && steps.some((step) => step.do === 'relay');
  for (const color of incoming) dsds[`in${color}`] = { kind: 'fabricIn', color, length };
  for (const color of outgoing) dsds[`out${color}`] = { kind: 'fabricOut', color, length };
  if (driven) {
    dsds['xHead'] = { kind: 'memory', object: 'x', extents: [head] };
    if (packed) dsds['head'] = { kind: 'memory', object: 'head', extents: [2] };
    for (const color of outgoing) dsds[`out${color}Head`] = { kind: 'fabricOut', color, length: head };
    if (rest > 0) {
      dsds['xRest'] = { kind: 'memory', object: 'x', offset: head, extents: [rest] };
      for (const color of incoming) dsds[`in${color}Rest`] = { kind: 'fabricIn', color, length: rest };
      for (const color of outgoing) dsds[`out${color}Rest`] = { kind: 'fabricOut', color, length: rest };
    }
  }

  const vector = (op: 'mov' | 'add', dst: string, ...src: (string | typeof first)[]): Instruction => ({
    kind: 'vector',
    op,
    dtype: type,
    dst,
    src,
  });
  const perform = (step: Step): Instruction[] => {
    switch (step.do) {
      case 'send':
        return [vector('mov', `out${step.color}`, 'x')];
      case 'take':
        return [vector('mov', 'x', `in${step.color}`)];
      case 'relay':
        return [vector('add', `out${step.to}`, 'x', `in${step.color}`)];
      case 'add': {
        const messages = step.messages ?? 1;
        if (messages === 1) return [vector('add', 'x', 'x', `in${step.color}`)];
        // One instruction over all messages: x again and again.
        dsds['xAgain'] = { kind: 'memory', object: 'x', extents: [messages, length], strides: [0, 1] };
        dsds[`in${step.color}All`] = { kind: 'fabricIn', color: step.color, length: messages * length };
        return [vector('add', 'xAgain', 'xAgain', `in${step.color}All`)];
      }
      case 'switch':
        return [{ kind: 'switch', color: step.color, position: step.position }];
      case 'advance': {
        const name = `turn${step.color}`;
        dsds[name] = { kind: 'fabricOut', color: step.color, length: 1, control: true };
        const payload = encodeControl({ commands: ['advance'] });
        return [{ kind: 'vector', op: 'mov', dtype: 'i32', dst: name, src: [payload] }];
      }
    }
  };
  /** A message whose first wavelet has been taken into registers. */
  const performDriven = (step: Step): Instruction[] => {
    if (step.do === 'send' || step.do === 'switch' || step.do === 'advance') return perform(step);
    const start = packed ? 'head' : first;
    const [headTo, restTo] = step.do === 'relay' ? [`out${step.to}Head`, `out${step.to}Rest`] : ['xHead', 'xRest'];
    const op = step.do === 'take' ? 'mov' : 'add';
    const own = (name: string): string[] => (step.do === 'take' ? [] : [name]);
    return [
      ...(packed
        ? [first, second].map((src, index): Instruction => ({ kind: 'store', object: 'head', index, src }))
        : []),
      vector(op, headTo, ...own('xHead'), start),
      ...(rest > 0 ? [vector(op, restTo, ...own('xRest'), `in${step.color}Rest`)] : []),
    ];
  };

  const tasks: Task[] = [];
  const start: string[] = [];
  if (!driven && steps.length > 0) {
    tasks.push({ name: 'main', kind: 'local', id: 8, code: steps.flatMap(perform) });
    start.push('main');
  } else if (driven) {
    // A relay, and what waits for data after one, is a task of its own; everything else joins the step before it.
    const groups: Step[][] = [[]];
    for (const step of steps) {
      const waits = step.do === 'add' || step.do === 'take';
      if (step.do === 'relay' || (waits && groups.length > 1)) groups.push([step]);
      else groups[groups.length - 1].push(step);
    }
    const [before, ...messages] = groups;
    const unblock = (i: number): Instruction[] =>
      i < messages.length ? [{ kind: 'unblock', task: `message${i}` }] : [];
    if (before.length > 0) {
      tasks.push({ name: 'main', kind: 'local', id: 8, code: [...before.flatMap(perform), ...unblock(0)] });
      start.push('main');
    }
    messages.forEach((group, i) => {
      const color = (group[0] as { color: number }).color;
      tasks.push({
        name: `message${i}`,
        kind: 'data',
        color,
        dtype: type,
        argument: first,
        blocked: i > 0 || before.length > 0,
        code: [...group.flatMap(performDriven), ...unblock(i + 1)],
      });
    });
  }
  return {
    // x and head are read together, so they start in different banks.
    memory: allocate(
      [
        { name: 'x', dtype: type, length, bank: 0 },
        ...(driven && packed ? [{ name: 'head', dtype: type, length: 2, bank: wafer.sramBanks / 2 } as const] : []),
      ],
      wafer,
    ),
    inputs: incoming.map((color, queue) => ({ queue, color })),
    outputs: outgoing.map((color, queue) => ({ queue, color })),
    dsds,
    tasks,
    start,
  };
}

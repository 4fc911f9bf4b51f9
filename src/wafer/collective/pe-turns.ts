// What one PE does, as turns: code that runs at once, then code that a wavelet starts, and so on, each when the one
// before it is over. A turn that waits for a wavelet is entered by the data task of its color (message-task.ts).

import type { Wafer } from '../../spec/index.ts';
import {
  allocate,
  controlOut,
  dtypeBytes,
  encodeControl,
  fabricIn,
  fabricOut,
  firstLocalTask,
  vectorsOf,
} from '../machine/index.ts';
import type { Dsd, Instruction, MemoryObject, MemoryRequest, Queue, Role } from '../machine/index.ts';
import { waits, type LineUse, type Step, type Trigger } from './line-step.ts';
import { firstOfPayload, headObject, messageTask, type Message, type MessageTask, type Place } from './message-task.ts';

export interface PeTurns {
  /** Code of the turn that is being written. */
  run(...code: readonly Instruction[]): void;
  /** @returns its name */
  dsd(name: string, dsd: Dsd): string;
  /** The CE takes wavelets of a color. */
  listen(color: number): void;
  /** The CE sends wavelets of a color. */
  speak(color: number): void;
  perform(steps: readonly Step[], trigger: Trigger, use: LineUse): void;
  /** The role of a PE that holds `memory`. */
  build(memory: readonly MemoryRequest[]): Role;
}

interface Turn {
  /** What starts it; the first turn starts at once. */
  readonly message?: Message;
  readonly code: Instruction[];
}

/** Vectors that one task works on in different turns lie in one object, so that its DSDs can be set to each. */
const pool = 'line vectors';

/** Output queue that a color injects through on WSE-2 (see `spec/wafer/pe-limits.ts`). */
const colorsPerOutputQueue = 4;

const taskOf = (color: number): string => `message on ${color}`;

export function createPeTurns(wafer: Wafer): PeTurns {
  const inputs: Queue[] = [];
  const outputs: Queue[] = [];
  const dsds: Record<string, Dsd> = {};
  const turns: Turn[] = [{ code: [] }];

  const dsd = (name: string, declared: Dsd): string => {
    dsds[name] = declared;
    return name;
  };
  const listen = (color: number): void => {
    if (!inputs.some((q) => q.color === color)) inputs.push({ queue: inputs.length, color });
  };
  const speak = (color: number): void => {
    if (!outputs.some((q) => q.color === color))
      outputs.push({ queue: Math.floor(color / colorsPerOutputQueue), color });
  };
  const run = (...code: readonly Instruction[]): void => {
    turns[turns.length - 1].code.push(...code);
  };

  return {
    run,
    dsd,
    listen,
    speak,
    perform(steps, trigger, use) {
      const driven = trigger === 'driven' && steps.some((step) => step.do === 'relay');
      let relayed = false;
      for (const step of steps) {
        if (waits(step)) listen(step.color);
        if (step.do === 'send' || step.do === 'advance') speak(step.color);
        if (step.do === 'relay') speak(step.to);
        if (driven && waits(step) && (relayed || step.do === 'relay')) {
          relayed = true;
          turns.push({ message: { step, use }, code: [] });
        } else run(posted(step, use, dsd));
      }
    },
    build(memory) {
      const order = turns[0].code.length === 0 ? turns.slice(1) : turns;
      const byColor = new Map<number, Turn[]>();
      for (const turn of order)
        if (turn.message !== undefined)
          byColor.set(turn.message.step.color, [...(byColor.get(turn.message.step.color) ?? []), turn]);
      const { objects, placeIn } = lay(memory, [...byColor.values()], wafer);
      const tasks = new Map<number, MessageTask>();
      for (const [color, own] of byColor)
        tasks.set(
          color,
          messageTask(
            own.map(({ message }) => message as Message),
            placeIn(own),
            dsd,
          ),
        );

      // What one turn leaves set stands in the next.
      const standing = new Map<string, number>();
      const settings = (turn: Turn | undefined): Instruction[] => {
        if (turn?.message === undefined) return [];
        const { color } = turn.message.step;
        const at = (byColor.get(color) as Turn[]).indexOf(turn);
        return (tasks.get(color) as MessageTask).settings(at).flatMap(({ key, initial, value, instruction }) => {
          if ((standing.get(key) ?? initial) === value) return [];
          standing.set(key, value);
          return [instruction];
        });
      };
      order.forEach((turn, i) => {
        const next = order[i + 1] as Turn | undefined;
        const [own, other] = [turn, next].map((t) => t?.message?.step.color);
        turn.code.push(...settings(next));
        if (own === other) return;
        // A task that is entered again must not be before the PE has come so far.
        if (own !== undefined && (byColor.get(own) as Turn[]).length > 1)
          turn.code.push({ kind: 'block', task: taskOf(own) });
        if (other !== undefined) turn.code.push({ kind: 'unblock', task: taskOf(other) });
      });
      const [beginning] = order.filter(({ message }) => message === undefined);
      return {
        memory: objects,
        inputs,
        outputs,
        dsds,
        tasks: [
          ...(beginning === undefined
            ? []
            : [{ name: 'main', kind: 'local', id: firstLocalTask, code: beginning.code } as const]),
          ...[...byColor].map(([color, own]) => ({
            name: taskOf(color),
            kind: 'data' as const,
            color,
            dtype: (own[0].message as Message).use.type,
            argument: firstOfPayload,
            blocked: own[0] !== order[0],
            code: (tasks.get(color) as MessageTask).code(own.map(({ code }) => code)),
          })),
        ],
        start: beginning === undefined ? [] : ['main'],
      };
    },
  };
}

/** A step that is issued beforehand, or needs no data. */
function posted(step: Step, use: LineUse, declare: (name: string, dsd: Dsd) => string): Instruction {
  const { object, length, type, combine } = use;
  const x = declare(`${object} of ${length}`, { kind: 'memory', object, extents: [length] });
  const comes = (color: number, elements: number): string =>
    declare(`in ${color} of ${elements}`, fabricIn(color, elements));
  const leaves = (color: number): string => declare(`out ${color} of ${length}`, fabricOut(color, length));
  const vector = vectorsOf(type);
  switch (step.do) {
    case 'send':
      return vector('mov', leaves(step.color), x);
    case 'take':
      return vector('mov', x, comes(step.color, length));
    case 'relay':
      return vector(combine, leaves(step.to), x, comes(step.color, length));
    case 'add': {
      const { messages = 1 } = step;
      if (messages === 1) return vector(combine, x, x, comes(step.color, length));
      // One instruction over all messages: x again and again.
      const again = declare(`${object} of ${length}, ${messages} times`, {
        kind: 'memory',
        object,
        extents: [messages, length],
        strides: [0, 1],
      });
      return vector(combine, again, again, comes(step.color, messages * length));
    }
    case 'switch':
      return { kind: 'switch', color: step.color, position: step.position };
    case 'advance': {
      const dst = declare(`turn ${step.color}`, controlOut(step.color));
      return vectorsOf('i32')('mov', dst, encodeControl({ commands: ['advance'] }));
    }
  }
}

/**
 * Addresses. Vectors of turns that share a task lie in one object, whose parts keep their names and banks.
 * @param byTask the turns that wait, one list for each color
 */
function lay(memory: readonly MemoryRequest[], byTask: readonly (readonly Turn[])[], wafer: Wafer) {
  const objectsOf = (turns: readonly Turn[]): Set<string> =>
    new Set(turns.map(({ message }) => (message as Message).use.object));
  const isShared = (turns: readonly Turn[]): boolean => objectsOf(turns).size > 1;
  const names = new Set(byTask.filter(isShared).flatMap((turns) => [...objectsOf(turns)]));
  const parts = allocate(
    memory.filter(({ name }) => names.has(name)),
    wafer,
  );
  const bytes = parts.reduce(
    (end, { address, length, dtype }) => Math.max(end, address + length * dtypeBytes(dtype)),
    0,
  );
  const isPacked = byTask.some(([turn]) => turn.message?.use.type === 'fp16');
  const laid = allocate(
    [
      ...(bytes === 0
        ? []
        : [{ name: pool, dtype: parts[0].dtype, length: bytes / dtypeBytes(parts[0].dtype), bank: 0 }]),
      ...memory.filter(({ name }) => !names.has(name)),
      // Read together with vectors that start in bank 0.
      ...(isPacked ? [{ name: headObject, dtype: 'fp16', length: 2, bank: wafer.sramBanks / 2 } as const] : []),
    ],
    wafer,
  );
  const from = (name: string): number => (parts.find((part) => part.name === name) as MemoryObject).address;
  return {
    objects: [...laid, ...parts.map((part) => ({ ...part, address: laid[0].address + part.address, over: pool }))],
    placeIn:
      (turns: readonly Turn[]) =>
      ({ object, type }: LineUse): Place =>
        isShared(turns) ? { object: pool, offset: from(object) / dtypeBytes(type) } : { object, offset: 0 },
  };
}

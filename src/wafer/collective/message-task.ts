// The data task of a color on one PE: it adds (or keeps the larger) and passes on the message whose first wavelet started
// it, then goes on with what the PE does next. Several messages of the color, one for each turn, enter the same task;
// what differs between them (the vector, its length, what is done) is set before: DSDs by instructions that are the
// vendor's `@increment_dsd_offset` and `@set_dsd_length`, the rest in registers.

import { assert } from '../../core/index.ts';
import { branch, fabricIn, fabricOut, integer, jump, label, setDsd, store, vectorsOf } from '../machine/index.ts';
import type { Dsd, Instruction } from '../machine/index.ts';
import type { LineUse, WaitingStep } from './line-step.ts';

/** A message of a turn. */
export interface Message {
  readonly step: WaitingStep;
  readonly use: LineUse;
}

/** An element of a memory object: where a vector begins. */
export interface Place {
  readonly object: string;
  readonly offset: number;
}

/** Brings a DSD or register from what it is at the start, or was set to last, to `value`. */
export interface Setting {
  readonly key: string;
  readonly initial: number;
  readonly value: number;
  readonly instruction: Instruction;
}

export interface MessageTask {
  /** What the message of a turn wants set before it comes. */
  settings(turn: number): readonly Setting[];
  /** The task, with the code that follows the message of each turn. */
  code(behind: readonly (readonly Instruction[])[]): Instruction[];
}

/** The payload of the first wavelet. Kernels have the registers between these and those below. */
export const firstOfPayload = { register: 0 };
const secondOfPayload = { register: 1 };
/** Of a task of several turns: which turn it is, 1 to keep the larger, 1 when wavelets follow the first. */
const turnIs = { register: 13 };
const keepsLarger = { register: 14 };
const hasMore = { register: 15 };

/** Both halves of a first wavelet of fp16. */
export const headObject = 'head';

/**
 * @param messages of one color, in the order of their turns
 * @param placeOf where a vector begins; one object for all of them
 * @param dsd declares a DSD and returns its name
 */
export function messageTask(
  messages: readonly Message[],
  placeOf: (use: LineUse) => Place,
  dsd: (name: string, dsd: Dsd) => string,
): MessageTask {
  const [{ step, use }] = messages;
  const { type } = use;
  assert(
    messages.every((m) => JSON.stringify(m.step) === JSON.stringify(step) && m.use.type === type),
    'messages of one color do the same in every turn',
  );
  const { color } = step;
  const to = step.do === 'relay' ? step.to : undefined;
  const packed = type === 'fp16';
  const head = packed ? 2 : 1;
  const restOf = (m: Message): number => m.use.length - head;
  const long = messages.find((m) => restOf(m) > 0);

  const vectorDsd = (name: string, { object, offset }: Place, length: number): string =>
    dsd(name, { kind: 'memory', object, offset, extents: [length] });
  const xHead = vectorDsd(`x ${color} head`, placeOf(use), head);
  const headTo = to === undefined ? xHead : dsd(`out ${to} head`, fabricOut(to, head));
  if (packed) vectorDsd(headObject, { object: headObject, offset: 0 }, head);
  const rest = long === undefined ? undefined : declareRest(long);

  function declareRest(m: Message) {
    const { object, offset } = placeOf(m.use);
    const length = restOf(m);
    const x = vectorDsd(`x ${color} rest`, { object, offset: offset + head }, length);
    const comes = dsd(`in ${color} rest`, fabricIn(color, length));
    const leaves = to === undefined ? x : dsd(`out ${to} rest`, { kind: 'fabricOut', color: to, length });
    return { x, comes, leaves, offset: offset + head, length };
  }

  const vector = vectorsOf(type);
  const combine = (kind: 'add' | 'max', dst: string, x: string, comes: string | typeof turnIs): Instruction =>
    step.do === 'take' ? vector('mov', dst, comes) : vector(kind, dst, x, comes);
  const set = (dst: typeof turnIs, value: number): Setting => ({
    key: `register ${dst.register}`,
    initial: 0,
    value,
    instruction: integer('mov', dst, value),
  });
  const dsdSetting = (name: string, what: 'offset' | 'length', initial: number, value: number): Setting => ({
    key: `${what} of ${name}`,
    initial,
    value,
    instruction: setDsd(name, what, value),
  });

  const kinds = step.do === 'take' ? (['add'] as const) : (['add', 'max'] as const);
  const done = kinds.filter((kind) => messages.some((m) => step.do === 'take' || m.use.combine === kind));
  const ofKind = (kind: 'add' | 'max'): Message[] =>
    messages.filter((m) => step.do === 'take' || m.use.combine === kind);
  const isMixed = (list: readonly Message[]): boolean =>
    list.some((m) => restOf(m) > 0) && list.some((m) => restOf(m) === 0);
  const anyMixed = done.some((kind) => isMixed(ofKind(kind)));
  const body = (kind: 'add' | 'max'): Instruction[] => {
    const list = ofKind(kind);
    return [
      combine(kind, headTo, xHead, packed ? headObject : firstOfPayload),
      ...(isMixed(list) ? [branch(hasMore, '==', 0, 'passed on')] : []),
      ...(rest !== undefined && list.some((m) => restOf(m) > 0)
        ? [combine(kind, rest.leaves, rest.x, rest.comes)]
        : []),
    ];
  };

  return {
    settings(turn) {
      const message = messages[turn];
      const { offset } = placeOf(message.use);
      const length = restOf(message);
      return [
        ...(messages.length > 1 ? [set(turnIs, turn)] : []),
        ...(done.length > 1 ? [set(keepsLarger, message.use.combine === 'max' ? 1 : 0)] : []),
        ...(anyMixed ? [set(hasMore, length > 0 ? 1 : 0)] : []),
        dsdSetting(xHead, 'offset', placeOf(use).offset, offset),
        ...(rest === undefined || length === 0
          ? []
          : [
              dsdSetting(rest.x, 'offset', rest.offset, offset + head),
              ...[...new Set([rest.x, rest.comes, rest.leaves])].map((name) =>
                dsdSetting(name, 'length', rest.length, length),
              ),
            ]),
      ];
    },
    code: (behind) => [
      ...(packed ? [firstOfPayload, secondOfPayload].map((src, index) => store(headObject, index, src)) : []),
      ...(done.length > 1
        ? ([
            branch(keepsLarger, '!=', 0, 'larger'),
            ...body('add'),
            jump('passed on'),
            label('larger'),
            ...body('max'),
          ] as const)
        : body(done[0])),
      label('passed on'),
      ...choose(behind, 0, behind.length),
      label('over'),
    ],
  };
}

/** The code of the turn that it is, found by halves: a branch costs a cycle. */
function choose(behind: readonly (readonly Instruction[])[], from: number, end: number): Instruction[] {
  if (end - from === 1) return [...behind[from], ...(end === behind.length ? [] : [jump('over')])];
  const middle = (from + end) >> 1;
  return [
    branch(turnIs, '>=', middle, `turn ${middle}`),
    ...choose(behind, from, middle),
    label(`turn ${middle}`),
    ...choose(behind, middle, end),
  ];
}

// What one PE of a line does where the vector goes in slices, one per PE: steps on runs of slices, and the role that
// does them. Steps of one thread follow one another; threads run beside one another, so that traffic in both
// directions flows at once and neither can keep the other from draining.

import type { Wafer } from '../../spec/index.ts';
import { allocate, controlOut, encodeControl, firstLocalTask, vectorsOf } from '../machine/index.ts';
import type { Dsd, Instruction, Role, Task } from '../machine/index.ts';
import type { LineShape } from './collective.ts';
import { sliceLength } from './outcome.ts';

/** Slices `first`, `first` ± 1, … `last`, in that order. */
export interface Run {
  readonly first: number;
  readonly last: number;
}

export type SliceStep = { readonly thread: number } &
  /** Send x; `turns`: and then, in a task, a control wavelet that turns the switch of the own router only. */
  (
    | { readonly do: 'send'; readonly color: number; readonly run: Run; readonly turns?: boolean }
    /** x = x + what comes. */
    | { readonly do: 'add'; readonly color: number; readonly run: Run }
    /** Send x + what comes. */
    | { readonly do: 'relay'; readonly color: number; readonly to: number; readonly run: Run }
    /** Send what comes. */
    | { readonly do: 'pass'; readonly color: number; readonly to: number; readonly slices: number }
    /** x, or `into`, = what comes. */
    | { readonly do: 'take'; readonly color: number; readonly run: Run; readonly into?: string }
    /** The PE's own slice from x to the outcome. */
    | { readonly do: 'keep'; readonly run: Run; readonly into: string }
    /** Steps after this one begin when the thread's steps before it are done. */
    | { readonly do: 'wait' }
  );

const turning = (color: number): string => `turn ${color}`;

const lengthOf = ({ first, last }: Run): number => Math.abs(last - first) + 1;

/** @param outcome another object that receives the outcome */
export function sliceRole(steps: readonly SliceStep[], line: LineShape, wafer: Wafer, outcome?: string): Role {
  const { type, parts } = line;
  const slice = sliceLength(line);
  const dsds: Record<string, Dsd> = {};
  const memory = (object: string, run: Run): string => {
    const name = `${object} ${run.first} ${run.last}`;
    const strides = [run.last < run.first ? -slice : slice, 1];
    dsds[name] = { kind: 'memory', object, offset: run.first * slice, extents: [lengthOf(run), slice], strides };
    return name;
  };
  const fabric = (kind: 'fabricIn' | 'fabricOut', color: number, slices: number): string => {
    const name = `${kind} ${color} ${slices}`;
    dsds[name] = { kind, color, length: slices * slice };
    return name;
  };
  const vector = vectorsOf(type);
  const perform = (step: SliceStep): Instruction => {
    const async = { thread: step.thread };
    switch (step.do) {
      case 'send': {
        const sent = vector('mov', fabric('fabricOut', step.color, lengthOf(step.run)), memory('x', step.run));
        return { ...sent, async: step.turns === true ? { ...async, activate: turning(step.color) } : async };
      }
      case 'add': {
        const own = memory('x', step.run);
        return { ...vector('add', own, own, fabric('fabricIn', step.color, lengthOf(step.run))), async };
      }
      case 'relay': {
        const slices = lengthOf(step.run);
        const sources = [memory('x', step.run), fabric('fabricIn', step.color, slices)];
        return { ...vector('add', fabric('fabricOut', step.to, slices), ...sources), async };
      }
      case 'pass': {
        const [from, to] = [fabric('fabricIn', step.color, step.slices), fabric('fabricOut', step.to, step.slices)];
        return { ...vector('mov', to, from), async };
      }
      case 'take': {
        const from = fabric('fabricIn', step.color, lengthOf(step.run));
        return { ...vector('mov', memory(step.into ?? 'x', step.run), from), async };
      }
      case 'keep':
        return { ...vector('mov', memory(step.into, step.run), memory('x', step.run)), async };
      case 'wait':
        // The thread takes its next instruction when it is free.
        dsds['waited'] = { kind: 'memory', object: 'waited', extents: [1] };
        return { ...vectorsOf('i32')('mov', 'waited', 0), async };
    }
  };
  const turn = (color: number, index: number): Task => {
    dsds[turning(color)] = controlOut(color);
    const code = [vectorsOf('i32')('mov', turning(color), encodeControl({ commands: ['advance'] }))];
    return { name: turning(color), kind: 'local', id: firstLocalTask + 1 + index, code };
  };
  const incoming = new Set<number>();
  const outgoing = new Set<number>();
  const turned = new Set<number>();
  for (const step of steps) {
    if (step.do === 'send') outgoing.add(step.color);
    else if (step.do === 'relay' || step.do === 'pass') outgoing.add(step.to);
    if (step.do !== 'send' && step.do !== 'keep' && step.do !== 'wait') incoming.add(step.color);
    if (step.do === 'send' && step.turns === true) turned.add(step.color);
  }
  const main: Task[] = [{ name: 'main', kind: 'local', id: firstLocalTask, code: steps.map(perform) }];
  return {
    memory: allocate(
      [
        { name: 'x', dtype: type, length: parts * slice, bank: 0 },
        ...(outcome === undefined ? [] : [{ name: outcome, dtype: type, length: parts * slice }]),
        ...(steps.some((step) => step.do === 'wait') ? [{ name: 'waited', dtype: 'i32' as const, length: 1 }] : []),
      ],
      wafer,
    ),
    inputs: [...incoming].map((color, queue) => ({ queue, color })),
    outputs: [...outgoing].map((color, queue) => ({ queue, color })),
    tasks: steps.length === 0 ? [] : [...main, ...[...turned].map(turn)],
    dsds,
    start: steps.length === 0 ? [] : ['main'],
  };
}

// A role with its names turned into numbers: what the interpreter and the timed engine execute.

import { FloatSixteen, dtypeCode, isPacked, opCode } from './arithmetic.ts';
import { dtypeBytes } from './pe-program.ts';
import type { Dtype, Instruction, MemoryObject, Role, ScalarSource, VectorSource } from './pe-program.ts';
import { argumentsOf, denseStrides, dsdLength, reach, registersOf } from './verify-role.ts';

export const operandNone = 0;
export const operandMemory = 1;
export const operandFabricIn = 2;
export const operandFabricOut = 3;
export const operandFifo = 4;
export const operandScalar = 5;

/** register -1: the immediate `value`. */
export interface Source {
  readonly register: number;
  readonly value: number;
}

export interface Operand {
  readonly kind: number;
  readonly name: string;
  readonly dtype: number;
  /** Memory: byte address of element 0 and bytes from one element to the next (1-D). */
  readonly address: number;
  readonly stride: number;
  readonly length: number;
  /** Memory, more than one extent: extents and byte strides; empty for 1-D. */
  readonly extents: readonly number[];
  readonly strides: readonly number[];
  /** Memory: element range that the DSD touches before any shift, and the object's length, both in elements. */
  readonly low: number;
  readonly high: number;
  readonly objectLength: number;
  readonly size: number;
  /** Slot of the DSD's shift and length in the PE's state, or -1 when no instruction changes it. */
  readonly dynamic: number;
  /** Fabric: local number of the queue. FIFO: slot of its head and count. */
  readonly queue: number;
  readonly control: boolean;
  /** Memory: one extent and never changed, so that element i lies at address + i * stride. */
  readonly plain: boolean;
  readonly source: Source;
}

export interface VectorCode {
  readonly kind: 'vector';
  readonly op: number;
  readonly dtype: number;
  readonly dst: Operand;
  readonly a: Operand;
  readonly b: Operand;
  readonly c: Operand;
  /** 0 is the main thread, t + 1 microthread t. */
  readonly thread: number;
  /** Task bits to activate and unblock at the end; 0 for none. */
  readonly activate: number;
  readonly unblock: number;
  /** Elements of one wavelet when an operand is on the fabric, else 0. */
  readonly perWavelet: number;
  readonly hasFifo: boolean;
  /** Sources in memory. */
  readonly memoryReads: number;
  /** Its sources in memory have neighbouring elements side by side. */
  readonly sideBySide: boolean;
  /** Moves 16-bit elements of one type between the fabric and plain memory, so that bits need not become numbers. */
  readonly copies: boolean;
  /** One that `runPlain` knows: floats, from plain memory or registers to plain memory, all of one type. */
  readonly plain: boolean;
  /** One that `flow` knows: floats of one type are moved, added or compared; from one queue or none, from and to vectors in memory. */
  readonly flows: boolean;
  /** Its first and its second source in memory, where it has them; the local queue of its first one on the fabric, or -1. */
  readonly held: Operand;
  readonly beside: Operand;
  readonly takes: number;
}

export type Code =
  | VectorCode
  | {
      readonly kind: 'scalar';
      readonly op: number;
      readonly dtype: number;
      readonly dst: number;
      readonly a: Source;
      readonly b: Source;
    }
  | { readonly kind: 'load'; readonly object: MemoryObject; readonly index: Source; readonly dst: number }
  | { readonly kind: 'store'; readonly object: MemoryObject; readonly index: Source; readonly src: Source }
  | { readonly kind: 'jump'; readonly to: number }
  | {
      readonly kind: 'branch';
      readonly when: '<' | '>=' | '==' | '!=';
      readonly left: Source;
      readonly right: Source;
      readonly to: number;
    }
  | { readonly kind: 'activate' | 'block' | 'unblock'; readonly bit: number }
  | {
      readonly kind: 'dsd';
      readonly set: 'offset' | 'shift' | 'length';
      readonly dynamic: number;
      /** Offset that the DSD was declared with, elements: `offset` is absolute, the slot holds the shift. */
      readonly declared: number;
      readonly value: Source;
    }
  | { readonly kind: 'switch'; readonly color: number; readonly position: number }
  | { readonly kind: 'timestamp'; readonly address: number }
  | { readonly kind: 'end' };

export interface TaskCode {
  readonly name: string;
  readonly kind: 'local' | 'data' | 'control';
  readonly bit: number;
  /** First instruction in `RoleCode.code`. */
  readonly entry: number;
  /** Control: its id. */
  readonly id: number;
  /** Data: local input queue, type and register of the payload. */
  readonly queue: number;
  readonly dtype: number;
  readonly argument: number;
}

export interface RoleCode {
  readonly name: string;
  readonly code: readonly Code[];
  readonly tasks: readonly TaskCode[];
  /** Task bits pending and blocked before the first cycle. */
  readonly pending: number;
  readonly blocked: number;
  readonly inputColors: readonly number[];
  readonly outputColors: readonly number[];
  readonly memory: ReadonlyMap<string, MemoryObject>;
  readonly memoryBytes: number;
  readonly threads: number;
  readonly registers: readonly number[];
  /** Declared lengths of the DSDs that some instruction changes, by slot. */
  readonly dynamicLengths: readonly number[];
  readonly fifos: number;
}

/** One literal for all operands, so that they share one hidden class in the hot loops. */
const operandOf = (o: Partial<Operand>): Operand => ({
  kind: o.kind ?? operandNone,
  name: o.name ?? '',
  dtype: o.dtype ?? 0,
  address: o.address ?? 0,
  stride: o.stride ?? 0,
  length: o.length ?? 0,
  extents: o.extents ?? [],
  strides: o.strides ?? [],
  low: o.low ?? 0,
  high: o.high ?? 0,
  objectLength: o.objectLength ?? 0,
  size: o.size ?? 4,
  dynamic: o.dynamic ?? -1,
  queue: o.queue ?? 0,
  control: o.control ?? false,
  plain: o.kind === operandMemory && o.dynamic === -1 && o.extents?.length === 0,
  source: o.source ?? { register: -1, value: 0 },
});
const none = operandOf({});

/** Of one extent, so that elements lie `stride` apart. */
const isVector = ({ kind, extents }: Operand): boolean => kind === operandMemory && extents.length === 0;

const scalar = (source: ScalarSource): Source =>
  typeof source === 'number' ? { register: -1, value: source } : { register: source.register, value: 0 };

/** Presumes a role that `verify` accepts. */
export function resolveRole(name: string, role: Role): RoleCode {
  const memory = new Map(role.memory.map((object) => [object.name, object]));
  const objectOf = (asked: string): MemoryObject => memory.get(asked) as MemoryObject;
  const instructions = role.tasks.flatMap((task) => task.code);
  const dynamic = [...new Set(instructions.flatMap((i) => (i.kind === 'dsd' ? [i.dsd] : [])))];
  const fifoNames = Object.keys(role.dsds).filter((dsdName) => role.dsds[dsdName].kind === 'fifo');
  // Two DSDs over one object are one ring: the pusher's and the popper's.
  const rings = [...new Set(fifoNames.map((dsdName) => ringObject(role, dsdName)))];
  const bitOf = (task: string): number => 1 << role.tasks.findIndex((t) => t.name === task);

  const operand = (source: VectorSource, dtype: Dtype): Operand => {
    if (typeof source !== 'string')
      return operandOf({ kind: operandScalar, dtype: dtypeCode[dtype], source: scalar(source) });
    const dsd = role.dsds[source];
    const size = dtypeBytes(dtype);
    const shared = {
      name: source,
      dtype: dtypeCode[dtype],
      size,
      length: dsdLength(dsd),
      dynamic: dynamic.indexOf(source),
    };
    switch (dsd.kind) {
      case 'memory': {
        const object = objectOf(dsd.object);
        const strides = dsd.strides ?? denseStrides(dsd.extents);
        const [low, high] = reach(dsd);
        const oneD = dsd.extents.length === 1;
        return operandOf({
          ...shared,
          kind: operandMemory,
          address: object.address + (dsd.offset ?? 0) * size,
          stride: strides[strides.length - 1] * size,
          extents: oneD ? [] : dsd.extents,
          strides: oneD ? [] : strides.map((stride) => stride * size),
          low,
          high,
          objectLength: object.length,
        });
      }
      case 'fabricIn':
        return operandOf({
          ...shared,
          kind: operandFabricIn,
          queue: role.inputs.findIndex((q) => q.color === dsd.color),
        });
      case 'fabricOut':
        return operandOf({
          ...shared,
          kind: operandFabricOut,
          queue: role.outputs.findIndex((q) => q.color === dsd.color),
          control: dsd.control ?? false,
        });
      case 'fifo': {
        const object = objectOf(dsd.object);
        return operandOf({
          ...shared,
          kind: operandFifo,
          address: object.address,
          objectLength: object.length,
          queue: rings.indexOf(dsd.object),
        });
      }
    }
  };

  const code: Code[] = [];
  const tasks: TaskCode[] = role.tasks.map((task, index) => {
    const entry = code.length;
    // Labels take no place, so targets are counted without them.
    const labels = new Map<string, number>();
    let place = entry;
    for (const instruction of task.code)
      if (instruction.kind === 'label') labels.set(instruction.name, place);
      else place++;
    for (const instruction of task.code)
      if (instruction.kind !== 'label') code.push(resolveInstruction(instruction, labels));
    code.push({ kind: 'end' });
    return {
      name: task.name,
      kind: task.kind,
      bit: 1 << index,
      entry,
      id: task.kind === 'data' ? -1 : task.id,
      queue: task.kind === 'data' ? role.inputs.findIndex((q) => q.color === task.color) : -1,
      dtype: task.kind === 'data' ? dtypeCode[task.dtype] : 0,
      argument: task.kind === 'data' ? task.argument.register : -1,
    };
  });

  function resolveInstruction(
    instruction: Exclude<Instruction, { kind: 'label' }>,
    labels: ReadonlyMap<string, number>,
  ): Code {
    switch (instruction.kind) {
      case 'vector': {
        const { op, dtype, async } = instruction;
        const from = instruction.from ?? dtype;
        const dst = operand(instruction.dst, dtype);
        const sources = instruction.src.map((source) => operand(source, from));
        const all = [dst, ...sources];
        const fabric = all.some((o) => o.kind === operandFabricIn || o.kind === operandFabricOut);
        const inMemory = sources.filter((o) => o.kind === operandMemory);
        const taken = sources.filter((o) => o.kind === operandFabricIn);
        return {
          kind: 'vector',
          op: opCode[op],
          dtype: dtypeCode[dtype],
          dst,
          a: sources[0] ?? none,
          b: sources[1] ?? none,
          c: sources[2] ?? none,
          thread: async === undefined ? 0 : async.thread + 1,
          activate: async?.activate === undefined ? 0 : bitOf(async.activate),
          unblock: async?.unblock === undefined ? 0 : bitOf(async.unblock),
          perWavelet: fabric ? 4 / dtypeBytes(dtype) : 0,
          hasFifo: all.some((o) => o.kind === operandFifo),
          memoryReads: inMemory.length,
          sideBySide: inMemory.every((o) => isVector(o) && Math.abs(o.stride) === o.size),
          copies:
            op === 'mov' &&
            isPacked(dtypeCode[dtype]) &&
            [dst, sources[0]].every((o) => o.plain || o.kind === operandFabricIn || o.kind === operandFabricOut),
          plain:
            opCode[op] <= opCode.mac &&
            (dtype === 'fp16' || dtype === 'fp32') &&
            dst.plain &&
            sources.every((o) => o.kind === operandScalar || (o.plain && o.dtype === dtypeCode[dtype])),
          flows:
            (op === 'mov' || op === 'add' || op === 'max') &&
            (dtype === 'fp32' || (dtype === 'fp16' && FloatSixteen !== undefined)) &&
            from === dtype &&
            fabric &&
            taken.length <= 1 &&
            inMemory.length + taken.length === sources.length &&
            inMemory.every(isVector) &&
            (isVector(dst) || (dst.kind === operandFabricOut && !dst.control)),
          held: inMemory[0] ?? none,
          beside: inMemory[1] ?? none,
          takes: taken[0]?.queue ?? -1,
        };
      }
      case 'scalar':
        return {
          kind: 'scalar',
          op: opCode[instruction.op],
          dtype: dtypeCode[instruction.dtype],
          dst: instruction.dst.register,
          a: scalar(instruction.src[0]),
          b: scalar(instruction.src[1] ?? 0),
        };
      case 'load':
        return {
          kind: 'load',
          object: objectOf(instruction.object),
          index: scalar(instruction.index),
          dst: instruction.dst.register,
        };
      case 'store':
        return {
          kind: 'store',
          object: objectOf(instruction.object),
          index: scalar(instruction.index),
          src: scalar(instruction.src),
        };
      case 'jump':
        return { kind: 'jump', to: labels.get(instruction.to) as number };
      case 'branch':
        return {
          kind: 'branch',
          when: instruction.when,
          left: scalar(instruction.left),
          right: scalar(instruction.right),
          to: labels.get(instruction.to) as number,
        };
      case 'activate':
      case 'block':
      case 'unblock':
        return { kind: instruction.kind, bit: bitOf(instruction.task) };
      case 'dsd': {
        const dsd = role.dsds[instruction.dsd];
        return {
          kind: 'dsd',
          set: instruction.set,
          dynamic: dynamic.indexOf(instruction.dsd),
          declared: dsd.kind === 'memory' ? (dsd.offset ?? 0) : 0,
          value: scalar(instruction.value),
        };
      }
      case 'switch':
        return { kind: 'switch', color: instruction.color, position: instruction.position };
      case 'timestamp':
        return { kind: 'timestamp', address: objectOf(instruction.object).address + 4 * instruction.index };
    }
  }

  const threads = instructions.reduce(
    (n, i) => (i.kind === 'vector' && i.async ? Math.max(n, i.async.thread + 2) : n),
    1,
  );
  const registersNamed = [...instructions.flatMap(registersOf), ...role.tasks.flatMap(argumentsOf)];
  const registers = Math.max(role.registers?.length ?? 0, ...registersNamed.map((r) => r + 1), 0);
  return {
    name,
    code,
    tasks,
    pending: role.start.reduce((mask, task) => mask | bitOf(task), 0),
    blocked: role.tasks.reduce((mask, task) => (task.blocked ? mask | bitOf(task.name) : mask), 0),
    inputColors: role.inputs.map((queue) => queue.color),
    outputColors: role.outputs.map((queue) => queue.color),
    memory,
    memoryBytes: role.memory.reduce((end, o) => Math.max(end, o.address + o.length * dtypeBytes(o.dtype)), 0),
    threads,
    registers: Array.from({ length: registers }, (_, i) => role.registers?.[i] ?? 0),
    dynamicLengths: dynamic.map((dsdName) => dsdLength(role.dsds[dsdName])),
    fifos: rings.length,
  };
}

function ringObject(role: Role, dsdName: string): string {
  const dsd = role.dsds[dsdName];
  return dsd.kind === 'fifo' ? dsd.object : '';
}

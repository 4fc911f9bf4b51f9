// The CE's rules: starting tasks, the instructions of the main thread, and vector instructions element by
// element. What an instruction means stands here and in arithmetic.ts and nowhere else; how long it takes
// does not stand here at all.

import { fail } from '../../core/index.ts';
import { compute, copiedBits, dtypeCode, fromBits, isPacked, roundTo, toBits } from './arithmetic.ts';
import { operandFabricIn, operandFabricOut, operandFifo, operandMemory, operandNone, operandScalar } from './code.ts';
import type { Code, Operand, Source, VectorCode } from './code.ts';
import { controlTask } from './control.ts';
import { peName } from './layout.ts';
import { dtypeBytes, type MemoryObject } from './pe-program.ts';
import { runPlain } from './run-plain.ts';
import { hasRoom, isControl, loadElement, payload, pop, push, readyHead, setPosition, storeElement } from './state.ts';
import type { MachineState } from './state.ts';

export const isMainIdle = (m: MachineState, pe: number): boolean => m.pc[pe] < 0;

/** The main thread has an instruction to execute (it is not waiting for its own vector instruction). */
export const canIssue = (m: MachineState, pe: number): boolean =>
  m.pc[pe] >= 0 && m.vector[pe * m.threads] === undefined;

/** No microthread has begun anything: only the main thread can change this CE. */
export function isAlone(m: MachineState, pe: number): boolean {
  for (let t = pe * m.threads + 1; t < (pe + 1) * m.threads; t++) if (m.vector[t] !== undefined) return false;
  return true;
}

/** The main thread's next instruction touches only registers, SRAM and tasks of its own CE. Presumes `isAlone`. */
export function canRunAlone(m: MachineState, pe: number): boolean {
  if (!canIssue(m, pe)) return false;
  const next = codeOf(m, pe)[m.pc[pe]];
  return next.kind === 'vector' ? next.thread === 0 : next.kind !== 'switch';
}

const codeOf = (m: MachineState, pe: number): readonly Code[] => m.resolved.roles[m.resolved.roleOf[pe]].code;

/** The vector instruction that a thread is executing, or undefined. Thread 0 is the main thread. */
export const vectorOf = (m: MachineState, pe: number, thread: number): VectorCode | undefined =>
  m.vector[pe * m.threads + thread];

/** What `startTask` answers when it started none, or one that was activated; else the FIFO that it took a wavelet from. */
export const startedNone = -2;
export const startedLocal = -1;

/**
 * If the main thread is idle, start one runnable task, in turn: an activated local task, a data task whose
 * queue holds a data wavelet, a control task whose wavelet stands at the head of a queue.
 */
export function startTask(m: MachineState, pe: number): number {
  const { roles, roleOf, queueFirst } = m.resolved;
  const { tasks, inputColors } = roles[roleOf[pe]];
  const runnable = ~m.blocked[pe];
  for (let n = 1; n <= tasks.length; n++) {
    const index = (m.lastTask[pe] + n) % tasks.length;
    const task = tasks[index];
    if ((task.bit & runnable) === 0) continue;
    if (task.kind === 'local') {
      if ((m.pending[pe] & task.bit) === 0) continue;
      m.pending[pe] &= ~task.bit;
      begin(m, pe, index, task.entry);
      return startedLocal;
    }
    if (task.kind === 'data') {
      const fifo = queueFirst[pe] + task.queue;
      const entry = readyHead(m, fifo);
      if (entry < 0 || isControl(m, entry)) continue;
      const register = pe * m.registersPerPe + task.argument;
      m.registers[register] = fromBits(task.dtype, payload(m, entry));
      if (isPacked(task.dtype)) m.registers[register + 1] = fromBits(task.dtype, payload(m, entry) >>> 16);
      pop(m, fifo);
      begin(m, pe, index, task.entry);
      return fifo;
    }
    for (let q = 0; q < inputColors.length; q++) {
      const entry = readyHead(m, queueFirst[pe] + q);
      if (entry < 0 || !isControl(m, entry) || controlTask(payload(m, entry)) !== task.id) continue;
      pop(m, queueFirst[pe] + q);
      begin(m, pe, index, task.entry);
      return queueFirst[pe] + q;
    }
  }
  return startedNone;
}

function begin(m: MachineState, pe: number, task: number, entry: number): void {
  m.lastTask[pe] = task;
  m.pc[pe] = entry;
  settle(m, pe);
}

/** A task whose next instruction is its end, and that waits for nothing, is over. */
export function settle(m: MachineState, pe: number): void {
  if (canIssue(m, pe) && codeOf(m, pe)[m.pc[pe]].kind === 'end') m.pc[pe] = -1;
}

/**
 * Execute the main thread's next instruction; a vector instruction is only begun.
 * @returns the instruction, or undefined when it must wait (its microthread is still busy)
 */
export function issue(m: MachineState, pe: number): Code | undefined {
  const code = codeOf(m, pe);
  const pc = m.pc[pe];
  const step = code[pc];
  let next = pc + 1;
  switch (step.kind) {
    case 'vector':
      if (m.vector[pe * m.threads + step.thread] !== undefined) return undefined;
      beginVector(m, pe, step);
      break;
    case 'jump':
      next = step.to;
      break;
    case 'branch':
      if (holds(step.when, scalar(m, pe, step.left), scalar(m, pe, step.right))) next = step.to;
      break;
    case 'end':
      next = -1;
      break;
    default:
      perform(m, pe, step);
  }
  m.pc[pe] = next;
  settle(m, pe);
  return step;
}

/** What an instruction does that is no vector instruction and behind which the next one follows. */
export function perform(m: MachineState, pe: number, step: Code): void {
  switch (step.kind) {
    case 'scalar':
      m.registers[pe * m.registersPerPe + step.dst] = compute(
        step.op,
        step.dtype,
        scalar(m, pe, step.a),
        scalar(m, pe, step.b),
        0,
      );
      break;
    case 'load': {
      const at = elementAddress(m, pe, step.object, scalar(m, pe, step.index));
      m.registers[pe * m.registersPerPe + step.dst] = loadElement(m, dtypeCode[step.object.dtype], at);
      break;
    }
    case 'store': {
      const at = elementAddress(m, pe, step.object, scalar(m, pe, step.index));
      const dtype = dtypeCode[step.object.dtype];
      storeElement(m, dtype, at, roundTo(dtype, scalar(m, pe, step.src)));
      break;
    }
    case 'activate':
      m.pending[pe] |= step.bit;
      break;
    case 'block':
      m.blocked[pe] |= step.bit;
      break;
    case 'unblock':
      m.blocked[pe] &= ~step.bit;
      break;
    case 'dsd': {
      const slot = pe * m.dynamicsPerPe + step.dynamic;
      const value = scalar(m, pe, step.value);
      if (step.set === 'length') m.dsdLength[slot] = value;
      else if (step.set === 'shift') m.dsdShift[slot] += value;
      else m.dsdShift[slot] = value - step.declared;
      break;
    }
    case 'switch':
      for (let r = m.resolved.routeFirst[pe]; r < m.resolved.routeFirst[pe + 1]; r++)
        if (m.resolved.routeColor[r] === step.color) setPosition(m, r, step.position);
      break;
    case 'timestamp':
      m.i32[(m.memoryFirst[pe] + step.address) >> 2] = m.now;
      break;
  }
}

function holds(when: '<' | '>=' | '==' | '!=', a: number, b: number): boolean {
  switch (when) {
    case '<':
      return a < b;
    case '>=':
      return a >= b;
    case '==':
      return a === b;
    case '!=':
      return a !== b;
  }
}

const scalar = (m: MachineState, pe: number, source: Source): number =>
  source.register < 0 ? source.value : m.registers[pe * m.registersPerPe + source.register];

function elementAddress(m: MachineState, pe: number, object: MemoryObject, index: number): number {
  if (!(Number.isInteger(index) && index >= 0 && index < object.length))
    fail({
      code: 'MEMORY_BOUNDS',
      message: `element ${index} of "${object.name}", address ${object.address + index * dtypeBytes(object.dtype)}`,
      where: peName(pe, m.resolved.width),
      expected: `0 to ${object.length - 1}`,
    });
  return m.memoryFirst[pe] + object.address + index * dtypeBytes(object.dtype);
}

const lengthOf = (m: MachineState, pe: number, o: Operand): number =>
  o.dynamic < 0 ? o.length : m.dsdLength[pe * m.dynamicsPerPe + o.dynamic];

function beginVector(m: MachineState, pe: number, v: VectorCode): void {
  const total = lengthOf(m, pe, v.dst);
  for (const o of [v.dst, v.a, v.b, v.c]) {
    if (o.kind === operandNone || o.kind === operandScalar) continue;
    const length = lengthOf(m, pe, o);
    if (length !== total || total < 1)
      fail({
        code: 'LENGTH_MISMATCH',
        message: `"${v.dst.name}" has ${total} elements and "${o.name}" ${length}`,
        where: peName(pe, m.resolved.width),
      });
    if (o.kind === operandMemory && o.dynamic >= 0) checkBounds(m, pe, o, length);
  }
  const thread = pe * m.threads + v.thread;
  m.vector[thread] = v;
  m.done[thread] = 0;
  m.total[thread] = total;
}

/** DSDs that instructions change are checked when used; the others were checked by `verify`. */
function checkBounds(m: MachineState, pe: number, o: Operand, length: number): void {
  const shift = m.dsdShift[pe * m.dynamicsPerPe + o.dynamic];
  const stretch = o.extents.length === 0 ? (length - o.length) * (o.stride / o.size) : 0;
  // The last element moves: the highest, or with a negative stride the lowest.
  const low = o.low + shift + (o.stride < 0 ? stretch : 0);
  const high = o.high + shift + (o.stride < 0 ? 0 : stretch);
  if (low < 0 || high >= o.objectLength)
    fail({
      code: 'DSD_BOUNDS',
      message: `DSD "${o.name}" reaches elements ${low} to ${high} of an object of ${o.objectLength}`,
      where: peName(pe, m.resolved.width),
    });
}

/** Byte offset of element i of a memory operand into all SRAM. */
export function addressOf(m: MachineState, pe: number, o: Operand, i: number): number {
  let at = m.memoryFirst[pe] + o.address;
  if (o.dynamic >= 0) at += m.dsdShift[pe * m.dynamicsPerPe + o.dynamic] * o.size;
  if (o.extents.length === 0) return at + i * o.stride;
  let rest = i;
  for (let d = o.extents.length - 1; d >= 0; d--) {
    at += (rest % o.extents[d]) * o.strides[d];
    rest = Math.floor(rest / o.extents[d]);
  }
  return at;
}

const isWaiting = (m: MachineState, fifo: number): boolean => {
  const entry = readyHead(m, fifo);
  return entry < 0 || isControl(m, entry);
};

/** Elements that a thread's vector instruction can do now, at most `lanes`; 0 when an operand makes it wait. */
export function canStep(m: MachineState, pe: number, thread: number, v: VectorCode, lanes: number): number {
  const t = pe * m.threads + thread;
  let count = Math.min(m.total[t] - m.done[t], v.perWavelet > 0 ? Math.min(lanes, v.perWavelet) : lanes);
  if (v.perWavelet > 0) {
    const first = m.resolved.queueFirst[pe];
    if (v.a.kind === operandFabricIn && isWaiting(m, first + v.a.queue)) return 0;
    if (v.b.kind === operandFabricIn && isWaiting(m, first + v.b.queue)) return 0;
    if (v.c.kind === operandFabricIn && isWaiting(m, first + v.c.queue)) return 0;
    if (v.dst.kind === operandFabricOut && !hasRoom(m, outputOf(m, pe, v.dst))) return 0;
  }
  if (v.hasFifo) {
    for (const o of [v.a, v.b, v.c])
      if (o.kind === operandFifo) count = Math.min(count, m.ringCount[pe * m.ringsPerPe + o.queue]);
    if (v.dst.kind === operandFifo)
      count = Math.min(count, v.dst.objectLength - m.ringCount[pe * m.ringsPerPe + v.dst.queue]);
    // A wavelet holds a fixed number of elements: wait until they are all there.
    const whole = Math.min(v.perWavelet, m.total[t] - m.done[t]);
    if (count < whole) return 0;
  }
  return count;
}

const outputOf = (m: MachineState, pe: number, o: Operand): number =>
  m.resolved.outputChannel[m.resolved.outputFirst[pe] + o.queue];

function take(m: MachineState, pe: number, o: Operand): number {
  if (o.kind !== operandFabricIn) return 0;
  const fifo = m.resolved.queueFirst[pe] + o.queue;
  const bits = payload(m, readyHead(m, fifo));
  pop(m, fifo);
  return bits;
}

function fetch(m: MachineState, pe: number, o: Operand, i: number, e: number, word: number): number {
  switch (o.kind) {
    case operandMemory:
      return loadElement(m, o.dtype, o.plain ? m.memoryFirst[pe] + o.address + i * o.stride : addressOf(m, pe, o, i));
    case operandFabricIn:
      return fromBits(o.dtype, e === 0 ? word : word >>> 16);
    case operandScalar:
      return scalar(m, pe, o.source);
    case operandFifo: {
      const ring = pe * m.ringsPerPe + o.queue;
      const value = loadElement(m, o.dtype, m.memoryFirst[pe] + o.address + m.ringHead[ring] * o.size);
      m.ringHead[ring] = (m.ringHead[ring] + 1) % o.objectLength;
      m.ringCount[ring]--;
      return value;
    }
    default:
      return 0;
  }
}

/**
 * Do `count` elements (the answer of `canStep`) of a thread's vector instruction: read the sources, compute,
 * write. A wavelet sent is ready at `outReady`. At the last element the thread becomes idle and its task is
 * activated or unblocked.
 * @returns whether that was the last element
 */
export function step(
  m: MachineState,
  pe: number,
  thread: number,
  v: VectorCode,
  count: number,
  outReady: number,
): boolean {
  let a = 0;
  let b = 0;
  let c = 0;
  if (v.perWavelet > 0) {
    a = take(m, pe, v.a);
    b = take(m, pe, v.b);
    c = take(m, pe, v.c);
  }
  const out = apply(m, pe, v, m.done[pe * m.threads + thread], count, a, b, c);
  if (v.dst.kind === operandFabricOut) push(m, outputOf(m, pe, v.dst), out, v.dst.control ? 1 : 0, outReady);
  return advance(m, pe, thread, v, count);
}

/**
 * What `count` elements from element `from` on of a vector instruction do, given the wavelets that its operands
 * on the fabric took; the wavelet that it sends, if it sends one.
 */
export function apply(
  m: MachineState,
  pe: number,
  v: VectorCode,
  from: number,
  count: number,
  wordA: number,
  wordB: number,
  wordC: number,
): number {
  const { dst, a, b, c, op, dtype } = v;
  if (v.copies) return copy(m, pe, v, from, count, wordA);
  let out = 0;
  for (let e = 0; e < count; e++) {
    const i = from + e;
    const value = compute(
      op,
      dtype,
      fetch(m, pe, a, i, e, wordA),
      b.kind === operandNone ? 0 : fetch(m, pe, b, i, e, wordB),
      c.kind === operandNone ? 0 : fetch(m, pe, c, i, e, wordC),
    );
    switch (dst.kind) {
      case operandMemory:
        storeElement(
          m,
          dtype,
          dst.plain ? m.memoryFirst[pe] + dst.address + i * dst.stride : addressOf(m, pe, dst, i),
          value,
        );
        break;
      case operandFabricOut:
        out |= e === 0 ? toBits(dtype, value) : toBits(dtype, value) << 16;
        break;
      default: {
        const ring = pe * m.ringsPerPe + dst.queue;
        const place = (m.ringHead[ring] + m.ringCount[ring]) % dst.objectLength;
        storeElement(m, dtype, m.memoryFirst[pe] + dst.address + place * dst.size, value);
        m.ringCount[ring]++;
      }
    }
  }
  return out;
}

/** `apply` of an instruction that `copies`. */
function copy(m: MachineState, pe: number, v: VectorCode, from: number, count: number, word: number): number {
  const { dst, a, dtype } = v;
  const first = m.memoryFirst[pe];
  let out = 0;
  for (let e = 0; e < count; e++) {
    const i = from + e;
    const bits =
      a.kind === operandMemory ? m.u16[(first + a.address + i * a.stride) >> 1] : (word >>> (16 * e)) & 0xffff;
    const copied = copiedBits(dtype, bits);
    if (dst.kind === operandMemory) m.u16[(first + dst.address + i * dst.stride) >> 1] = copied;
    else out |= copied << (16 * e);
  }
  return out;
}

/** A thread's vector instruction has done `count` more elements; whether these were its last, which ends it. */
export function advance(m: MachineState, pe: number, thread: number, v: VectorCode, count: number): boolean {
  const t = pe * m.threads + thread;
  m.done[t] += count;
  if (m.done[t] < m.total[t]) return false;
  m.vector[t] = undefined;
  m.pending[pe] |= v.activate;
  m.blocked[pe] &= ~v.unblock;
  if (thread === 0) settle(m, pe);
  return true;
}

/** All remaining elements of the main thread's vector instruction, which has operands only in memory and registers. */
export function runVector(m: MachineState, pe: number, v: VectorCode): void {
  const t = pe * m.threads;
  const left = m.total[t] - m.done[t];
  const done = runPlain(m, pe, v, m.done[t], left) ? left : 0;
  m.done[t] += done;
  step(m, pe, 0, v, left - done, 0);
}

/** Some thread of this CE is in the middle of something, or a task that may run is pending. */
export function isBusy(m: MachineState, pe: number): boolean {
  if (m.resolved.roleOf[pe] < 0) return false;
  if (m.pc[pe] >= 0 || (m.pending[pe] & ~m.blocked[pe]) !== 0) return true;
  for (let t = pe * m.threads; t < (pe + 1) * m.threads; t++) if (m.vector[t] !== undefined) return true;
  return false;
}

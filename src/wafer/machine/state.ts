// Everything that changes while a program runs, as typed arrays. The interpreter and the timed engine share
// it, and the rules in router.ts and ce.ts that change it; they differ only in when they apply a rule.
//
// Two-phase ticks without copies: a FIFO counts pushes (one writer) and pops (one taker). A taker sees an
// entry once its `ready` cycle has come, never in the cycle of the push; a writer sees room that was there at
// the start of the cycle, because a pop of this cycle (`popStamp`) still counts as occupied. So the order in
// which PEs are visited within a cycle cannot matter.

import { fail } from '../../core/index.ts';
import { dtypeCode, fromBits, roundTo, toBits } from './arithmetic.ts';
import type { MemoryObject } from './pe-program.ts';
import { peName } from './layout.ts';
import { dtypeBytes } from './pe-program.ts';
import type { ResolvedProgram } from './resolve.ts';

/** Room in each kind of FIFO, in wavelets. */
export interface Depths {
  /** From a neighbour's router. */
  readonly link: number;
  /** From the CE into its router. */
  readonly inject: number;
  /** From the router into a CE input queue. */
  readonly deliver: number;
}

/** A color without a route after a teardown, until the CE writes a position. */
export const tornDown = 255;

/** All SRAM that programs use lives in one buffer whose byte offsets are unsigned 32-bit. */
const memoryCeiling = 2 ** 32 - 8;

export type MachineState = ReturnType<typeof createState>;

export function createState(resolved: ResolvedProgram, depths: Depths) {
  const { pes, fifos, channels, channelPort, roles, roleOf, routeColor } = resolved;
  const slots = 2 ** Math.ceil(Math.log2(Math.max(depths.link, depths.inject, depths.deliver)));
  const depth = new Uint8Array(fifos);
  for (let f = 0; f < fifos; f++)
    depth[f] = f >= channels ? depths.deliver : channelPort[f] === 4 ? depths.inject : depths.link;

  const most = (count: (role: (typeof roles)[number]) => number): number =>
    roles.reduce((n, r) => Math.max(n, count(r)), 0);
  const threads = most((role) => role.threads);
  const registers = most((role) => role.registers.length);
  const dynamics = most((role) => role.dynamicLengths.length);
  const rings = most((role) => role.fifos);
  const memoryFirst = new Float64Array(pes + 1);
  for (let pe = 0; pe < pes; pe++)
    memoryFirst[pe + 1] = memoryFirst[pe] + (roleOf[pe] < 0 ? 0 : Math.ceil(roles[roleOf[pe]].memoryBytes / 8) * 8);
  if (memoryFirst[pes] > memoryCeiling)
    fail({
      code: 'MACHINE_MEMORY',
      message: `the PEs' memory objects take ${memoryFirst[pes]} B together, more than one simulation holds`,
      expected: `at most ${memoryCeiling} B`,
      suggestion: 'simulate fewer PEs or shorter tensors',
    });
  const memory = new ArrayBuffer(memoryFirst[pes]);

  const state = {
    resolved,
    /** The cycle of a timed run; a count of actions in an untimed one. */
    now: 0,
    // FIFOs
    slots,
    depth,
    bits: new Int32Array(fifos * slots),
    control: new Uint8Array(fifos * slots),
    ready: new Int32Array(fifos * slots),
    pushed: new Int32Array(fifos),
    popped: new Int32Array(fifos),
    popStamp: new Int32Array(fifos).fill(-1),
    // Routers, per route
    position: new Uint8Array(routeColor.length),
    positionBefore: new Uint8Array(routeColor.length),
    changedAt: new Int32Array(routeColor.length).fill(-1),
    filterCount: Int32Array.from(resolved.routeRule, (rule) => {
      const filter = resolved.rules[rule].filter;
      return filter?.kind === 'counter' ? filter.init : 0;
    }),
    // SRAM
    memoryFirst,
    f32: new Float32Array(memory),
    i32: new Int32Array(memory),
    u16: new Uint16Array(memory),
    // CEs
    threads,
    registersPerPe: registers,
    dynamicsPerPe: dynamics,
    ringsPerPe: rings,
    pc: new Int32Array(pes).fill(-1),
    pending: new Int32Array(pes),
    blocked: new Int32Array(pes),
    lastTask: new Uint8Array(pes),
    /** Vector in flight: index of its instruction in the role's code + 1, 0 when the thread is idle. */
    vector: new Int32Array(pes * threads),
    done: new Int32Array(pes * threads),
    total: new Int32Array(pes * threads),
    registers: new Float64Array(pes * registers),
    dsdShift: new Int32Array(pes * dynamics),
    dsdLength: new Int32Array(pes * dynamics),
    ringHead: new Int32Array(pes * rings),
    ringCount: new Int32Array(pes * rings),
  };
  for (let pe = 0; pe < pes; pe++) {
    if (roleOf[pe] < 0) continue;
    const role = roles[roleOf[pe]];
    state.pending[pe] = role.pending;
    state.blocked[pe] = role.blocked;
    state.registers.set(role.registers, pe * registers);
    state.dsdLength.set(role.dynamicLengths, pe * dynamics);
  }
  return state;
}

/** Entries of a FIFO, ready or not. */
export const occupancy = (m: MachineState, fifo: number): number => m.pushed[fifo] - m.popped[fifo];

export const hasRoom = (m: MachineState, fifo: number): boolean =>
  m.pushed[fifo] - m.popped[fifo] + (m.popStamp[fifo] === m.now ? 1 : 0) < m.depth[fifo];

/** Slot of the head entry when it is ready, else -1. */
export function readyHead(m: MachineState, fifo: number): number {
  const popped = m.popped[fifo];
  if (m.pushed[fifo] === popped) return -1;
  const slot = fifo * m.slots + (popped & (m.slots - 1));
  return m.ready[slot] <= m.now ? slot : -1;
}

export function push(m: MachineState, fifo: number, bits: number, control: number, ready: number): void {
  const pushed = m.pushed[fifo];
  const slot = fifo * m.slots + (pushed & (m.slots - 1));
  m.bits[slot] = bits;
  m.control[slot] = control;
  m.ready[slot] = ready;
  m.pushed[fifo] = pushed + 1;
}

export function pop(m: MachineState, fifo: number): void {
  m.popped[fifo]++;
  m.popStamp[fifo] = m.now;
}

/** Element at a byte offset into all SRAM. */
export function loadElement(m: MachineState, dtype: number, at: number): number {
  switch (dtype) {
    case dtypeCode.fp32:
      return m.f32[at >>> 2];
    case dtypeCode.i32:
      return m.i32[at >>> 2];
    default:
      return fromBits(dtype, m.u16[at >>> 1]);
  }
}

/** Presumes a value of the type. */
export function storeElement(m: MachineState, dtype: number, at: number, value: number): void {
  switch (dtype) {
    case dtypeCode.fp32:
      m.f32[at >>> 2] = value;
      return;
    case dtypeCode.i32:
      m.i32[at >>> 2] = value;
      return;
    default:
      m.u16[at >>> 1] = toBits(dtype, value);
  }
}

function objectAt(m: MachineState, pe: number, name: string): MemoryObject {
  const role = m.resolved.roleOf[pe];
  const object = role < 0 ? undefined : m.resolved.roles[role].memory.get(name);
  if (object !== undefined) return object;
  return fail({
    code: 'NAME_UNKNOWN',
    message: `no memory object is named "${name}"`,
    where: peName(pe, m.resolved.width),
  });
}

/** Write the first elements of a memory object; each value is rounded to the object's type. */
export function writeObject(m: MachineState, pe: number, name: string, values: ArrayLike<number>): void {
  const object = objectAt(m, pe, name);
  if (values.length > object.length)
    fail({
      code: 'MEMORY_BOUNDS',
      message: `${values.length} values for "${name}"`,
      where: peName(pe, m.resolved.width),
      expected: `at most ${object.length}`,
    });
  const dtype = dtypeCode[object.dtype];
  const first = m.memoryFirst[pe] + object.address;
  for (let i = 0; i < values.length; i++)
    storeElement(m, dtype, first + i * dtypeBytes(object.dtype), roundTo(dtype, values[i]));
}

export function readObject(m: MachineState, pe: number, name: string): Float64Array {
  const object = objectAt(m, pe, name);
  const first = m.memoryFirst[pe] + object.address;
  return Float64Array.from({ length: object.length }, (_, i) =>
    loadElement(m, dtypeCode[object.dtype], first + i * dtypeBytes(object.dtype)),
  );
}

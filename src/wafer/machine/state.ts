// Everything that changes while a program runs, as typed arrays. The interpreter and the timed engine share
// it, and the rules in router.ts and ce.ts that change it; they differ only in when they apply a rule.
//
// Two-phase ticks without copies: a FIFO counts pushes (one writer) and pops (one taker). A taker sees an
// entry once its ready cycle has come, never in the cycle of the push; a writer sees room that was there at
// the start of the cycle, because a pop of this cycle (its stamp) still counts as occupied; switches turn
// between cycles (`turnSwitches`). So the order in which PEs are visited within a cycle cannot matter.
//
// All of a FIFO lies in one record of `fifo`, which with four slots is 64 bytes: one cache line per visit.

import { fail } from '../../core/index.ts';
import { FloatSixteen, dtypeCode, fromBits, halfNaN, roundTo, toBits } from './arithmetic.ts';
import type { VectorCode } from './code.ts';
import { peName, ramp as rampPort } from './layout.ts';
import { dtypeBytes, type MemoryObject } from './pe-program.ts';
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

/** Fields of a FIFO's record. Counts run on and wrap; their difference is the occupancy. */
export const pushedAt = 0;
export const poppedAt = 1;
export const popStampAt = 2;
export const depthAt = 3;
/** Of a channel: its route, the outputs that the switch in force gives it, */
export const routeAt = 4;
export const outputsAt = 5;
/** the FIFO behind the first of them, and behind the second; both -1 when it has more, or none. */
export const downAt = 6;
export const besideAt = 7;
/** Beside the port bits in `outputsAt`: a filter stands before the ramp. */
export const filteredBit = 64;
/** Entries of two words: payload, then ready cycle * 2 + control bit. */
export const entriesAt = 8;

/** All SRAM that programs use lives in one buffer whose byte offsets are signed 32-bit words. */
const memoryCeiling = 2 ** 31 - 8;

export type MachineState = ReturnType<typeof createState>;

/** @param depths without them there are no FIFOs: for engines that carry wavelets in another way */
export function createState(resolved: ResolvedProgram, depths?: Depths) {
  const { pes, roles, roleOf, routeRule, rules } = resolved;
  const { fifo, record, slotMask } = createFifos(resolved, depths);
  const most = (count: (role: (typeof roles)[number]) => number): number =>
    roles.reduce((n, r) => Math.max(n, count(r)), 0);
  const threads = most((role) => role.threads);
  const registers = most((role) => role.registers.length);
  const dynamics = most((role) => role.dynamicLengths.length);
  const rings = most((role) => role.fifos);
  const memoryFirst = new Int32Array(pes);
  let memoryBytes = 0;
  for (let pe = 0; pe < pes; pe++) {
    memoryFirst[pe] = memoryBytes;
    memoryBytes += roleOf[pe] < 0 ? 0 : Math.ceil(roles[roleOf[pe]].memoryBytes / 8) * 8;
  }
  if (memoryBytes > memoryCeiling)
    fail({
      code: 'MACHINE_MEMORY',
      message: `the PEs' memory objects take ${memoryBytes} B together, more than one simulation holds`,
      expected: `at most ${memoryCeiling} B`,
      suggestion: 'simulate fewer PEs or shorter tensors',
    });
  const memory = new ArrayBuffer(memoryBytes);

  const state = {
    resolved,
    /** The cycle of a timed run; a count of actions in an untimed one. */
    now: 0,
    fifo,
    record,
    slotMask,
    // Routers, per route
    position: new Uint8Array(routeRule.length),
    filterCount: Int32Array.from(routeRule, (rule) => {
      const filter = rules[rule].filter;
      return filter?.kind === 'counter' ? filter.init : 0;
    }),
    /** Routes whose switch turns before the next cycle; `position` is already the new one. */
    turning: [] as number[],
    // SRAM
    memoryFirst,
    f32: new Float32Array(memory),
    i32: new Int32Array(memory),
    u16: new Uint16Array(memory),
    /** Where this Node has it. */
    f16: FloatSixteen === undefined ? undefined : new FloatSixteen(memory),
    // CEs
    threads,
    registersPerPe: registers,
    dynamicsPerPe: dynamics,
    ringsPerPe: rings,
    pc: new Int32Array(pes).fill(-1),
    pending: new Int32Array(pes),
    blocked: new Int32Array(pes),
    lastTask: new Uint8Array(pes),
    /** Vector instruction in flight, by thread. */
    vector: Array.from<VectorCode | undefined>({ length: pes * threads }).fill(undefined),
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
  if (depths !== undefined) for (let route = 0; route < routeRule.length; route++) putInForce(state, route);
  return state;
}

function createFifos({ fifos, channels, channelPort, channelRoute }: ResolvedProgram, depths: Depths | undefined) {
  if (depths === undefined) return { fifo: new Int32Array(0), record: 0, slotMask: 0 };
  const slots = 2 ** Math.ceil(Math.log2(Math.max(depths.link, depths.inject, depths.deliver)));
  const record = entriesAt + 2 * slots;
  const fifo = new Int32Array(fifos * record);
  for (let f = 0; f < fifos; f++) {
    fifo[f * record + popStampAt] = -1;
    fifo[f * record + depthAt] =
      f >= channels ? depths.deliver : channelPort[f] === rampPort ? depths.inject : depths.link;
    if (f < channels) fifo[f * record + routeAt] = channelRoute[f];
  }
  return { fifo, record, slotMask: slots - 1 };
}

/** Entries of a FIFO, ready or not. */
export const occupancy = (m: MachineState, f: number): number =>
  m.fifo[f * m.record + pushedAt] - m.fifo[f * m.record + poppedAt];

export const hasRoom = (m: MachineState, f: number): boolean => hasRoomAt(m.fifo, f * m.record, m.now);

/** The same for the FIFO whose record begins at `r`. */
export const hasRoomAt = (fifo: Int32Array, r: number, now: number): boolean =>
  fifo[r + pushedAt] - fifo[r + poppedAt] + (fifo[r + popStampAt] === now ? 1 : 0) < fifo[r + depthAt];

/** Was this FIFO full before the one pop of this cycle? Then its writer may have been waiting. */
export const hasMadeRoom = (m: MachineState, f: number): boolean =>
  occupancy(m, f) === m.fifo[f * m.record + depthAt] - 1;

/** Place in `fifo` of the head entry when it is ready, else -1. */
export function readyHead(m: MachineState, f: number): number {
  const { fifo } = m;
  const r = f * m.record;
  const popped = fifo[r + poppedAt];
  if (fifo[r + pushedAt] === popped) return -1;
  const entry = r + entriesAt + 2 * (popped & m.slotMask);
  return fifo[entry + 1] >> 1 <= m.now ? entry : -1;
}

/** Cycle in which the head entry is ready, or -1 when the FIFO is empty. */
export function headReadyAt(m: MachineState, f: number): number {
  const r = f * m.record;
  const popped = m.fifo[r + poppedAt];
  return m.fifo[r + pushedAt] === popped ? -1 : m.fifo[r + entriesAt + 2 * (popped & m.slotMask) + 1] >> 1;
}

/** Slots of a FIFO by number, for those who keep something beside each entry. */
export const lastPushedSlot = (m: MachineState, f: number): number =>
  (m.fifo[f * m.record + pushedAt] - 1) & m.slotMask;
export const lastPoppedSlot = (m: MachineState, f: number): number =>
  (m.fifo[f * m.record + poppedAt] - 1) & m.slotMask;
/** Cycle in which the entry last popped was ready. */
export const lastPoppedReadyAt = (m: MachineState, f: number): number =>
  m.fifo[f * m.record + entriesAt + 2 * lastPoppedSlot(m, f) + 1] >> 1;
export function headSlot(m: MachineState, f: number): { readonly slot: number; readonly ready: number } {
  return { slot: m.fifo[f * m.record + poppedAt] & m.slotMask, ready: headReadyAt(m, f) };
}

/** Payload and control bit of the entry that `readyHead` found. */
export const payload = (m: MachineState, entry: number): number => m.fifo[entry];
export const isControl = (m: MachineState, entry: number): boolean => (m.fifo[entry + 1] & 1) !== 0;

export const push = (m: MachineState, f: number, bits: number, control: number, ready: number): void =>
  pushAt(m.fifo, f * m.record, m.slotMask, bits, ready * 2 + control);

/** The same for the FIFO whose record begins at `r`, and a ready cycle * 2 + control bit. */
export function pushAt(fifo: Int32Array, r: number, slotMask: number, bits: number, stamp: number): void {
  const pushed = fifo[r + pushedAt];
  const entry = r + entriesAt + 2 * (pushed & slotMask);
  fifo[entry] = bits;
  fifo[entry + 1] = stamp;
  fifo[r + pushedAt] = pushed + 1;
}

export function pop(m: MachineState, f: number): void {
  const r = f * m.record;
  m.fifo[r + poppedAt]++;
  m.fifo[r + popStampAt] = m.now;
}

/** Change a route's switch position from the next cycle on. */
export function setPosition(m: MachineState, route: number, position: number): void {
  m.position[route] = position;
  m.turning.push(route);
}

/** Between cycles: the switches that were told to turn do. */
export function turnSwitches(m: MachineState): void {
  if (m.turning.length === 0) return;
  for (const route of m.turning) putInForce(m, route);
  m.turning.length = 0;
}

/** Give each channel of a route the outputs of the route's switch position: none where it is not the input. */
function putInForce(m: Pick<MachineState, 'fifo' | 'record' | 'position' | 'resolved'>, route: number): void {
  const { rules, routeRule, routeChannel, channelRoute, channelPort, channels, down } = m.resolved;
  const rule = rules[routeRule[route]];
  const position = m.position[route];
  for (let c = routeChannel[route]; c < channels && channelRoute[c] === route; c++) {
    const r = c * m.record;
    const isInput = position !== tornDown && ((rule.rx[position] >>> channelPort[c]) & 1) === 1;
    const tx = isInput ? rule.tx[position] : 0;
    m.fifo[r + outputsAt] = tx === 0 || rule.filter === undefined ? tx : tx | filteredBit;
    const others = tx & (tx - 1);
    const behind = (port: number): number => (port === 0 ? -1 : down[route * 5 + 31 - Math.clz32(port & -port)]);
    const isFew = (others & (others - 1)) === 0;
    m.fifo[r + downAt] = isFew ? behind(tx) : -1;
    m.fifo[r + besideAt] = isFew ? behind(others) : -1;
  }
}

/** Element at a byte offset into all SRAM. */
export function loadElement(m: MachineState, dtype: number, at: number): number {
  switch (dtype) {
    case dtypeCode.fp32:
      return m.f32[at >> 2];
    case dtypeCode.i32:
      return m.i32[at >> 2];
    default:
      return fromBits(dtype, m.u16[at >> 1]);
  }
}

/** Presumes a value of the type. */
export function storeElement(m: MachineState, dtype: number, at: number, value: number): void {
  switch (dtype) {
    case dtypeCode.fp32:
      m.f32[at >> 2] = value;
      return;
    case dtypeCode.i32:
      m.i32[at >> 2] = value;
      return;
    default:
      m.u16[at >> 1] = toBits(dtype, value);
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

/** By the array that rounds, which would keep the sign of a NaN. */
function writeHalves(f16: Record<number, number>, u16: Uint16Array, first: number, values: ArrayLike<number>): void {
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (Number.isNaN(value)) u16[first + i] = halfNaN;
    else f16[first + i] = value;
  }
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
  if (dtype === dtypeCode.fp32) m.f32.set(values, first >> 2);
  else if (dtype === dtypeCode.fp16 && m.f16 !== undefined) writeHalves(m.f16, m.u16, first >> 1, values);
  else
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

// How long things take: the constants of a wafer, and the cycles of one step of a vector instruction.

import { fail } from '../../core/index.ts';
import type { Wafer } from '../../spec/index.ts';
import { addressOf, bankWidth, blockFrom, isDivision, isPacked, operandMemory } from '../../wafer/machine/index.ts';
import { furthestWake } from './wake.ts';
import type { Block, Code, Depths, MachineState, VectorCode } from '../../wafer/machine/index.ts';

export interface Timing {
  /** Router to router, cycles. */
  readonly hop: number;
  /** Router to CE or back, cycles. */
  readonly ramp: number;
  /** Cycles that a link is taken by one wavelet; at least 1, not necessarily whole. */
  readonly linkPeriod: number;
  readonly vectorStartup: number;
  readonly taskStart: number;
  /** A scalar division or square root. */
  readonly division: number;
  readonly fp16Lanes: number;
  readonly fp32Lanes: number;
  readonly banks: number;
  /** Bytes that one step may read per cycle. */
  readonly readBytes: number;
}

/** From issue to result, cycles: an instruction's or element's effect is there in the next cycle. */
export const execute = 1;

/** @throws IngotError WAFER_TIMING for a wafer whose links this engine cannot model */
export function timingOf(wafer: Wafer): Timing {
  if (
    !(wafer.linkRate > 0 && wafer.linkRate <= 1) ||
    wafer.hop < 1 ||
    wafer.ramp < 1 ||
    Math.max(wafer.hop, wafer.ramp + execute) > furthestWake
  )
    fail({
      code: 'WAFER_TIMING',
      message: `the cycle simulator cannot run ${wafer.name}`,
      expected: 'at most one wavelet per link and cycle, hop and ramp of 1 to 30 cycles',
      found: `link rate ${wafer.linkRate}, hop ${wafer.hop}, ramp ${wafer.ramp}`,
    });
  return {
    hop: wafer.hop,
    ramp: wafer.ramp,
    linkPeriod: 1 / wafer.linkRate,
    vectorStartup: wafer.vectorStartup,
    taskStart: wafer.taskStart,
    division: wafer.division,
    fp16Lanes: wafer.fp16Lanes,
    fp32Lanes: wafer.fp32Lanes,
    banks: wafer.sramBanks,
    readBytes: wafer.sramReadPerCycle,
  };
}

/** The least buffers with which a free path carries one wavelet every cycle: one in flight per cycle of latency, and one that waits. */
export const depthsOf = (timing: Timing): Depths => ({
  link: timing.hop + 1,
  inject: timing.ramp + execute + 1,
  deliver: timing.ramp + 1,
});

/** Cycles of the main thread's next instruction; a vector instruction is only begun. */
export const issueCycles = (code: Code, timing: Timing): number =>
  code.kind === 'scalar' && isDivision(code.op) ? timing.division : execute;

/** Elements that one step of a vector instruction handles at most. */
export const lanesOf = (timing: Timing, v: VectorCode): number =>
  isPacked(v.dtype) ? timing.fp16Lanes : timing.fp32Lanes;

/** Cycles and steps from a vector instruction's first step to its last. */
export interface VectorTime {
  readonly cycles: number;
  readonly steps: number;
}

/**
 * The time of what remains of a main thread's vector instruction that works in memory only. Where no DSD of it
 * ever changes, neither does its time, and it is worked out once.
 */
export function createVectorTimes(m: MachineState, timing: Timing): (pe: number, v: VectorCode) => VectorTime {
  const known = new Map<VectorCode, VectorTime>();
  const timeOf = (pe: number, v: VectorCode, from: number): VectorTime =>
    timeOfSteps(m, pe, v, from, m.total[pe * m.threads], timing);
  return (pe, v) => {
    const from = m.done[pe * m.threads];
    if (from !== 0 || [v.dst, v.a, v.b, v.c].some((o) => o.dynamic >= 0)) return timeOf(pe, v, from);
    let time = known.get(v);
    if (time === undefined) {
      time = timeOf(pe, v, 0);
      known.set(v, time);
    }
    return time;
  };
}

function timeOfSteps(
  m: MachineState,
  pe: number,
  v: VectorCode,
  from: number,
  total: number,
  timing: Timing,
): VectorTime {
  const lanes = lanesOf(timing, v);
  let cycles = 0;
  let steps = 0;
  for (let done = from; done < total; done += lanes) {
    cycles += stepCycles(m, pe, v, done, Math.min(lanes, total - done), timing);
    steps++;
  }
  return { cycles, steps };
}

/** A block of instructions and what it takes. */
export interface TimedBlock extends Block {
  /** Cycles from its first instruction until all is done, and those of them in which the CE executes. */
  readonly cycles: number;
  readonly busy: number;
  readonly steps: number;
}

/** The block that begins with the main thread's next instruction, if one does; each is worked out once for its role. */
export function createTimedBlocks(m: MachineState, timing: Timing): (pe: number) => TimedBlock | undefined {
  const { roles, roleOf } = m.resolved;
  const known = roles.map(({ code }): (TimedBlock | null | undefined)[] => code.map(() => undefined));
  const timeOf = (pe: number, block: Block): TimedBlock => {
    let [cycles, busy, steps] = [0, 0, 0];
    for (const code of block.code) {
      const issued = issueCycles(code, timing);
      cycles += issued;
      busy += issued;
      if (code.kind !== 'vector') continue;
      const time = timeOfSteps(m, pe, code, 0, code.dst.length, timing);
      cycles += Math.max(timing.vectorStartup - issued, 0) + time.cycles;
      busy += time.cycles;
      steps += time.steps;
    }
    return { ...block, cycles, busy, steps };
  };
  return (pe) => {
    const pc = m.pc[pe];
    if (pc < 0) return undefined;
    const role = roleOf[pe];
    const found = known[role][pc];
    if (found !== undefined) return found ?? undefined;
    const block = blockFrom(roles[role].code, pc);
    const timed = block === undefined ? null : timeOf(pe, block);
    known[role][pc] = timed;
    return timed ?? undefined;
  };
}

const bankUse = new Uint8Array(64);

/**
 * Cycles of one step: a bank serves one 32-bit word a cycle, so operands that fall into one bank take turns;
 * and the ports read a bounded number of bytes. Results are written through a buffer that hides behind the
 * reads of the next elements, so the destination costs nothing. Two neighbours of one vector lie in one word or
 * in two banks, and the ports read two words a cycle.
 */
export function stepCycles(
  m: MachineState,
  pe: number,
  v: VectorCode,
  from: number,
  count: number,
  timing: Timing,
): number {
  if (v.memoryReads === 0 || (v.memoryReads === 1 && (count === 1 || (v.sideBySide && count === 2)))) return 1;
  if (v.memoryReads === 2 && v.sideBySide && count <= 2 && timing.banks > 1)
    return pairCycles(m, pe, v, from, count, timing);
  return bankCycles(m, pe, v, from, count, timing);
}

/** The same, word by word: what the quick cases above come to. */
export function bankCycles(
  m: MachineState,
  pe: number,
  v: VectorCode,
  from: number,
  count: number,
  timing: Timing,
): number {
  bankUse.fill(0, 0, timing.banks);
  let most = 1;
  let words = 0;
  for (let n = 0; n < 3; n++) {
    const o = n === 0 ? v.a : n === 1 ? v.b : v.c;
    if (o.kind !== operandMemory) continue;
    let before = -1;
    for (let e = 0; e < count; e++) {
      const word = Math.floor((addressOf(m, pe, o, from + e) - m.memoryFirst[pe]) / bankWidth);
      // Neighbouring 16-bit elements come in one word.
      if (word === before) continue;
      before = word;
      words++;
      const bank = word % timing.banks;
      if (++bankUse[bank] > most) most = bankUse[bank];
    }
  }
  return Math.max(most, Math.ceil((words * bankWidth) / timing.readBytes));
}

/** The same for two sources of at most two elements, side by side: nearly all steps on the fabric that read two vectors. */
function pairCycles(m: MachineState, pe: number, v: VectorCode, from: number, count: number, timing: Timing): number {
  const first = m.memoryFirst[pe];
  const x = addressOf(m, pe, v.held, from) - first;
  const y = addressOf(m, pe, v.beside, from) - first;
  const x0 = Math.floor(x / bankWidth);
  const y0 = Math.floor(y / bankWidth);
  const x1 = Math.floor((x + (count - 1) * v.held.stride) / bankWidth);
  const y1 = Math.floor((y + (count - 1) * v.beside.stride) / bankWidth);
  const meets = (a: number, b: number): boolean => a % timing.banks === b % timing.banks;
  const most = meets(x0, y0) || meets(x0, y1) || meets(x1, y0) || meets(x1, y1) ? 2 : 1;
  const words = (x0 === x1 ? 1 : 2) + (y0 === y1 ? 1 : 2);
  return Math.max(most, Math.ceil((words * bankWidth) / timing.readBytes));
}

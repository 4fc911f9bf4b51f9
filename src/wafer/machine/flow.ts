// One step of the common vector instructions on the fabric, written out: a wavelet of floats is taken, sent, or both,
// with vectors in memory moved, added or compared. What that means stands in ce.ts and arithmetic.ts; here it
// is done without a decision per operand, in one go from the look at the queues to the wavelet sent. A law compares the two.

import { FloatSixteen, copiedBits, dtypeCode, halfNaN, opCode } from './arithmetic.ts';
import { addressOf, advance } from './ce.ts';
import { operandFabricOut, operandMemory, type VectorCode } from './code.ts';
import { entriesAt, hasRoomAt, popStampAt, poppedAt, pushAt, pushedAt, type MachineState } from './state.ts';

/** A wavelet, as its bits and as the numbers in it. */
const word = new Int32Array(1);
const single = new Float32Array(word.buffer);
const halves = FloatSixteen === undefined ? undefined : new FloatSixteen(word.buffer);
const halfBits = new Uint16Array(word.buffer);

/**
 * Do a step of an instruction that `flows`, if it can be done now.
 * @param outReady when a wavelet sent is ready at the router
 * @returns the elements done, 0 when an operand makes the thread wait
 */
export function flow(m: MachineState, pe: number, thread: number, v: VectorCode, outReady: number): number {
  const { fifo, record, slotMask, now } = m;
  const { takes, dst } = v;
  const t = pe * m.threads + thread;
  const from = m.done[t];
  const left = m.total[t] - from;
  const count = left < v.perWavelet ? left : v.perWavelet;
  let bits = 0;
  const out = dst.kind === operandFabricOut ? outputRecord(m, pe, dst.queue) : -1;
  if (out >= 0 && !hasRoomAt(fifo, out, now)) return 0;
  if (takes >= 0) {
    const r = (m.resolved.queueFirst[pe] + takes) * record;
    const popped = fifo[r + poppedAt];
    if (fifo[r + pushedAt] === popped) return 0;
    const entry = r + entriesAt + 2 * (popped & slotMask);
    const stamp = fifo[entry + 1];
    if (stamp >> 1 > now || (stamp & 1) !== 0) return 0;
    bits = fifo[entry];
    fifo[r + poppedAt] = popped + 1;
    fifo[r + popStampAt] = now;
  }
  bits = flowThrough(m, pe, v, from, count, bits);
  if (out >= 0) pushAt(fifo, out, slotMask, bits, 2 * outReady);
  advance(m, pe, thread, v, count);
  return count;
}

const outputRecord = (m: MachineState, pe: number, queue: number): number =>
  m.resolved.outputChannel[m.resolved.outputFirst[pe] + queue] * m.record;

/** What `apply` does, of an instruction that flows: from the wavelet that it took, if it takes one, to the one that it sends. */
export function flowThrough(
  m: MachineState,
  pe: number,
  v: VectorCode,
  from: number,
  count: number,
  bits: number,
): number {
  word[0] = bits;
  if (v.dtype === dtypeCode.fp16) computeHalves(m, pe, v, from, count);
  else computeSingle(m, pe, v, from);
  return word[0];
}

/** From `word` and memory to `word` or memory. */
function computeHalves(m: MachineState, pe: number, v: VectorCode, from: number, count: number): void {
  const { op, held, beside, dst } = v;
  const { u16 } = m;
  const loads = held.kind === operandMemory;
  const stores = dst.kind === operandMemory;
  const step = held.stride >> 1;
  const stepTo = dst.stride >> 1;
  let at = loads ? addressOf(m, pe, held, from) >> 1 : 0;
  let to = stores ? addressOf(m, pe, dst, from) >> 1 : 0;
  if (op === opCode.mov) {
    for (let e = 0; e < count; e++) {
      const bits = copiedBits(dtypeCode.fp16, loads ? u16[at] : halfBits[e]);
      if (stores) u16[to] = bits;
      else halfBits[e] = bits;
      at += step;
      to += stepTo;
    }
  } else {
    const f16 = m.f16 as Record<number, number>;
    const inWord = halves as Record<number, number>;
    const isPair = beside.kind === operandMemory;
    const stepBeside = beside.stride >> 1;
    let atBeside = isPair ? addressOf(m, pe, beside, from) >> 1 : 0;
    for (let e = 0; e < count; e++) {
      const x = f16[at];
      const y = isPair ? f16[atBeside] : inWord[e];
      const value = op === opCode.add ? x + y : Math.max(x, y);
      // The array would keep the sign of a NaN.
      if (Number.isNaN(value))
        if (stores) u16[to] = halfNaN;
        else halfBits[e] = halfNaN;
      else if (stores) f16[to] = value;
      else inWord[e] = value;
      at += step;
      atBeside += stepBeside;
      to += stepTo;
    }
  }
  // The rest of a last wavelet.
  if (count === 1) halfBits[1] = 0;
}

function computeSingle(m: MachineState, pe: number, v: VectorCode, from: number): void {
  const { op, held, beside, dst } = v;
  const { f32 } = m;
  const x = held.kind === operandMemory ? f32[addressOf(m, pe, held, from) >> 2] : single[0];
  const y = beside.kind === operandMemory ? f32[addressOf(m, pe, beside, from) >> 2] : single[0];
  const value = op === opCode.mov ? x : op === opCode.add ? x + y : Math.max(x, y);
  if (dst.kind === operandMemory) f32[addressOf(m, pe, dst, from) >> 2] = value;
  else single[0] = value;
}

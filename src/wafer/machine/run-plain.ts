// The common vector instructions over whole arrays at once: fp32 and fp16 in memory, sources in memory or
// registers. What they compute stands in arithmetic.ts; here the same is written out without a decision per
// element, and the typed arrays round. A law compares the two.

import { dtypeCode, halfNaN, opCode } from './arithmetic.ts';
import { operandMemory, type Operand, type VectorCode } from './code.ts';
import type { MachineState } from './state.ts';

/** Do `count` elements from element `from` on; false when the instruction is not one of those, and nothing was done. */
export function runPlain(m: MachineState, pe: number, v: VectorCode, from: number, count: number): boolean {
  if (!v.plain) return false;
  const { dst, a, b, c, op } = v;
  const isHalf = v.dtype === dtypeCode.fp16;
  const values = isHalf ? m.f16 : m.f32;
  // Older versions of Node have no array of fp16.
  if (values === undefined) return false;
  const shift = isHalf ? 1 : 2;
  const first = m.memoryFirst[pe];
  const at = (o: Operand): number => (first + o.address + from * o.stride) >> shift;
  const scalar = (o: Operand): number =>
    o.source.register < 0 ? o.source.value : m.registers[pe * m.registersPerPe + o.source.register];
  const loadsA = a.kind === operandMemory;
  const loadsB = b.kind === operandMemory;
  const loadsC = c.kind === operandMemory;
  let x = loadsA ? 0 : scalar(a);
  let y = loadsB ? 0 : scalar(b);
  let z = loadsC ? 0 : scalar(c);
  let atA = at(a);
  let atB = at(b);
  let atC = at(c);
  let to = at(dst);
  if (op === opCode.mac && loadsA && loadsB && !loadsC && a.stride === dst.stride && at(a) === to) {
    // An output column times an input, added up in place: most of all matrix work.
    addScaled(values, isHalf ? m.u16 : undefined, to, dst.stride >> shift, atB, b.stride >> shift, z, count);
    return true;
  }
  const stepA = a.stride >> shift;
  const stepB = b.stride >> shift;
  const stepC = c.stride >> shift;
  const stepTo = dst.stride >> shift;
  for (let n = 0; n < count; n++) {
    if (loadsA) x = values[atA];
    if (loadsB) y = values[atB];
    if (loadsC) z = values[atC];
    const value =
      op === opCode.mac
        ? x + y * z
        : op === opCode.add
          ? x + y
          : op === opCode.mul
            ? x * y
            : op === opCode.sub
              ? x - y
              : x;
    // The array would keep the sign of a NaN, which arithmetic.ts does not.
    if (isHalf && Number.isNaN(value)) m.u16[to] = halfNaN;
    else values[to] = value;
    atA += stepA;
    atB += stepB;
    atC += stepC;
    to += stepTo;
  }
  return true;
}

/** values[to + i step] += values[from + i stepFrom] * factor; `bits` are the values' own where they are fp16. */
function addScaled(
  values: Record<number, number>,
  bits: Uint16Array | undefined,
  to: number,
  step: number,
  from: number,
  stepFrom: number,
  factor: number,
  count: number,
): void {
  for (let n = 0; n < count; n++) {
    const value = values[to] + values[from] * factor;
    if (value !== value && bits !== undefined) bits[to] = halfNaN;
    else values[to] = value;
    to += step;
    from += stepFrom;
  }
}

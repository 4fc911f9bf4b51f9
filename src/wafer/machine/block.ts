// Runs of instructions that only work on registers and SRAM, done in one go. None of them can wait, fail, jump, or be
// seen by others before the last is over, and none depends on a DSD that instructions change: so what the run does and
// how long it takes is the same on all PEs of a role, and known before.

import { apply, perform, settle } from './ce.ts';
import { operandNone, operandScalar, type Code, type Source, type VectorCode } from './code.ts';
import type { MemoryObject } from './pe-program.ts';
import { runPlain } from './run-plain.ts';
import type { MachineState } from './state.ts';

export interface Block {
  readonly code: readonly Code[];
  /** Of the instruction behind the last. */
  readonly next: number;
}

/** The longest block that begins with an instruction; undefined where that one is none of a block. */
export function blockFrom(code: readonly Code[], pc: number): Block | undefined {
  let next = pc;
  while (isLocal(code[next])) next++;
  return next === pc ? undefined : { code: code.slice(pc, next), next };
}

function isLocal(code: Code): boolean {
  switch (code.kind) {
    case 'scalar':
    case 'activate':
    case 'block':
    case 'unblock':
      return true;
    case 'load':
    case 'store':
      return code.index.register < 0 && isInside(code.object, code.index);
    case 'vector':
      return code.thread === 0 && code.perWavelet === 0 && !code.hasFifo && isSettled(code);
    default:
      return false;
  }
}

const isInside = ({ length }: MemoryObject, { value }: Source): boolean =>
  Number.isInteger(value) && value >= 0 && value < length;

/** Operands of one length that nobody changes. */
const isSettled = ({ dst, a, b, c }: VectorCode): boolean =>
  dst.length >= 1 &&
  [dst, a, b, c].every(
    (o) => o.kind === operandNone || o.kind === operandScalar || (o.dynamic < 0 && o.length === dst.length),
  );

/** Do all of a block, at whose first instruction the main thread stands. */
export function runBlock(m: MachineState, pe: number, { code, next }: Block): void {
  for (let i = 0; i < code.length; i++) {
    const each = code[i];
    if (each.kind !== 'vector') perform(m, pe, each);
    else if (!runPlain(m, pe, each, 0, each.dst.length)) apply(m, pe, each, 0, each.dst.length, 0, 0, 0);
  }
  m.pc[pe] = next;
  settle(m, pe);
}

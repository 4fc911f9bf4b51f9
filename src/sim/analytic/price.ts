// Counts to cycles. The only place where a wafer's constants meet what kernels and collectives count.

import type { Wafer } from '../../spec/index.ts';
import type { OpPhases, Phase, VectorWork } from '../../wafer/index.ts';
import { cycles, type Cycles } from '../../core/index.ts';

/** Where the cycles go. */
export interface Breakdown {
  hop: number;
  ramp: number;
  wavelet: number;
  step: number;
  task: number;
  startup: number;
  element: number;
  loop: number;
  division: number;
}

export const emptyBreakdown = (): Breakdown => ({
  hop: 0,
  ramp: 0,
  wavelet: 0,
  step: 0,
  task: 0,
  startup: 0,
  element: 0,
  loop: 0,
  division: 0,
});

export const total = (breakdown: Breakdown): Cycles =>
  cycles(Object.values(breakdown).reduce((sum: number, part: number) => sum + part, 0));

/**
 * Elements per cycle of a multiply-accumulate with two operands in memory: the datapath's lanes, or what the
 * SRAM's read ports feed, whichever is less.
 */
function lanes(work: VectorWork, wafer: Wafer): number {
  const [datapath, elementBytes] = work.type === 'fp16' ? [wafer.fp16Lanes, 2] : [wafer.fp32Lanes, 4];
  return Math.min(datapath, wafer.sramReadPerCycle / (2 * elementBytes));
}

/** Cycles of a phase, all its repetitions, added to `into`. */
export function price(phase: Phase, wafer: Wafer, into: Breakdown = emptyBreakdown()): Breakdown {
  const times = phase.repeat;
  let startup = 0;
  let element = 0;
  let loop = 0;
  for (const work of phase.vectors) {
    startup += work.count * wafer.vectorStartup;
    element += work.count * Math.ceil(work.length / lanes(work, wafer)) * (work.sameBank === true ? 2 : 1);
    if (work.looped === true) loop += work.count * wafer.loopIteration;
  }
  const hop = phase.hops * wafer.hop;
  const ramp = phase.ramps * wafer.ramp;
  const wavelet = phase.wavelets / wafer.linkRate;
  const task = phase.tasks * wafer.taskStart;
  const division = phase.divisions * wafer.division;
  const { beside } = phase;
  if (beside !== undefined) {
    const communication = beside.hops * wafer.hop + beside.ramps * wafer.ramp + beside.wavelets / wafer.linkRate;
    const rest = startup + element + loop + hop + ramp + wavelet + task + division + phase.steps;
    into.wavelet += times * Math.max(0, communication - rest);
  }
  into.hop += times * hop;
  into.ramp += times * ramp;
  into.wavelet += times * wavelet;
  into.step += times * phase.steps;
  into.task += times * task;
  into.startup += times * startup;
  into.element += times * element;
  into.loop += times * loop;
  into.division += times * division;
  return into;
}

/** Cycles of a sequence of ops. */
export function priceAll(ops: readonly OpPhases[], wafer: Wafer): Breakdown {
  const sum = emptyBreakdown();
  for (const op of ops) for (const phase of op.phases) price(phase, wafer, sum);
  return sum;
}

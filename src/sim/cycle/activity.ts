// Where a run was busy and where it waited: totals per PE.

import type { MachineState } from '../../wafer/machine/index.ts';
import type { Observer } from './observer.ts';
import type { Timing } from './timing.ts';

export interface Activity extends Observer {
  /** Per PE: cycles from the start of a task or vector instruction until nothing is begun any more. */
  readonly held: Int32Array;
}

export function createActivity(m: MachineState, timing: Timing): Activity {
  const { pes } = m.resolved;
  const held = new Int32Array(pes);
  /** Cycle since which something is begun, or -1. */
  const since = new Int32Array(pes).fill(-1);

  const settle = (pe: number, end: number): void => {
    if (m.pc[pe] >= 0) return;
    for (let t = pe * m.threads; t < (pe + 1) * m.threads; t++) if (m.vector[t] !== undefined) return;
    held[pe] += end - since[pe];
    since[pe] = -1;
  };

  return {
    anyOrder: true,
    held,
    started(pe) {
      if (since[pe] < 0) since[pe] = m.now;
      settle(pe, m.now + timing.taskStart);
    },
    issued(pe, _begun, cycles) {
      settle(pe, m.now + cycles);
    },
    stepping() {},
    stepped(pe, _thread, _v, cycles) {
      settle(pe, m.now + cycles);
    },
  };
}

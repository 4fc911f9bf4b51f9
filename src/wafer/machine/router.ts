// The router's rule: which wavelet may move, where it goes, and what a control wavelet does to the switches.

import { commandAdvance, commandReset, commandTeardown, controlTask, firstCommand, popCommand } from './control.ts';
import { ramp } from './layout.ts';
import { popAlways, popOnAdvance } from './resolve.ts';
import {
  filteredBit,
  hasRoom,
  isControl,
  onlyDownAt,
  outputsAt,
  payload,
  pop,
  push,
  readyHead,
  routeAt,
  setPosition,
  tornDown,
} from './state.ts';
import type { MachineState } from './state.ts';

/** Port mask of `canForward` when nothing may move. */
export const cannotMove = 0;
/** Bit set beside the output ports of a wavelet that moves; a wavelet dropped at the ramp has no other bit. */
export const moves = 32;
const rampBit = 1 << ramp;
const ports = 31;

/**
 * Output ports (with `moves`) through which the head of a channel can leave now: it is ready, the switch
 * position takes its input, and every FIFO that it would enter has room. A multicast moves whole or not at all.
 */
export function canForward(m: MachineState, channel: number): number {
  const { fifo, record } = m;
  const r = channel * record;
  const outputs = fifo[r + outputsAt];
  if (outputs === 0) return cannotMove;
  const entry = readyHead(m, channel);
  if (entry < 0) return cannotMove;
  if ((outputs & (rampBit | filteredBit)) === 0) {
    const only = fifo[r + onlyDownAt];
    if (only >= 0) return hasRoom(m, only) ? outputs | moves : cannotMove;
  }
  let out = outputs & ports;
  const route = fifo[r + routeAt];
  if ((out & rampBit) !== 0 && (isControl(m, entry) || outputs !== out) && isDropped(m, route, entry)) out &= ~rampBit;
  const { down } = m.resolved;
  for (let rest = out; rest !== 0; rest &= rest - 1)
    if (!hasRoom(m, down[route * 5 + 31 - Math.clz32(rest & -rest)])) return cannotMove;
  return out | moves;
}

/**
 * Move the head of a channel to `out`, the answer of `canForward` in this cycle.
 * @returns whether it was a control wavelet, which may have turned the switch
 */
export function forward(m: MachineState, channel: number, out: number, hopReady: number, rampReady: number): boolean {
  const { fifo } = m;
  const r = channel * m.record;
  const outputs = fifo[r + outputsAt];
  const entry = readyHead(m, channel);
  let bits = payload(m, entry);
  const control = isControl(m, entry);
  pop(m, channel);
  const route = fifo[r + routeAt];
  if (control) bits = obey(m, route, bits);
  else if ((outputs & filteredBit) !== 0) count(m, route);
  const only = fifo[r + onlyDownAt];
  if (only >= 0) {
    if ((out & ports) !== 0) push(m, only, bits, control ? 1 : 0, (out & rampBit) === 0 ? hopReady : rampReady);
    return control;
  }
  const { down } = m.resolved;
  for (let rest = out & (rampBit - 1); rest !== 0; rest &= rest - 1)
    push(m, down[route * 5 + 31 - Math.clz32(rest & -rest)], bits, control ? 1 : 0, hopReady);
  if ((out & rampBit) !== 0) push(m, down[route * 5 + ramp], bits, control ? 1 : 0, rampReady);
  return control;
}

/** Does the ramp drop this wavelet: a filter, or a control wavelet that CEs ignore? */
function isDropped(m: MachineState, route: number, entry: number): boolean {
  const bits = payload(m, entry);
  if (isControl(m, entry)) return controlTask(bits) < 0;
  const filter = m.resolved.rules[m.resolved.routeRule[route]].filter;
  if (filter === undefined) return false;
  if (filter.kind === 'counter') return m.filterCount[route] > filter.limit;
  const index = bits >>> 16;
  return index < filter.min || index > filter.max;
}

/** A counter filter has seen one more data wavelet. */
function count(m: MachineState, route: number): void {
  const filter = m.resolved.rules[m.resolved.routeRule[route]].filter;
  if (filter?.kind === 'counter')
    m.filterCount[route] = m.filterCount[route] >= filter.max ? 0 : m.filterCount[route] + 1;
}

/** Obey the first command of a control wavelet; the payload as it travels on. */
function obey(m: MachineState, route: number, bits: number): number {
  const rule = m.resolved.rules[m.resolved.routeRule[route]];
  const command = firstCommand(bits);
  const position = m.position[route];
  const last = rule.rx.length - 1;
  if (command === commandAdvance && position !== tornDown)
    setPosition(m, route, position < last ? position + 1 : rule.ring ? 0 : last);
  else if (command === commandReset) setPosition(m, route, 0);
  else if (command === commandTeardown) setPosition(m, route, tornDown);
  const popped = rule.pop === popAlways || (rule.pop === popOnAdvance && command === commandAdvance);
  return popped ? popCommand(bits) : bits;
}

// The router's rule: which wavelet may move, where it goes, and what a control wavelet does to the switches.

import { commandAdvance, commandReset, commandTeardown, controlTask, firstCommand, popCommand } from './control.ts';
import { ramp } from './layout.ts';
import { popAlways, popOnAdvance } from './resolve.ts';
import { hasRoom, isControl, payload, pop, portAt, push, readyHead, routeAt, setPosition, tornDown } from './state.ts';
import type { MachineState } from './state.ts';

/** Port mask of `canForward` when nothing may move. */
export const cannotMove = 0;
/** Bit set beside the output ports of a wavelet that moves; a wavelet dropped at the ramp has no other bit. */
export const moves = 32;
const rampBit = 1 << ramp;

/**
 * Output ports (with `moves`) through which the head of a channel can leave now: it is ready, the switch
 * position takes its input, and every FIFO that it would enter has room. A multicast moves whole or not at all.
 */
export function canForward(m: MachineState, channel: number): number {
  const entry = readyHead(m, channel);
  if (entry < 0) return cannotMove;
  const r = channel * m.record;
  const route = m.fifo[r + routeAt];
  if (((m.rx[route] >>> m.fifo[r + portAt]) & 1) === 0) return cannotMove;
  let out = m.tx[route];
  if ((out & rampBit) !== 0 && (isControl(m, entry) || m.filtered[route] !== 0) && isDropped(m, route, entry))
    out &= ~rampBit;
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
  const route = m.fifo[channel * m.record + routeAt];
  const entry = readyHead(m, channel);
  let bits = payload(m, entry);
  const control = isControl(m, entry);
  pop(m, channel);
  if (control) bits = obey(m, route, bits);
  else if (m.filtered[route] !== 0) count(m, route);
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

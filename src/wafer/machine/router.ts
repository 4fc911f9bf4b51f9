// The router's rule: which wavelet may move, where it goes, and what a control wavelet does to the switches.

import { commandAdvance, commandReset, commandTeardown, controlTask, firstCommand, popCommand } from './control.ts';
import { ramp } from './layout.ts';
import { popAlways, popOnAdvance } from './resolve.ts';
import { hasRoom, pop, push, readyHead, tornDown } from './state.ts';
import type { MachineState } from './state.ts';

/** Port mask of `canForward` when nothing may move. */
export const cannotMove = 0;
/** Bit set beside the output ports of a wavelet that moves; a wavelet dropped at the ramp has no other bit. */
export const moves = 32;

/** The switch position in force: a change takes effect in the cycle after it. */
export const positionOf = (m: MachineState, route: number): number =>
  m.changedAt[route] === m.now ? m.positionBefore[route] : m.position[route];

/** Change a route's position from the next cycle on. */
export function setPosition(m: MachineState, route: number, position: number): void {
  if (m.changedAt[route] !== m.now) m.positionBefore[route] = m.position[route];
  m.position[route] = position;
  m.changedAt[route] = m.now;
}

/**
 * Output ports (with `moves`) through which the head of a channel can leave now: it is ready, the switch
 * position takes its input, and every FIFO that it would enter has room. A multicast moves whole or not at all.
 */
export function canForward(m: MachineState, channel: number): number {
  const slot = readyHead(m, channel);
  if (slot < 0) return cannotMove;
  const { channelRoute, channelPort, routeRule, rules, down } = m.resolved;
  const route = channelRoute[channel];
  const position = positionOf(m, route);
  if (position === tornDown) return cannotMove;
  const rule = rules[routeRule[route]];
  if (((rule.rx[position] >>> channelPort[channel]) & 1) === 0) return cannotMove;
  let out = rule.tx[position];
  if ((out >>> ramp) & 1 && isDropped(m, route, m.bits[slot], m.control[slot])) out &= ~(1 << ramp);
  for (let port = 0; port < 5; port++) if ((out >>> port) & 1 && !hasRoom(m, down[route * 5 + port])) return cannotMove;
  return out | moves;
}

/** Move the head of a channel to `out`, the answer of `canForward` in this cycle. */
export function forward(m: MachineState, channel: number, out: number, hopReady: number, rampReady: number): void {
  const { channelRoute, routeRule, rules, down } = m.resolved;
  const slot = channel * m.slots + (m.popped[channel] & (m.slots - 1));
  const route = channelRoute[channel];
  const rule = rules[routeRule[route]];
  let bits = m.bits[slot];
  const control = m.control[slot];
  pop(m, channel);
  if (control !== 0) bits = obey(m, route, bits);
  else if (rule.filter?.kind === 'counter')
    m.filterCount[route] = m.filterCount[route] >= rule.filter.max ? 0 : m.filterCount[route] + 1;
  for (let port = 0; port < 4; port++) if ((out >>> port) & 1) push(m, down[route * 5 + port], bits, control, hopReady);
  if ((out >>> ramp) & 1) push(m, down[route * 5 + ramp], bits, control, rampReady);
}

/** Does the ramp drop this wavelet: a filter, or a control wavelet that CEs ignore? */
function isDropped(m: MachineState, route: number, bits: number, control: number): boolean {
  if (control !== 0) return controlTask(bits) < 0;
  const filter = m.resolved.rules[m.resolved.routeRule[route]].filter;
  if (filter === undefined) return false;
  if (filter.kind === 'counter') return m.filterCount[route] > filter.limit;
  const index = bits >>> 16;
  return index < filter.min || index > filter.max;
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

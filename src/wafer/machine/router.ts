// The router's rule: which wavelet may move, where it goes, and what a control wavelet does to the switches.

import { commandAdvance, commandReset, commandTeardown, controlTask, firstCommand, popCommand } from './control.ts';
import { ramp } from './layout.ts';
import { popAlways, popOnAdvance } from './resolve.ts';
import {
  besideAt,
  depthAt,
  downAt,
  entriesAt,
  filteredBit,
  hasRoom,
  hasRoomAt,
  isControl,
  occupancy,
  outputsAt,
  payload,
  pop,
  popStampAt,
  poppedAt,
  push,
  pushAt,
  pushedAt,
  routeAt,
  setPosition,
  tornDown,
} from './state.ts';
import type { MachineState } from './state.ts';

// What `forward` answers, beside the ports (bits 0 to 4) through which the wavelet went.
export const cannotMove = 0;
/** It moved; one that the ramp dropped leaves by no port. */
export const moved = 32;
/** It could move, but a port that it needs is taken in this cycle. */
export const contended = 64;
/** The channel was full before. */
export const madeRoom = 128;
/** The channel holds more. */
export const holdsMore = 256;
/** It was a control wavelet, which may have told the switch to turn. */
export const wasControl = 512;
export const ports = 31;
const rampBit = 1 << ramp;

/**
 * Move the head of a channel if it can leave now: it is ready, the switch position takes its input, every FIFO
 * that it would enter has room, and no output port is among `used`. A multicast moves whole or not at all.
 * @param hopReady when a wavelet sent now is ready at the next router
 * @param rampReady when it is ready in the CE
 * @returns `cannotMove`, `contended`, or `moved` with the ports and what the engine needs to know
 */
export function forward(m: MachineState, channel: number, used: number, hopReady: number, rampReady: number): number {
  const { fifo, record, slotMask, now } = m;
  const r = channel * record;
  const outputs = fifo[r + outputsAt];
  const popped = fifo[r + poppedAt];
  const held = fifo[r + pushedAt] - popped;
  if (outputs === 0 || held === 0) return cannotMove;
  const entry = r + entriesAt + 2 * (popped & slotMask);
  const word = fifo[entry + 1];
  if (word >> 1 > now) return cannotMove;
  const down = fifo[r + downAt] * record;
  if (down < 0 || (word & 1) !== 0 || outputs >= filteredBit)
    return forwardAny(m, channel, entry, used, hopReady, rampReady);
  // A data wavelet for one output or two: nearly all traffic, hence written out.
  const beside = fifo[r + besideAt] * record;
  if (!hasRoomAt(fifo, down, now) || (beside >= 0 && !hasRoomAt(fifo, beside, now))) return cannotMove;
  if ((outputs & used) !== 0) return contended;
  fifo[r + poppedAt] = popped + 1;
  fifo[r + popStampAt] = now;
  // The ramp is the last port.
  pushAt(fifo, down, slotMask, fifo[entry], 2 * (outputs === rampBit ? rampReady : hopReady));
  if (beside >= 0) pushAt(fifo, beside, slotMask, fifo[entry], 2 * (outputs >= rampBit ? rampReady : hopReady));
  return outputs | moved | (held >= fifo[r + depthAt] ? madeRoom : 0) | (held > 1 ? holdsMore : 0);
}

/** The same for any wavelet and any outputs; its head is known to be ready. */
function forwardAny(
  m: MachineState,
  channel: number,
  entry: number,
  used: number,
  hopReady: number,
  rampReady: number,
): number {
  const { fifo } = m;
  const r = channel * m.record;
  const route = fifo[r + routeAt];
  const { down } = m.resolved;
  const outputs = fifo[r + outputsAt];
  let out = outputs & ports;
  if ((out & rampBit) !== 0 && isDropped(m, route, entry)) out &= ~rampBit;
  for (let rest = out; rest !== 0; rest &= rest - 1)
    if (!hasRoom(m, down[route * 5 + 31 - Math.clz32(rest & -rest)])) return cannotMove;
  if ((out & used) !== 0) return contended;
  let bits = payload(m, entry);
  const control = isControl(m, entry) ? 1 : 0;
  const held = occupancy(m, channel);
  pop(m, channel);
  if (control !== 0) bits = obey(m, route, bits);
  else if ((outputs & filteredBit) !== 0) count(m, route);
  for (let rest = out; rest !== 0; rest &= rest - 1) {
    const port = 31 - Math.clz32(rest & -rest);
    push(m, down[route * 5 + port], bits, control, port === ramp ? rampReady : hopReady);
  }
  return (
    out |
    moved |
    (held >= fifo[r + depthAt] ? madeRoom : 0) |
    (held > 1 ? holdsMore : 0) |
    (control === 0 ? 0 : wasControl)
  );
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

// Which channels of a program form wires: straight runs of routers that pass one color from one input to one
// output, with nothing in the way.

import { swapped, type MachineState, type ResolvedProgram } from '../../../wafer/machine/index.ts';

export interface WireMap {
  readonly count: number;
  /** Channels of wire w, from the first to the last: channels[first[w]] to channels[first[w + 1] - 1]. */
  readonly first: Int32Array;
  readonly channels: Int32Array;
  /** FIFO into which the last channel moves: a channel that is not in a wire, or an input queue. */
  readonly exit: Int32Array;
}

/** From one PE to its neighbour it is two channels, for which a wire costs more than it saves. */
const shortest = 3;

/**
 * A channel can be in a wire when nothing can divert, drop, or hold up what passes but the FIFO behind it: one
 * switch position that nobody turns, one input, one output that no other color uses, no filter.
 */
export function mapWires(m: Pick<MachineState, 'resolved'>): WireMap {
  const { resolved } = m;
  const next = successors(resolved);
  const { channels } = resolved;
  const fed = new Uint8Array(channels);
  for (let c = 0; c < channels; c++) if (next[c] >= 0 && next[c] < channels) fed[next[c]] = 1;
  /** Channels of the run that begins with c; 0 where none worth a wire begins. */
  const lengthFrom = (c: number): number => {
    if (next[c] < 0 || fed[c] !== 0) return 0;
    let length = 0;
    for (let at = c; at < channels && next[at] >= 0; at = next[at]) length++;
    return length < shortest ? 0 : length;
  };
  let count = 0;
  let total = 0;
  for (let c = 0; c < channels; c++) {
    const length = lengthFrom(c);
    if (length > 0) count++;
    total += length;
  }
  const map = { count, first: new Int32Array(count + 1), channels: new Int32Array(total), exit: new Int32Array(count) };
  let w = 0;
  let at = 0;
  for (let c = 0; c < channels; c++) {
    if (lengthFrom(c) === 0) continue;
    let last = c;
    for (; last < channels && next[last] >= 0; last = next[last]) map.channels[at++] = last;
    map.exit[w++] = last;
    map.first[w] = at;
  }
  return map;
}

/** For each channel that can be in a wire the FIFO that it moves into, else -1. */
function successors(resolved: ResolvedProgram): Int32Array {
  const { pes, rules, routeRule, routeFirst, routeColor, routeChannel, channelFirst, channels, down, fifos } = resolved;
  const turned = turnedColors(resolved);
  const isStraight = rules.map(
    ({ rx, tx, filter }) => rx.length === 1 && filter === undefined && isOne(rx[0]) && isOne(tx[0]),
  );
  const shared = sharedPorts(resolved);
  const next = new Int32Array(channels).fill(-1);
  for (let pe = 0; pe < pes; pe++) {
    for (let r = routeFirst[pe]; r < routeFirst[pe + 1]; r++) {
      const tx = rules[routeRule[r]].tx[0];
      if (!isStraight[routeRule[r]] || (tx & shared[pe]) !== 0 || (turned >>> routeColor[r]) & 1) continue;
      const fifo = down[r * 5 + 31 - Math.clz32(tx)];
      if (fifo < 0 || fifo >= fifos || routeChannel[r] >= channelFirst[pe + 1]) continue;
      next[routeChannel[r]] = fifo;
    }
  }
  return next;
}

/** Per PE the outputs that more than one color uses, as a mask of ports. */
export function sharedPorts({ pes, rules, routeRule, routeFirst }: ResolvedProgram): Uint8Array {
  const anyTx = rules.map(({ tx }) => tx.reduce((mask, each) => mask | each, 0));
  const shared = new Uint8Array(pes);
  for (let pe = 0; pe < pes; pe++) {
    let used = 0;
    for (let r = routeFirst[pe]; r < routeFirst[pe + 1]; r++) {
      shared[pe] |= used & anyTx[routeRule[r]];
      used |= anyTx[routeRule[r]];
    }
  }
  return shared;
}

const isOne = (mask: number): boolean => mask !== 0 && (mask & (mask - 1)) === 0;

/** Colors whose switches some CE or control wavelet may turn; where a color swaps, its control wavelets come to both of the pair. */
export function turnedColors({ program }: ResolvedProgram): number {
  let turned = 0;
  let swapping = 0;
  for (const { color, swap } of program.routes) if (swap !== undefined) swapping |= 1 << color;
  for (const role of Object.values(program.roles)) {
    for (const dsd of Object.values(role.dsds))
      if (dsd.kind === 'fabricOut' && dsd.control === true) turned |= 1 << dsd.color;
    for (const task of role.tasks)
      for (const instruction of task.code) if (instruction.kind === 'switch') turned |= 1 << instruction.color;
  }
  for (let rest = swapping; rest !== 0; rest &= rest - 1) {
    const color = 31 - Math.clz32(rest & -rest);
    if ((turned >>> color) & 1) turned |= 1 << swapped(color);
  }
  return turned;
}

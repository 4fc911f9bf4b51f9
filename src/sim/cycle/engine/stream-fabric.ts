// The fabric as the ways of its colors, each a pipe or a tree, for CEs that need not agree on what cycle it is.

import { portNames, type Depths, type ResolvedProgram } from '../../../wafer/machine/index.ts';
import type { Timing } from '../timing.ts';
import { Refusal, type Counts } from './engine.ts';
import { createPipes, rampBit, unknown, type Ends } from './pipes.ts';
import { createPortLog } from './port-log.ts';
import { createTrees, type TreeWay } from './trees.ts';
import { sharedPorts } from './wire-map.ts';

/** Ends by output queue (`room`, `put`) and by input queue (`arrival`, `take`), numbered over all PEs. */
export interface StreamFabric extends Ends {
  /** @throws Refusal when wavelets are left, or two colors wanted one port in one cycle */
  finish(counts: Counts, carried: Int32Array): void;
}

/** An input queue that nobody sends to. */
const nobody = -(2 ** 31);

export function createStreamFabric(
  resolved: ResolvedProgram,
  depths: Depths,
  timing: Timing,
  wake: (pe: number) => void,
): StreamFabric {
  const { channels, down, channelRoute, routeRule, rules, fifoPe, fifos, outputChannel } = resolved;
  const outputs = outputChannel.length;
  const shared = sharedPorts(resolved);
  const log = createPortLog();
  const txOf = (channel: number): number => rules[routeRule[channelRoute[channel]]].tx[0];
  const behind = (channel: number, port: number): number => down[channelRoute[channel] * 5 + port];

  /** FIFO behind each channel; -1 behind one that branches. */
  const next = Int32Array.from({ length: channels }, (_, channel) => {
    const tx = txOf(channel);
    return (tx & (tx - 1)) !== 0 ? -1 : behind(channel, 31 - Math.clz32(tx));
  });
  const branches = (output: number): boolean => {
    let channel = outputChannel[output];
    while (channel >= 0 && channel < channels) channel = next[channel];
    return channel < 0;
  };

  function treeWay(output: number): TreeWay {
    const list = [outputChannel[output]];
    const parents = [-1];
    for (let i = 0; i < list.length; i++)
      for (let rest = txOf(list[i]) & ~rampBit; rest !== 0; rest &= rest - 1) {
        list.push(behind(list[i], 31 - Math.clz32(rest & -rest)));
        parents.push(i);
      }
    return { channels: list, parents, sender: fifoPe[list[0]] };
  }

  const piped: number[] = [];
  const branched: number[] = [];
  for (let o = 0; o < outputs; o++) (branches(o) ? branched : piped).push(o);
  const begins = Int32Array.from(piped, (output) => outputChannel[output]);
  const { pipes, at, ends } = createPipes(resolved, { begins, next }, depths, timing, shared, log, wake);
  const treeWays = branched.map(treeWay);
  const { trees, leaves } = createTrees(resolved, treeWays, depths, timing, shared, log, wake);

  // Numbers of pipes as they are, of trees and leaves as their complement.
  const outAt = new Int32Array(outputs);
  const inAt = new Int32Array(fifos - channels).fill(nobody);
  piped.forEach((output, i) => {
    outAt[output] = at[i];
    inAt[ends[i] - channels] = at[i];
  });
  branched.forEach((output, i) => {
    outAt[output] = ~i;
    treeWays[i].channels.forEach((channel, node) => {
      if (leaves[i][node] >= 0) inAt[behind(channel, 4) - channels] = ~leaves[i][node];
    });
  });

  const carry = (counts: Counts, carried: Int32Array, channel: number, wavelets: number): void => {
    for (let rest = txOf(channel); rest !== 0; rest &= rest - 1) {
      const port = 31 - Math.clz32(rest & -rest);
      if (port === 4) counts.delivered += wavelets;
      else {
        counts.hops += wavelets;
        carried[4 * fifoPe[channel] + port] += wavelets;
      }
    }
  };

  return {
    room: (output) => (outAt[output] >= 0 ? pipes.room(outAt[output]) : trees.room(~outAt[output])),
    put(output, bits, ready) {
      if (outAt[output] >= 0) pipes.put(outAt[output], bits, ready);
      else trees.put(~outAt[output], bits, ready);
    },
    arrival(queue) {
      const end = inAt[queue];
      return end >= 0 ? pipes.arrival(end) : end === nobody ? unknown : trees.arrival(~end);
    },
    take: (queue, cycle) => (inAt[queue] >= 0 ? pipes.take(inAt[queue], cycle) : trees.take(~inAt[queue], cycle)),
    finish(counts, carried) {
      for (const output of piped) {
        if (!pipes.isEmpty(outAt[output])) throw new Refusal(neverTaken);
        const wavelets = pipes.passed(outAt[output]);
        if (wavelets === 0) continue;
        for (let channel = outputChannel[output]; channel < channels; channel = next[channel])
          carry(counts, carried, channel, wavelets);
      }
      branched.forEach((_, i) => {
        if (!trees.isEmpty(i)) throw new Refusal(neverTaken);
        const wavelets = trees.passed(leaves[i].find((leaf) => leaf >= 0) as number);
        for (const channel of treeWays[i].channels) carry(counts, carried, channel, wavelets);
      });
      const port = log.collision();
      if (port >= 0)
        throw new Refusal(
          `two colors want output ${portNames[port % 5]} of PE (${Math.floor(port / 5) % resolved.width}, ` +
            `${Math.floor(port / 5 / resolved.width)}) in one cycle`,
        );
    },
  };
}

const neverTaken = 'wavelets are left in the fabric';

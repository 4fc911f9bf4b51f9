// The way of a color from one CE to several others. A wavelet leaves a router by all its outputs at once, when all
// have room, so who takes late holds up the others; see pipes.ts for the rule without branches. A wavelet's times at
// all routers are worked out together, once every CE has taken the wavelet that it needs room of. Where CEs wait
// for one another so that this never comes, the run is given up.

import type { Depths, ResolvedProgram } from '../../../wafer/machine/index.ts';
import type { Timing } from '../timing.ts';
import { rampBit, unknown, type Ends } from './pipes.ts';
import type { PortLog } from './port-log.ts';

/** A tree's channels, each behind the one that feeds it. */
export interface TreeWay {
  readonly channels: readonly number[];
  /** Index of the channel that feeds each; -1 for the first. */
  readonly parents: readonly number[];
  readonly sender: number;
}

export interface Trees extends Ends {
  /** Wavelets that came out at a leaf. */
  passed(leaf: number): number;
  isEmpty(tree: number): boolean;
}

export interface BuiltTrees {
  readonly trees: Trees;
  /** By tree: number of the leaf at each of its channels, or -1. */
  readonly leaves: readonly (readonly number[])[];
}

interface Tree {
  readonly first: number;
  readonly end: number;
  readonly leaves: number;
  readonly sender: number;
  /** Payloads, and when ready, then when past the first router; by wavelet mod the ring. */
  readonly bits: Int32Array;
  readonly times: Int32Array;
  /** How many leaves took each of the last wavelets. */
  readonly takers: Int32Array;
  pushed: number;
  known: number;
  senderWaits: boolean;
}

export function createTrees(
  resolved: ResolvedProgram,
  ways: readonly TreeWay[],
  depths: Depths,
  timing: Timing,
  shared: Uint8Array,
  log: PortLog,
  wake: (pe: number) => void,
): BuiltTrees {
  const { fifoPe, channelRoute, routeRule, rules } = resolved;
  const { hop, ramp: rampCycles } = timing;
  const { inject, deliver, link } = depths;
  const nodes = ways.reduce((n, { channels }) => n + channels.length, 0);
  /** Wavelets of which a node keeps times. */
  const ring = 2 ** Math.ceil(Math.log2(Math.max(deliver, link) + 1));
  const mask = ring - 1;
  const sent = 2 ** Math.ceil(Math.log2(deliver + inject + 1));
  const parent = new Int32Array(nodes);
  const treeOf = new Int32Array(nodes);
  const isLeaf = new Uint8Array(nodes);
  const watchFirst = new Int32Array(nodes + 1);
  const watches: number[] = [];
  /** When each node's last wavelets left, and when its CE took them. */
  const left = new Int32Array(nodes * ring);
  const took = new Int32Array(nodes * ring);
  const taken = new Int32Array(nodes);
  /** Least cycle for the next wavelet, by the room in the routers behind. */
  const freed = new Int32Array(nodes);
  const waits = new Uint8Array(nodes);
  const peOf = new Int32Array(nodes);
  const trees: Tree[] = [];
  let node = 0;
  for (const { channels, parents, sender } of ways) {
    const first = node;
    let leaves = 0;
    channels.forEach((channel, i) => {
      const pe = fifoPe[channel];
      const tx = rules[routeRule[channelRoute[channel]]].tx[0];
      parent[node] = parents[i] < 0 ? -1 : first + parents[i];
      treeOf[node] = trees.length;
      peOf[node] = pe;
      if ((tx & rampBit) !== 0) {
        isLeaf[node] = 1;
        leaves++;
      }
      for (let port = 0; port < 5; port++) if (((tx & shared[pe]) >>> port) & 1) watches.push(log.watch(5 * pe + port));
      watchFirst[++node] = watches.length;
    });
    trees.push({
      first,
      end: node,
      leaves,
      sender,
      bits: new Int32Array(sent),
      times: new Int32Array(sent),
      takers: new Int32Array(ring),
      pushed: 0,
      known: 0,
      senderWaits: false,
    });
  }

  /** All times of all wavelets of which they can be known. */
  function settle(tree: Tree): void {
    while (
      tree.known < tree.pushed &&
      (tree.known < deliver || tree.takers[(tree.known - deliver) & mask] === tree.leaves)
    ) {
      const n = tree.known++;
      if (n >= deliver) tree.takers[(n - deliver) & mask] = 0;
      sweep(tree, n);
      if (!tree.senderWaits) continue;
      tree.senderWaits = false;
      wake(tree.sender);
    }
  }

  function sweep({ first, end, times }: Tree, n: number): void {
    const now = n & mask;
    const before = (n - 1) & mask;
    for (let at = first; at < end; at++) {
      const up = parent[at];
      let x = up < 0 ? times[n & (sent - 1)] : left[up * ring + now] + hop;
      if (n > 0 && x <= left[at * ring + before]) x = left[at * ring + before] + 1;
      if (x < freed[at]) x = freed[at];
      freed[at] = 0;
      if (isLeaf[at] !== 0 && n >= deliver) {
        const c = took[at * ring + ((n - deliver) & mask)];
        if (x <= c) x = c + 1;
      }
      left[at * ring + now] = x;
      if (up < 0) times[n & (sent - 1)] = x;
      // What the next wavelet upstream needs: that the one a FIFO's length before it has left here.
      else if (n + 1 >= link) {
        const gone = left[at * ring + ((n + 1 - link) & mask)] + 1;
        if (gone > freed[up]) freed[up] = gone;
      }
      for (let i = watchFirst[at]; i < watchFirst[at + 1]; i++) log.left(watches[i], x);
      if (waits[at] === 0) continue;
      waits[at] = 0;
      wake(peOf[at]);
    }
  }

  return {
    trees: {
      room(at) {
        const tree = trees[at];
        const n = tree.pushed - inject;
        if (n < 0) return 0;
        if (tree.known > n) return tree.times[n & (sent - 1)] + 1;
        tree.senderWaits = true;
        return unknown;
      },
      put(at, bits, ready) {
        const tree = trees[at];
        tree.bits[tree.pushed & (sent - 1)] = bits;
        tree.times[tree.pushed++ & (sent - 1)] = ready;
        settle(tree);
      },
      arrival(leaf) {
        const n = taken[leaf];
        if (n < trees[treeOf[leaf]].known) return left[leaf * ring + (n & mask)] + rampCycles;
        waits[leaf] = 1;
        return unknown;
      },
      take(leaf, cycle) {
        const tree = trees[treeOf[leaf]];
        const n = taken[leaf]++;
        took[leaf * ring + (n & mask)] = cycle;
        tree.takers[n & mask]++;
        const bits = tree.bits[n & (sent - 1)];
        settle(tree);
        return bits;
      },
      passed: (leaf) => taken[leaf],
      isEmpty: (at) => {
        const { first, end, pushed } = trees[at];
        for (let leaf = first; leaf < end; leaf++) if (isLeaf[leaf] !== 0 && taken[leaf] !== pushed) return false;
        return true;
      },
    },
    leaves: trees.map(({ first, end }) =>
      Array.from({ length: end - first }, (_, i) => (isLeaf[first + i] === 0 ? -1 : first + i)),
    ),
  };
}

// What feeds wafers from outside in weight streaming: a store of parameters (MemoryX) and a tree that broadcasts them
// and adds up gradients (SwarmX).

import type { Fact } from './fact.ts';
import { source } from './wafer/sources.ts';

export interface ClusterFacts {
  /** Systems that one cluster may have. */
  readonly systems: Fact;
  /** Bytes that the parameter store holds. */
  readonly storeCapacity: Fact;
  /** Bytes per second of the store, each way, as a multiple of one system's own I/O. */
  readonly storeRate: Fact;
  /** Switch hops from the store to a wafer. */
  readonly treeHops: Fact;
  /** Bytes that the store keeps for a parameter in training. */
  readonly trainingState: Fact;
}

export const cluster: ClusterFacts = {
  systems: {
    value: 2048,
    unit: 'systems',
    basis: 'CS-3; a CS-2 cluster has at most 192',
    source: 'XYBER: xyber substack on the CS-3; LINLEY-21: newsletter of 2021-09-21 for the CS-2',
    standing: 'published',
  },
  storeCapacity: {
    value: 1.2e15,
    unit: 'B',
    basis: 'largest MemoryX of the CS-3 generation',
    source: 'SEMIWIKI-97450: CS-3 thread',
    standing: 'published',
    disputed: [{ value: 2.4e15, source: `CS-2 generation, DRAM and flash, ${source.memoryX}` }],
  },
  storeRate: {
    value: 1,
    unit: 'of a system I/O',
    basis: "the store's bandwidth is matched to one system; the tree repeats what it sends to all",
    source: source.memoryX,
    standing: 'published',
  },
  treeHops: {
    value: 2,
    unit: 'hops',
    basis: 'store to tree, tree to system; one layer of the tree',
    source: source.none,
    standing: 'assumed',
  },
  trainingState: {
    value: 16,
    unit: 'B/parameter',
    basis: '16-bit weight and gradient, fp32 master weight, and two fp32 moments of Adam',
    source: 'Rajbhandari et al., ZeRO, 2020, arXiv 1910.02054, section 3.1',
    standing: 'published',
  },
};

// How the heads of an attention are cut over the PEs of a line: the one description that the lowered layer and the closed
// forms share, and from which the memory plan, which counts equal pieces, says how far it is.

import type { AttentionOp, Op } from '../model/index.ts';

export interface HeadTiles {
  /** PEs of one head of keys and values; those left over along the line hold padding. */
  readonly headParts: number;
  /** Heads of keys and values of one PE: more than one only where a PE has them whole. */
  readonly heads: number;
  /** Queries that share a head. */
  readonly queries: number;
  /** Channels of each head on one PE: whole rotary pairs, so an even number. */
  readonly channels: number;
  /** Whether scores are summed over parts of a line: the groups of the line's tree are then the PEs of a head. */
  readonly sumsByHead: boolean;
  /** PEs over which a sum over a head's channels goes: a single head is summed over the whole line, padding included. */
  readonly sumParts: number;
}

/**
 * A head's PEs are its own, and as few as hold its pairs evenly: fewer PEs, shorter sums. Undefined for latent attention,
 * whose heads read one set of channels.
 */
export function headTiles(op: AttentionOp, parts: number): HeadTiles | undefined {
  if (op.latent !== undefined) return undefined;
  const { kvHeads } = op;
  const pairs = Math.ceil(op.headDim / 2);
  const pairsOnPe = Math.ceil(pairs / Math.max(1, Math.floor(parts / kvHeads)));
  const headParts = Math.ceil(pairs / pairsOnPe);
  return {
    headParts,
    heads: Math.ceil(kvHeads / parts),
    queries: Math.ceil(op.heads / kvHeads),
    channels: 2 * pairsOnPe,
    sumsByHead: headParts > 1 && kvHeads > 1,
    sumParts: headParts > 1 && kvHeads === 1 ? parts : headParts,
  };
}

/** A value that lies by heads: on each PE `channels` of each of `lanes` heads, or queries, of `headParts` PEs each. */
export interface LaneTiles extends HeadTiles {
  readonly lanes: number;
}

/** How a value lies over `parts` PEs, where it lies by heads. */
export type LanesOf = (value: string, parts: number) => LaneTiles | undefined;

/**
 * Which values of a section lie by heads: what an attention writes, its queries, keys and values, and what rotations and
 * norms of heads make these of.
 */
export function lanesOf(ops: readonly Op[]): LanesOf {
  let known = knownLanes.get(ops);
  if (known === undefined) knownLanes.set(ops, (known = findLanes(ops)));
  return known;
}

/** Graphs are never changed, and a placer asks for the same section on thousands of meshes. */
const knownLanes = new WeakMap<readonly Op[], LanesOf>();

function findLanes(ops: readonly Op[]): LanesOf {
  const values = new Map<string, { readonly op: AttentionOp; readonly isQuery: boolean }>();
  for (const op of ops) {
    if (op.kind !== 'attention') continue;
    const mark = (name: string, isQuery: boolean): void => {
      values.set(name, { op, isQuery });
      const writer = ops.find(({ out }) => out === name);
      if (writer?.kind === 'rope' || writer?.kind === 'rmsnorm') mark(writer.input, isQuery);
    };
    mark(op.q, true);
    mark(op.k, false);
    mark(op.v, false);
    values.set(op.out, { op, isQuery: true });
  }
  return (value, parts) => {
    const found = values.get(value);
    const tiles = found === undefined ? undefined : headTiles(found.op, parts);
    if (found === undefined || tiles === undefined) return undefined;
    return { ...tiles, lanes: tiles.heads * (found.isQuery ? tiles.queries : 1) };
  };
}

/** Elements of a value on its fullest PE, when its `width` lies over `parts` PEs: by heads, or in equal pieces. */
export function tileOf(value: string, width: number, parts: number, lanes?: LanesOf): number {
  const byHeads = lanes?.(value, parts);
  return byHeads === undefined ? Math.ceil(width / parts) : byHeads.lanes * byHeads.channels;
}

/** PEs per group of the tree along the `parts` PEs on which a section's heads lie, where these decide it. */
export function headGroup(ops: readonly Op[], parts: number): number | undefined {
  const attention = ops.find((op): op is AttentionOp => op.kind === 'attention');
  const tiles = attention === undefined ? undefined : headTiles(attention, parts);
  return tiles?.sumsByHead === true ? tiles.headParts : undefined;
}

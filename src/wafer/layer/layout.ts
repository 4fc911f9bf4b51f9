// Which element of a vector each PE holds at which place of its tile.

import { assert, fail } from '../../core/index.ts';
import type { AttentionOp } from '../../model/index.ts';
import { headTiles, type HeadTiles } from '../head-tiles.ts';
import type { Axis } from '../reduction.ts';

/** A vector cut along an axis, the same on every line across it. */
export interface Layout {
  readonly axis: Axis;
  /** Places of one PE. */
  readonly tile: number;
  /** For each position along the axis, the element at each place, or -1 for padding. */
  readonly elements: readonly Int32Array[];
}

const layoutOf = (
  axis: Axis,
  parts: number,
  tile: number,
  element: (part: number, place: number) => number,
): Layout => ({
  axis,
  tile,
  elements: Array.from({ length: parts }, (_, part) =>
    Int32Array.from({ length: tile }, (_place, place) => element(part, place)),
  ),
});

/** Equal tiles in order; the last may be padded. */
export function plainLayout(axis: Axis, parts: number, size: number): Layout {
  const tile = Math.ceil(size / parts);
  return layoutOf(axis, parts, tile, (part, place) => (part * tile + place < size ? part * tile + place : -1));
}

/** How the heads of an attention lie over the PEs of a line. */
export interface HeadLayouts extends HeadTiles {
  /** Half of a head's channels: pair `i` of those of a PE at `part`, or -1. */
  readonly pair: (part: number, i: number) => number;
  /** The head whose query a lane of a PE at `part` is, or -1. */
  readonly queryHead: (part: number, lane: number) => number;
  readonly q: Layout;
  readonly k: Layout;
  readonly v: Layout;
  readonly out: Layout;
  readonly keyIndex: (head: number, channel: number) => number;
  readonly queryIndex: (lane: number, channel: number) => number;
}

/**
 * A PE holds the same channels of a head's keys, its values, and all queries that share it, so that scores need no
 * exchange within a position but their sum. Rotary pairs (i, i + headDim / 2) lie on one PE: the tiles of q and k are
 * first halves, then second halves, each [head, query, pair], and a rotation moves no wavelet. A compiler gets that by
 * ordering the rows of W_q, W_k and W_v and the columns of W_o.
 */
export function headLayouts(op: AttentionOp, axis: Axis, parts: number): HeadLayouts {
  const { heads: allQueries, kvHeads, headDim } = op;
  if (allQueries % kvHeads !== 0 || headDim % 2 !== 0)
    fail({
      code: 'LAYER_SHAPE',
      message: `${allQueries} heads of ${headDim} over ${kvHeads} heads of keys and values`,
      expected: 'an even head width, and heads a multiple of those of keys and values',
    });
  const tiles = headTiles(op, parts);
  assert(tiles !== undefined, 'latent attention has no heads of keys');
  const { headParts, heads, queries, channels } = tiles;
  const half = channels / 2;
  const headOf = (part: number, head: number): number => {
    const at = heads === 1 ? Math.floor(part / headParts) : part * heads + head;
    return at < kvHeads ? at : -1;
  };
  const pair = (part: number, i: number): number => {
    const at = (heads === 1 ? part % headParts : 0) * half + i;
    return at < headDim / 2 ? at : -1;
  };
  /** Channel of a head, `side` 0 for first halves. */
  const element = (part: number, head: number, query: number, perHead: number, side: number, i: number): number => {
    const [at, inHead] = [headOf(part, head), pair(part, i)];
    return at < 0 || inHead < 0 ? -1 : (at * perHead + query) * headDim + side * (headDim / 2) + inHead;
  };
  const halves = (perHead: number): Layout =>
    layoutOf(axis, parts, heads * perHead * channels, (part, place) => {
      const size = heads * perHead * half;
      const [side, inSide] = [Math.floor(place / size), place % size];
      const [lane, i] = [Math.floor(inSide / half), inSide % half];
      return element(part, Math.floor(lane / perHead), lane % perHead, perHead, side, i);
    });
  /** Lane after lane. */
  const lanes = (perHead: number): Layout =>
    layoutOf(axis, parts, heads * perHead * channels, (part, place) => {
      const [lane, channel] = [Math.floor(place / channels), place % channels];
      const side = Math.floor(channel / half);
      return element(part, Math.floor(lane / perHead), lane % perHead, perHead, side, channel % half);
    });
  const indexIn = (count: number) => (lane: number, channel: number) =>
    (channel < half ? 0 : count * half) + lane * half + (channel % half);
  return {
    ...tiles,
    pair,
    queryHead(part, lane) {
      const head = headOf(part, Math.floor(lane / queries));
      return head < 0 ? -1 : head * queries + (lane % queries);
    },
    q: halves(queries),
    k: halves(1),
    v: lanes(1),
    out: lanes(queries),
    keyIndex: indexIn(heads),
    queryIndex: indexIn(heads * queries),
  };
}

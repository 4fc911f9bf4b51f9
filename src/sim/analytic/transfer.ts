// From region to region, from wafer to wafer, and to the host.

import type { Wafer } from '../../spec/index.ts';
import { edgePhases, movePhases, type Phase, type Region, type VectorType } from '../../wafer/index.ts';

const bytesOf = (type: VectorType): number => (type === 'fp16' ? 2 : 4);

/** What it takes to hand on a vector of `width` values for each token. */
export interface Transfers {
  /** From one region to the next of the same wafer. */
  move(from: Region, to: Region, tokens: number): readonly Phase[];
  /** On both wafers, from a region to the edge and from the edge to a region. */
  edges(from: Region, to: Region, tokens: number): readonly Phase[];
  /** Seconds between two wafers: the latency of the link, and the bytes. */
  link(tokens: number): number;
  /** Seconds of token ids in and, where wanted, logits out. */
  host(tokens: number, logits: number): number;
}

export function createTransfers(width: number, vocab: number, type: VectorType, wafer: Wafer): Transfers {
  const seconds = (bytes: number): number => wafer.ioLatency + bytes / wafer.ioPerDirection;
  const edge = (region: Region, tokens: number) => edgePhases(region, wafer.programWidth, width * tokens, type);
  return {
    move: (from, to, tokens) => movePhases(from, to, width * tokens, type),
    edges: (from, to, tokens) => [...edge(from, tokens), ...edge(to, tokens)],
    link: (tokens) => seconds(tokens * width * bytesOf(type)),
    host: (tokens, logits) => seconds(tokens * 4) + (logits === 0 ? 0 : seconds(logits * vocab * bytesOf(type))),
  };
}

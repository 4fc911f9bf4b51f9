// What a placement costs, in closed form, as a placer asks for it: seconds by section and by transfer.

import type { Hertz } from '../../core/index.ts';
import type { Graph, Op } from '../../model/index.ts';
import type { Wafer } from '../../spec/index.ts';
import type { Numerics, Region } from '../../wafer/index.ts';
import { priceSequence } from './collective-cost.ts';
import { createSectionCost, type MeshShape, type SectionCost, type StepItem } from './section-cost.ts';
import { createTransfers } from './transfer.ts';

/** `sequences` that are alike, each an item of a step. */
export interface AlikeItems extends StepItem {
  readonly sequences: number;
}

/**
 * Prices sections on shapes of region, and transfers, for a compiler that knows no simulator. Shapes priced before are
 * looked up.
 */
export function createPlacementCost(
  graph: Graph,
  numerics: Numerics,
  wafer: Wafer,
  clock: Hertz = wafer.clock,
): {
  section(ops: readonly Op[], mesh: MeshShape, items: AlikeItems): number;
  move(from: Region, to: Region, tokens: number): number;
  cross(from: Region, to: Region, tokens: number): number;
  host(tokens: number): number;
} {
  const type = numerics.activations;
  const { move, edges, link, host } = createTransfers(graph.shape.hidden, graph.shape.vocab, type, wafer);
  const known = new Map<readonly Op[], Map<number, SectionCost>>();
  const of = (ops: readonly Op[], mesh: MeshShape): SectionCost => {
    let shapes = known.get(ops);
    if (shapes === undefined) known.set(ops, (shapes = new Map()));
    const key = mesh.width * wafer.fabricHeight * 2 + mesh.height;
    let cost = shapes.get(key);
    if (cost === undefined) shapes.set(key, (cost = createSectionCost(ops, mesh, numerics, wafer)));
    return cost;
  };
  return {
    section(ops, mesh, { sequences, tokens, cached }) {
      const cost = of(ops, mesh);
      return (cost.matrices(sequences * tokens) + sequences * cost.attention({ tokens, cached })) / clock;
    },
    move: (from, to, tokens) => priceSequence(move(from, to, tokens), wafer) / clock,
    cross: (from, to, tokens) => priceSequence(edges(from, to, tokens), wafer) / clock + link(tokens),
    host: (tokens) => host(tokens, 1),
  };
}

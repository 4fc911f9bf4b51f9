import { priceAll, total } from '../../sim/index.ts';
import { groupSize, sectionPhases } from '../../wafer/index.ts';
import type { PublishedRow, Wafer } from '../../spec/index.ts';
import {
  benchmarkContext,
  clockOf,
  countOr,
  fullWidthGraph,
  grouping,
  is,
  layerConditions,
  paddedLayer,
  shape,
  side,
  wafer,
} from './conditions.ts';
import type { Predictor } from './predictor.ts';

/** Cycles of one decode layer as the published benchmark times it, with `cached` tokens before the new one. */
export function decodeLayerCycles(
  row: PublishedRow,
  mesh: { width: number; height: number },
  target: Wafer,
  cached?: number,
): number {
  const layer = paddedLayer(row, mesh.width, 4096);
  const step = { cached: (cached ?? layer.context) - 1, group: grouping(row, groupSize) };
  const context = benchmarkContext(row, mesh, step);
  const { excludes } = row.conditions;
  const appends = !(Array.isArray(excludes) && excludes.includes('KV append'));
  const ops = sectionPhases(fullWidthGraph(layer).layers[0], 'y', context).map(({ op, phases }) => ({
    op,
    phases: appends ? phases : phases.filter(({ name }) => name !== 'append'),
  }));
  return total(priceAll(ops, target));
}

/** Cycles per layer of decode on a square mesh, or tokens per second as the benchmark derives them from it. */
export const decode: Predictor = {
  group: 'decode',
  reads: [...layerConditions, 'allreduce', 'excludes'],
  answers: 'cycles of a layer, or tokens/s, with full-width attention and two-level all-reduces',
  predict(row) {
    const target = wafer(row);
    if (!is(row, 'allreduce', /^two-level$/) || !is(row, 'attention', /full-width/)) return undefined;
    const width = side(row, 'mesh');
    const cycles = decodeLayerCycles(row, { width, height: width }, target);
    const isRate = row.unit.startsWith('tokens/s');
    if (!isRate && row.unit !== 'cycles') return undefined;
    const value = isRate ? clockOf(row, target) / (cycles * countOr(row, 'layers', shape(row).layers)) : cycles;
    return { value, presumes: 'full-width attention, dimensions padded to the mesh, stand-in exponential' };
  },
};

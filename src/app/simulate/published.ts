// Rows of the validation table with the same machine, shape and type as a point.

import { publishedRows, type PublishedRow } from '../../spec/index.ts';
import { collectives } from '../../wafer/index.ts';
import { lineShape } from './collective-target.ts';
import type { Point, PublishedMatch } from './point.ts';

export function publishedMatches(point: Point, cycles: number): PublishedMatch[] {
  return publishedRows.flatMap((row) => {
    const { id, value, unit, kind, source, conditions } = row;
    if (conditions['machine'] !== point.wafer || conditions['dtype'] !== point.type) return [];
    const simulated = inUnitOf(row, point, cycles);
    return simulated === undefined ? [] : [{ id, value, unit, kind, source, error: simulated / value - 1 }];
  });
}

/** The simulated cycles in the row's unit, when the row is about this point. */
function inUnitOf(row: PublishedRow, point: Point, cycles: number): number | undefined {
  const { group, unit, conditions } = row;
  if (group === 'collective' && unit === 'cycles') return isSameLine(row, point) ? cycles : undefined;
  if (group === 'gemm' && unit === 'cycles') return isSameGemm(row, point) ? cycles : undefined;
  if (group === 'decode' && unit === 'cycles') return isSameLayer(row, point) ? cycles : undefined;
  const isGemv = group === 'gemv' && unit === 'us' && point.kernel === 'gemv';
  // These rows do not state their mesh.
  if (!isGemv || conditions['N'] !== point.sizes['n'] || conditions['K'] !== point.sizes['k']) return undefined;
  const { clockGHz } = conditions;
  return typeof clockGHz === 'number' ? cycles / (clockGHz * 1000) : undefined;
}

/** One head as wide as the model, and nothing enters the cache. */
function isSameLayer({ conditions }: PublishedRow, { kernel, width, height, sizes, switches }: Point): boolean {
  const { hidden, context, ffn, heads, group } = sizes;
  return (
    kernel === 'decode-layer' &&
    switches === undefined &&
    JSON.stringify(conditions['mesh']) === JSON.stringify([width, height]) &&
    conditions['hidden'] === hidden &&
    conditions['context'] === context &&
    conditions['ffn'] === ffn &&
    heads === 1 &&
    sizes['head-dim'] === hidden &&
    sizes['window'] >= context &&
    sizes['experts'] === 1 &&
    Math.ceil(height / group) === conditions['groups']
  );
}

/** Group sizes need not agree where an algorithm has no groups: the counts decide. */
function isSameLine({ conditions }: PublishedRow, point: Point): boolean {
  if (conditions['algorithm'] !== point.kernel || !Object.hasOwn(collectives, point.kernel)) return false;
  const line = lineShape(point);
  const counts = (group: number): string => JSON.stringify(collectives[point.kernel].phases({ ...line, group }));
  return (
    JSON.stringify(conditions['shape']) === JSON.stringify([point.width, point.height]) &&
    conditions['words'] === line.values &&
    counts(Number(conditions['groupSize'] ?? line.group)) === counts(line.group)
  );
}

const isSameGemm = ({ conditions }: PublishedRow, { kernel, width, height, sizes }: Point): boolean =>
  kernel === 'gemm-tiled' &&
  JSON.stringify(conditions['mesh']) === JSON.stringify([width, height]) &&
  (['m', 'k', 'n'] as const).every((size) => conditions[size.toUpperCase()] === sizes[size]);

import { publishedRows } from '../../spec/index.ts';
import type { Point } from './point.ts';

/** PEs per group of the published decode layer on this mesh, where there is one. */
export function publishedGroup({ width, height }: Pick<Point, 'width' | 'height'>): number | undefined {
  const row = publishedRows.find(
    ({ group, conditions }) =>
      group === 'decode' &&
      JSON.stringify(conditions['mesh']) === JSON.stringify([width, height]) &&
      typeof conditions['groups'] === 'number',
  );
  return row === undefined ? undefined : Math.ceil(height / Number(row.conditions['groups']));
}

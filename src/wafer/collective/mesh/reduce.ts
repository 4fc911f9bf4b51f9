import type { Wafer } from '../../../spec/index.ts';
import type { Stage } from '../../kernel/lower/sequence.ts';
import type { Collective, LineShape } from '../collective.ts';
import { meshBroadcastPhases, meshBroadcastStage } from './broadcast.ts';
import { columnOf, rowOf, type MeshCollective, type MeshShape, type Place } from './mesh-collective.ts';
import { everyPlace, inTurn, lineStage } from './stages.ts';

/** A reduce in stages, and where it ends. */
export interface Reduction extends Pick<MeshCollective, 'algorithm' | 'about' | 'phases'> {
  root(shape: MeshShape): Place;
  stages(shape: MeshShape, wafer: Wafer): readonly Stage[];
}

/**
 * A reduce of every row, and then of the column in which those end. Source: HPDC'24, 2-D reduce "X then Y".
 * @param rootAlong the PE at which it ends on a line
 */
export function rowsThenColumn(collective: Collective, rootAlong: (line: LineShape) => number): Reduction {
  const { id, about, phases } = collective;
  const root = (shape: MeshShape): Place => ({ x: rootAlong(rowOf(shape)), y: rootAlong(columnOf(shape)) });
  return {
    algorithm: id,
    about,
    root,
    phases: (shape) => [...phases(rowOf(shape)), ...phases(columnOf(shape))],
    stages: (shape, wafer) => [
      lineStage(collective.lower(rowOf(shape), wafer), 'x', shape),
      lineStage(collective.lower(columnOf(shape), wafer), 'y', shape, root(shape).x),
    ],
  };
}

export const reduceBy = ({ algorithm, about, phases, root, stages }: Reduction): MeshCollective => ({
  does: 'reduce',
  algorithm,
  about,
  accepts: () => true,
  phases,
  lower: (shape, wafer) => ({
    program: inTurn(shape, stages(shape, wafer), wafer),
    results: [root(shape)],
    outcome: 'x',
  }),
});

/** A reduce, and a broadcast from where it ends. */
export const allReduceBy = ({ algorithm, about, phases, root, stages }: Reduction): MeshCollective => ({
  does: 'all-reduce',
  algorithm,
  about: `${about}; then a broadcast`,
  accepts: () => true,
  phases: (shape) => [...phases(shape), ...meshBroadcastPhases(shape, root(shape))],
  lower: (shape, wafer) => ({
    program: inTurn(shape, [...stages(shape, wafer), meshBroadcastStage(shape, root(shape))], wafer),
    results: everyPlace(shape),
    outcome: 'x',
  }),
});

/** An all-reduce on lines: of every row, and then of every column. */
export const allReduceOnLines = (collective: Collective): MeshCollective => ({
  does: 'all-reduce',
  algorithm: collective.id,
  about: collective.about,
  accepts: () => true,
  phases: (shape) => [...collective.phases(rowOf(shape)), ...collective.phases(columnOf(shape))],
  lower: (shape, wafer) => ({
    program: inTurn(
      shape,
      [
        lineStage(collective.lower(rowOf(shape), wafer), 'x', shape),
        lineStage(collective.lower(columnOf(shape), wafer), 'y', shape),
      ],
      wafer,
    ),
    results: everyPlace(shape),
    outcome: 'x',
  }),
});

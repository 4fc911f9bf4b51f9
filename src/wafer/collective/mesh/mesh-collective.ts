import type { Wafer } from '../../../spec/index.ts';
import type { MachineProgram } from '../../machine/index.ts';
import type { Phase, VectorType } from '../../phase.ts';
import type { LineShape, Need } from '../collective.ts';

/** A mesh of PEs, which may be a line, and what each PE contributes. */
export interface MeshShape {
  readonly width: number;
  readonly height: number;
  readonly values: number;
  readonly type: VectorType;
  /** PEs per group along either axis, for the algorithms that have groups. */
  readonly group: number;
}

export interface Place {
  readonly x: number;
  readonly y: number;
}

/** A collective over a mesh as a PE-level program. */
export interface LoweredMeshCollective {
  readonly program: MachineProgram;
  /** PEs that hold the outcome at the end. */
  readonly results: readonly Place[];
  /** The object that holds it. */
  readonly outcome: string;
}

/**
 * One way to do a collective over all PEs of a mesh. On a mesh of one row or column it is the algorithm on a line. What
 * it leaves where is that of `outcomeAt` with PEs numbered row by row; a broadcast begins at the middle of both axes.
 */
export interface MeshCollective {
  readonly does: Need;
  /** Its name among those that do the same. */
  readonly algorithm: string;
  readonly about: string;
  /** It can be done on this mesh. */
  accepts(shape: MeshShape): boolean;
  phases(shape: MeshShape): readonly Phase[];
  /** @throws IngotError COLLECTIVE_SHAPE on a mesh that it does not accept */
  lower(shape: MeshShape, wafer: Wafer): LoweredMeshCollective;
}

export const rowOf = ({ width, ...rest }: MeshShape): LineShape => ({ ...rest, parts: width });
export const columnOf = ({ height, ...rest }: MeshShape): LineShape => ({ ...rest, parts: height });

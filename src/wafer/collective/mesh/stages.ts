// Collectives on lines, as stages of a program for a whole mesh.

import type { Wafer } from '../../../spec/index.ts';
import { onLines } from '../../kernel/lower/all-reduce.ts';
import { sequence, type Stage } from '../../kernel/lower/sequence.ts';
import type { MachineProgram, PeSet } from '../../machine/index.ts';
import type { Axis } from '../../reduction.ts';
import type { LoweredCollective } from '../line-program.ts';
import { wholeWavelets, type LineUse } from '../line-step.ts';
import type { MeshShape } from './mesh-collective.ts';

/** A line's program on every line along `axis`, or only on the one `at` that position of the other axis. */
export function lineStage({ program, line }: LoweredCollective, axis: Axis, mesh: MeshShape, at?: number): Stage {
  const size =
    axis === 'x'
      ? { width: mesh.width, height: at === undefined ? mesh.height : 1 }
      : { width: at === undefined ? mesh.width : 1, height: mesh.height };
  const { routes, roles, tiles } = onLines(program, axis, size);
  const move = (on: PeSet): PeSet => (axis === 'x' ? { ...on, y: on.y + (at ?? 0) } : { ...on, x: on.x + (at ?? 0) });
  const placed = {
    routes: routes.map((rule) => ({ ...rule, on: move(rule.on) })),
    tiles: tiles.map((tile) => ({ ...tile, on: move(tile.on) })),
  };
  // Alone on its line a PE has nothing to do.
  if (program.width === 1) return { routes: [], roles: {}, tiles: [] };
  return line === undefined ? { ...placed, roles } : { ...placed, ...line, use: useOf(mesh) };
}

/** The PEs' vector. */
export const useOf = ({ values, type }: MeshShape): LineUse => ({
  object: 'x',
  length: wholeWavelets(values, type),
  type,
  combine: 'add',
});

/** The stages one after another, on the PEs' object `x`. */
export function inTurn(mesh: MeshShape, stages: readonly Stage[], wafer: Wafer): MachineProgram {
  // Slices may need room behind the values.
  const asked = stages
    .flatMap((stage) => ('roles' in stage ? Object.values(stage.roles) : []))
    .flatMap((role) => role.memory);
  const length = Math.max(useOf(mesh).length, ...asked.map((object) => object.length));
  return sequence(mesh, [{ name: 'x', dtype: mesh.type, length, bank: 0 }], stages, wafer);
}

/** Every PE of the mesh, row by row. */
export const everyPlace = ({ width, height }: MeshShape) =>
  Array.from({ length: width * height }, (_, pe) => ({ x: pe % width, y: Math.floor(pe / width) }));

// A collective on every line of a mesh along one axis, as a stage of a kernel.

import type { Wafer } from '../../../spec/index.ts';
import { broadcastPhases, lowerBroadcast } from '../../collective/broadcast.ts';
import type { Collective, LineShape } from '../../collective/index.ts';
import type { MachineProgram, PeSet, Port, Role } from '../../machine/index.ts';
import type { Phase } from '../../phase.ts';
import type { Axis } from '../../reduction.ts';
import { across, along } from '../kernel.ts';
import type { Mesh, Stage } from './sequence.ts';

const turned: Readonly<Record<Port, Port>> = { N: 'W', W: 'N', E: 'S', S: 'E', R: 'R' };

/**
 * A program for a row of PEs, on every line along `axis`; position 0 is the westernmost or northernmost PE.
 * Several `segments` of a line, one after another, each run it for themselves.
 */
export function onLines(
  program: MachineProgram,
  axis: Axis,
  mesh: Mesh,
  segments = 1,
): Pick<Stage, 'routes' | 'roles' | 'tiles'> {
  const copies = across(axis, mesh);
  const starts = Array.from({ length: segments }, (_, i) => i * program.width);
  const place = ({ x, width, stepX }: PeSet, start: number): PeSet =>
    axis === 'x'
      ? { x: start + x, y: 0, width, height: copies, ...(stepX === undefined ? {} : { stepX }) }
      : { x: 0, y: start + x, width: copies, height: width, ...(stepX === undefined ? {} : { stepY: stepX }) };
  const turn = (ports: readonly Port[]): readonly Port[] => (axis === 'x' ? ports : ports.map((port) => turned[port]));
  return {
    routes: starts.flatMap((start) =>
      program.routes.map((rule) => ({
        ...rule,
        on: place(rule.on, start),
        positions: rule.positions.map(({ rx, tx }) => ({ rx: turn(rx), tx: turn(tx) })),
      })),
    ),
    roles: program.roles,
    tiles: starts.flatMap((start) => program.tiles.map(({ on, role }) => ({ on: place(on, start), role }))),
  };
}

/** The same program with x and y exchanged. */
export function transposed(program: MachineProgram): MachineProgram {
  const turn = (ports: readonly Port[]): Port[] => ports.map((port) => turned[port]);
  const place = ({ x, y, width, height, stepX, stepY }: PeSet): PeSet => ({
    x: y,
    y: x,
    width: height,
    height: width,
    ...(stepY === undefined ? {} : { stepX: stepY }),
    ...(stepX === undefined ? {} : { stepY: stepX }),
  });
  return {
    ...program,
    width: program.height,
    height: program.width,
    routes: program.routes.map((rule) => ({
      ...rule,
      on: place(rule.on),
      positions: rule.positions.map(({ rx, tx }) => ({ rx: turn(rx), tx: turn(tx) })),
    })),
    tiles: program.tiles.map(({ on, role }) => ({ on: place(on), role })),
  };
}

export interface LoweredAllReduce {
  readonly stages: readonly Stage[];
  readonly phases: readonly Phase[];
}

/**
 * Every PE of each line along `axis` ends with the sum (or the largest) of the line's `object`: a reduce, and a
 * broadcast from the PE at which it ends. A collective that leaves its outcome everywhere is taken as it is.
 * `line` may be one of several equal segments of the mesh's lines.
 */
export function lowerAllReduce(
  collective: Collective,
  line: LineShape,
  axis: Axis,
  mesh: Mesh,
  object: string,
  wafer: Wafer,
  combine: 'add' | 'max' = 'add',
): LoweredAllReduce {
  if (line.parts === 1) return { stages: [], phases: [] };
  const { program, results } = collective.lower(line, wafer);
  const segments = Math.floor(along(axis, mesh) / line.parts);
  const stage = (lowered: MachineProgram, name: string): Stage => ({
    ...onLines(combine === 'add' ? lowered : withMaxima(lowered), axis, mesh, segments),
    objects: { x: object },
    // Tasks started by wavelets and switches belong to one message each, so only fixed posted routes are used again.
    ...(isFixed(lowered) ? { line: `${axis} ${name} ${line.parts} ${line.group}` } : {}),
  });
  const reduce = stage(program, collective.id);
  if (results.length === line.parts) return { stages: [reduce], phases: collective.phases(line) };
  const [root] = results;
  return {
    stages: [reduce, stage(lowerBroadcast(line, root, wafer).program, `from ${root}`)],
    phases: [...collective.phases(line), ...broadcastPhases(line, root)],
  };
}

const isFixed = ({ routes, roles }: MachineProgram): boolean =>
  routes.every((rule) => rule.positions.length === 1) &&
  Object.values(roles).every((role) => role.tasks.every((task) => task.kind !== 'data'));

/** A collective whose PEs keep the larger of two values where they added them. */
const withMaxima = (program: MachineProgram): MachineProgram => ({
  ...program,
  roles: Object.fromEntries(
    Object.entries(program.roles).map(([name, role]): [string, Role] => [
      name,
      {
        ...role,
        tasks: role.tasks.map((task) => ({
          ...task,
          code: task.code.map((i) => (i.kind === 'vector' && i.op === 'add' ? { ...i, op: 'max' } : i)),
        })),
      },
    ]),
  ),
});

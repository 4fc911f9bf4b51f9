// A collective on every line of a mesh along one axis, as a stage of a kernel.

import { assert } from '../../../core/index.ts';
import type { Wafer } from '../../../spec/index.ts';
import { broadcastPhases, lowerBroadcast } from '../../collective/broadcast.ts';
import type { Collective, LineShape, LoweredCollective } from '../../collective/index.ts';
import { wholeWavelets } from '../../collective/line-step.ts';
import type { MachineProgram, PeSet, Port } from '../../machine/index.ts';
import type { Phase } from '../../phase.ts';
import type { Axis } from '../../reduction.ts';
import { across, along } from '../kernel.ts';
import type { LineStage, Mesh } from './sequence.ts';

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
): Pick<MachineProgram, 'routes' | 'roles' | 'tiles'> {
  const copies = across(axis, mesh);
  const starts = Array.from({ length: segments }, (_, i) => i * program.width);
  const place = ({ x, width, stepX }: PeSet, start: number): PeSet =>
    axis === 'x'
      ? { x: start + x, y: 0, width, height: copies, stepX }
      : { x: 0, y: start + x, width: copies, height: width, stepY: stepX };
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
    stepX: stepY,
    stepY: stepX,
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
  readonly stages: readonly LineStage[];
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
  const segments = Math.floor(along(axis, mesh) / line.parts);
  const stage = ({ program, line: does }: LoweredCollective, name: string): LineStage => {
    assert(does !== undefined, `${collective.id} is a list of steps`);
    const { routes, tiles } = onLines(program, axis, mesh, segments);
    const length = wholeWavelets(line.values, line.type);
    return {
      routes,
      tiles,
      ...does,
      use: { object, length, type: line.type, combine },
      // A switch is where the last message left it, so only fixed routes are used again.
      ...(isFixed(program) ? { line: `${axis} ${name} ${line.parts} ${line.group}` } : {}),
    };
  };
  const lowered = collective.lower(line, wafer);
  const { results } = lowered;
  const reduce = stage(lowered, collective.id);
  if (results.length === line.parts) return { stages: [reduce], phases: collective.phases(line) };
  const [root] = results;
  return {
    stages: [reduce, stage(lowerBroadcast(line, root, wafer), `from ${root}`)],
    phases: [...collective.phases(line), ...broadcastPhases(line, root)],
  };
}

const isFixed = ({ routes }: MachineProgram): boolean => routes.every((rule) => rule.positions.length === 1);
